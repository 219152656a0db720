/** What all commands take. */
import type { Argv, CommandModule } from 'yargs'
import { homeOf } from '../../daemon/config.js'

/** Options of every command. */
export interface CommonOptions {
  readonly home?: string | undefined
  readonly json?: boolean | undefined
}

/** A command whose options are `T` and those of every command. */
export type Command<T> = CommandModule<CommonOptions, CommonOptions & T>

/** The parser that a command adds its own options to. */
export type CommandArgv = Argv<CommonOptions>

/** The home that a command is about, absolute. */
export function homeFrom(options: CommonOptions): string {
  return homeOf(options.home, process.env)
}
