/**
 * What the layers log to. `daemon/` makes it (pino); everything below only knows this shape.
 * error = someone must act; warn = degraded; info = lifecycle; debug = per operation.
 */

/** Standard fields of one event: `ino`, `node`, `op`, `peer`, `core`, `block`, `ms`, `err`. */
export type LogFields = Readonly<Record<string, unknown>>

/** A structured logger; never given a secret or a file's content. */
export interface Logger {
  error(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  debug(fields: LogFields, message: string): void
}

/** A logger that drops everything, for tests and tools. */
export const silentLogger: Logger = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined
}
