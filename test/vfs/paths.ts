/** What a person does to the files of a test drive, told by paths. */
import type { Test } from 'tap'
import { type TestDrive, kindsOf, type Shown } from './drive.js'

const SIZE = 8
const MODE = 1

/** Makes a file, or replaces its content. */
export async function write(
  drive: TestDrive,
  device: number,
  path: string,
  text: string
): Promise<void> {
  const { kernel } = drive.at(device)
  const { dir, name } = await walk(drive, device, path)
  let ino: number
  try {
    ino = (await kernel.lookup(dir, name)).ino
    await kernel.setattr(ino, { 16: 0 }, { 0: SIZE })
  } catch {
    ino = (await kernel.create(dir, name, 0o644)).ino
  }
  if (text.length > 0) await kernel.write(ino, 0, Buffer.from(text))
}

/** The directory and the name of a path. */
export async function walk(
  drive: TestDrive,
  device: number,
  path: string
): Promise<{ dir: number; name: string }> {
  const names = path.split('/')
  const name = names.pop() ?? ''
  let dir = 1
  for (const each of names) dir = (await drive.at(device).kernel.lookup(dir, each)).ino
  return { dir, name }
}

/** As mkdir(1). */
export async function mkdir(drive: TestDrive, device: number, path: string): Promise<void> {
  const { dir, name } = await walk(drive, device, path)
  await drive.at(device).kernel.mkdir(dir, name, 0o755)
}

/** As mv(1). */
export async function rename(
  drive: TestDrive,
  device: number,
  from: string,
  to: string
): Promise<void> {
  const a = await walk(drive, device, from)
  const b = await walk(drive, device, to)
  await drive.at(device).kernel.lookup(a.dir, a.name)
  await drive.at(device).kernel.rename([a.dir, a.name], [b.dir, b.name], 0)
}

/** As rm(1). */
export async function unlink(drive: TestDrive, device: number, path: string): Promise<void> {
  const { dir, name } = await walk(drive, device, path)
  await drive.at(device).kernel.lookup(dir, name)
  await drive.at(device).kernel.unlink(dir, name)
}

/** As chmod(1). */
export async function chmod(
  drive: TestDrive,
  device: number,
  path: string,
  mode: number
): Promise<void> {
  const { kernel } = drive.at(device)
  const { dir, name } = await walk(drive, device, path)
  const { ino } = await kernel.lookup(dir, name)
  await kernel.setattr(ino, {}, { 0: MODE, 68: mode })
}

/** `rm -r`, as rm does it. */
export async function removeTree(drive: TestDrive, device: number, path: string): Promise<void> {
  const { kernel } = drive.at(device)
  const { dir, name } = await walk(drive, device, path)
  const { ino } = await kernel.lookup(dir, name)
  for (const child of await kernel.readdir(ino)) {
    const { mode } = await kernel.lookup(ino, child)
    if ((mode & 0o170000) === 0o040000) await removeTree(drive, device, `${path}/${child}`)
    else await kernel.unlink(ino, child)
  }
  await kernel.rmdir(dir, name)
}

/** All devices show this, and it is what all records make. */
export async function shows(t: Test, drive: TestDrive, expected: Shown): Promise<void> {
  for (const device of drive.volumes.keys()) {
    t.strictSame(await drive.look(device), expected, `device ${device}`)
  }
  t.strictSame(kindsOf(expected), await drive.materialised(), 'materialised')
}

/** The contents of a folder, sorted, whatever their names. */
export function contents(shown: Shown): string[] {
  return Object.values(shown)
    .filter((each) => typeof each === 'string')
    .sort()
}
