/** What the ledger's check finds wrong, and the few words that all its parts share. */
import { type RawBuilder, sql } from "kysely";

/** One figure that is not what the movements say. Amounts are nano-dollars in decimal text. */
export interface Deviation {
  /** Id of the generation or movement, hash of the key, `default` for the account, or the hour's identity. */
  id: string;
  /** The rule that is broken, or the figure that is wrong. */
  what: string;
  expected: string;
  found: string;
}

/** A sum as text: exact where a JavaScript number would not be (beyond 2^53 nano-dollars, $9 million). */
export const exactSum = (amount: RawBuilder<unknown>): RawBuilder<string> =>
  sql<string>`cast(coalesce(sum(${amount}), 0) as text)`;

/** A stored amount as text, for the same reason. */
export const exact = (amount: RawBuilder<unknown>): RawBuilder<string> => sql<string>`cast(${amount} as text)`;

/** Nothing, or the one deviation. */
export function differs(id: string, what: string, expected: bigint, found: bigint): Deviation[] {
  return expected === found ? [] : [{ id, what, expected: String(expected), found: String(found) }];
}
