/** What all commands take. */
import type { CommandModule } from 'yargs'
import { homeOf } from '../../daemon/config.js'

/** Options of every command. */
export interface CommonOptions {
  readonly home?: string | undefined
  readonly json?: boolean | undefined
}

/** A command whose options are `T` and those of every command. */
export type Command<T> = CommandModule<CommonOptions, CommonOptions & T>

/** The home that a command is about, absolute. */
export function homeFrom(options: CommonOptions): string {
  return homeOf(options.home, process.env)
}
