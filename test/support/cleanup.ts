/**
 * The last line against things left behind: what a test started is ended when the test process
 * itself ends early (a runner's timeout, Ctrl-C, a throw), when its own teardown never ran.
 */

const actions = new Set<() => void>()
let watching = false

function runAll(): void {
  for (const action of actions) {
    actions.delete(action)
    try {
      action()
    } catch {
      // the others still want their turn
    }
  }
}

/**
 * Registers a synchronous action for an early end of this process.
 * @returns a function that takes it back, for when the ordinary teardown did the work
 */
export function onEarlyEnd(action: () => void): () => void {
  actions.add(action)
  if (!watching) {
    watching = true
    process.once('exit', runAll)
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      process.once(name, () => {
        runAll()
        process.exit(128)
      })
    }
  }
  return () => actions.delete(action)
}
