/** The part of the untyped test network that the tests use. */

declare module '@hyperswarm/testnet' {
  import type HyperDHT from 'hyperdht'
  interface Testnet {
    readonly bootstrap: readonly HyperDHT.Address[]
    /** On 127.0.0.1; destroyed with the testnet. */
    createNode(): HyperDHT
    destroy(): Promise<void>
  }
  function createTestnet(size: number): Promise<Testnet>
  export = createTestnet
}
