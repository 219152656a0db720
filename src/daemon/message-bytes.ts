/**
 * Bytes in messages between threads. A structured clone copies the whole buffer below each view,
 * and small Buffers are views of pools of 64 KiB: 4,000 content maps of 60 bytes would be copied
 * as a hundred megabytes. So all views of a message are copied into one buffer, which changes
 * hands.
 */

/** A message whose views all lie in one buffer of their own. */
export interface PackedMessage {
  readonly message: unknown
  /** For `postMessage`: the buffer changes hands. */
  readonly transfer: readonly ArrayBuffer[]
}

/** Views with more bytes than this are left as they are: they are no pool's. */
const LARGE_BYTES = 64 * 1024

/** Packs a message of plain objects, arrays and views; the original stays as it is. */
export function packMessage(original: unknown): PackedMessage {
  let total = 0
  const measure = (view: Uint8Array): void => {
    total += view.byteLength
  }
  visit(original, measure)
  if (total === 0) return { message: original, transfer: [] }
  const bytes = new Uint8Array(total)
  let at = 0
  const place = (view: Uint8Array): Uint8Array => {
    bytes.set(view, at)
    at += view.byteLength
    return bytes.subarray(at - view.byteLength, at)
  }
  return { message: rebuild(original, place), transfer: [bytes.buffer] }
}

function isSmallView(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.byteLength <= LARGE_BYTES
}

/** Arrays of numbers and other leaves are passed by without a look at each element. */
function isNested(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)
}

function visit(value: unknown, onView: (view: Uint8Array) => void): void {
  if (isSmallView(value)) onView(value)
  else if (isNested(value)) for (const each of Object.values(value)) visit(each, onView)
}

function rebuild(value: unknown, place: (view: Uint8Array) => Uint8Array): unknown {
  if (isSmallView(value)) return place(value)
  if (!isNested(value)) return value
  if (Array.isArray(value)) return value.map((each: unknown) => rebuild(each, place))
  const copy: Record<string, unknown> = {}
  for (const [key, each] of Object.entries(value)) copy[key] = rebuild(each, place)
  return copy
}
