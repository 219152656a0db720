import { BEACON_BYTES, beaconKey, openBeacon, sealBeacon } from '../../src/swarm/beacon.js'
import { Lan } from '../../src/swarm/lan.js'
import type { Beacon } from '../../src/swarm/beacon.js'
import { silentLogger } from '../../src/base/log.js'
import { until } from './devices.js'
import assert from 'node:assert'
import { networkInterfaces } from 'node:os'
import * as fc from 'fast-check'
import { type Test, test } from 'tap'

const key = beaconKey(Buffer.alloc(32, 1))
const seed = Number(process.env.PCFS_TEST_SEED ?? 1)

const beacons: fc.Arbitrary<Beacon> = fc.record({
  noiseKey: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
  host: fc.ipV4(),
  port: fc.integer({ min: 1, max: 65_535 }),
  bootId: fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
  count: fc.nat({ max: 2 ** 32 - 1 })
})

await test('a beacon says to its drive what was put into it, and nothing to others', async () => {
  fc.assert(
    fc.property(beacons, (beacon) => {
      const bytes = sealBeacon(key, beacon)
      assert.equal(bytes.length, BEACON_BYTES)
      assert.deepEqual(openBeacon(key, bytes), beacon)
      assert.equal(openBeacon(beaconKey(Buffer.alloc(32, 2)), bytes), null)
      assert.equal(bytes.includes(beacon.noiseKey), false)
      assert.notDeepEqual(sealBeacon(key, beacon), bytes, 'two of one device are not alike')
    }),
    { seed, numRuns: 200 }
  )
})

await test('a beacon that was altered, cut or made up is none', async () => {
  const bit = fc.nat({ max: BEACON_BYTES * 8 - 1 })
  fc.assert(
    fc.property(beacons, bit, fc.uint8Array({ maxLength: 200 }), (beacon, at, noise) => {
      const bytes = sealBeacon(key, beacon)
      bytes[at >> 3] = (bytes[at >> 3] ?? 0) ^ (1 << (at & 7))
      assert.equal(openBeacon(key, bytes), null)
      assert.equal(openBeacon(key, bytes.subarray(0, at >> 3)), null)
      assert.equal(openBeacon(key, Buffer.from(noise)), null)
    }),
    { seed, numRuns: 200 }
  )
})

const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
const skip = addresses.some(({ family, internal }) => family === 'IPv4' && !internal)
  ? false
  : 'this machine is on no network'

function listen(t: Test, topic: number, name: number): { heard: Beacon[]; lan: Lan } {
  const heard: Beacon[] = []
  const lan = new Lan({
    topic: Buffer.alloc(32, topic),
    noiseKey: Buffer.alloc(32, name),
    port: () => 1000 + name,
    onBeacon: (beacon) => {
      heard.push(beacon)
      return false
    },
    monotonicMs: () => performance.now(),
    log: silentLogger
  })
  lan.start()
  t.teardown(() => lan.stop())
  return { heard, lan }
}

await test(
  'devices of a drive on one machine hear each other, and not those of others',
  { skip },
  async (t) => {
    const a = listen(t, 1, 1)
    const b = listen(t, 1, 2)
    const stranger = listen(t, 2, 3)
    await until(() => a.heard.length > 1 && b.heard.length > 1)
    t.equal(a.heard[0]?.port, 1002)
    t.same(a.heard[0]?.noiseKey, Buffer.alloc(32, 2))
    const counts = a.heard.map(({ host, count }) => `${host} ${count}`)
    t.equal(new Set(counts).size, counts.length, 'each beacon counts once')
    t.same(stranger.heard, [])
    a.lan.stop()
    b.lan.stop()
    a.lan.start()
    await until(() => a.heard.length > 0)
  }
)
