/** What a command tells the person who typed it when it cannot do what was asked. */
import { ModelFileError } from "../catalogue/index.ts";
import { ConfigError } from "../config.ts";
import { PublicError } from "../errors.ts";

/** Said in one line, with exit code 1. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  /** As in the API's errors, where there is one. */
  readonly code: string | null;

  constructor(message: string, code: string | null = null) {
    super(message);
    this.code = code;
  }
}

/** Faults of the machine or of how it is set up: a port in use, a folder that cannot be written, a full disk. */
const machineFault = /^(E[A-Z0-9]+|SQLITE_(CANTOPEN|READONLY|FULL|BUSY|NOTADB|CORRUPT|IOERR)\w*)$/;

/** One line for what a person can act on; null for a fault of ours, which shows where it lies. */
export function explain(error: unknown): string | null {
  if (error instanceof CommandError || error instanceof PublicError) {
    return error.code === null ? error.message : `${error.message} (${error.code})`;
  }
  if (error instanceof ConfigError || error instanceof ModelFileError) return error.message;
  const code = codeOf(error);
  return code !== undefined && machineFault.test(code) ? `${(error as Error).message} (${code})` : null;
}

/** `ENOENT`, `ECONNREFUSED`, … of a system or runtime error. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return typeof code === "string" ? code : undefined;
}
