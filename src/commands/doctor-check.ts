/** What `arouter doctor` says about one thing. `--json` prints these as they are, so their shape is stable. */

export interface Check {
  /** Stable, e.g. `data_folder`, `provider.openai`. */
  id: string;
  name: string;
  /** `warning`: works, but something is missing or near its end. `broken`: makes the command exit with 1. */
  status: "ok" | "warning" | "broken";
  /** What was found. */
  message: string;
  /** What to do about it; null where nothing is to be done. */
  next: string | null;
  /** The same in data, for programs. Never a secret. */
  facts: Record<string, unknown>;
}

type Facts = Check["facts"];

/** The things of one check, under its id and name. */
export function checkOf(id: string, name: string) {
  return {
    ok: (message: string, facts: Facts = {}): Check => ({ id, name, status: "ok", message, next: null, facts }),
    warning: (message: string, next: string, facts: Facts = {}): Check => ({
      id,
      name,
      status: "warning",
      message,
      next,
      facts,
    }),
    broken: (message: string, next: string, facts: Facts = {}): Check => ({
      id,
      name,
      status: "broken",
      message,
      next,
      facts,
    }),
  };
}

/** An error's message without the stack. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
