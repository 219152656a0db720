/** By which way a connection goes, as `status` shows it. */
import type HyperDHT from 'hyperdht'
import { BlockList } from 'node:net'
import { networkInterfaces } from 'node:os'

/** `lan`: a network that this machine is on; `relay`: through a device of one's own. */
export type PathKind = 'lan' | 'direct' | 'relay'

/**
 * @param connection an open one
 * @param relays connections to relays that are open now, without that to the peer itself
 * @returns null when the connection has ended
 */
export function pathOf(
  connection: HyperDHT.Connection,
  relays: Iterable<HyperDHT.Connection>
): PathKind | null {
  const stream = connection.rawStream
  if (stream === null) return null
  for (const { rawStream } of relays) {
    const isSame =
      rawStream?.remoteHost === stream.remoteHost && rawStream.remotePort === stream.remotePort
    if (isSame) return 'relay'
  }
  return isOnLink(stream.remoteHost) ? 'lan' : 'direct'
}

/** Whether an IPv4 address is on a network that this machine has an interface in. */
export function isOnLink(host: string): boolean {
  const networks = new BlockList()
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { family, cidr } of addresses ?? []) {
      const [address, prefix] = cidr?.split('/') ?? []
      if (family !== 'IPv4' || address === undefined) continue
      networks.addSubnet(address, Number(prefix), 'ipv4')
    }
  }
  return networks.check(host, 'ipv4')
}
