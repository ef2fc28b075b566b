/**
 * The ledger: append-only movements, and the running totals that go with them in the same transaction. Every hold ends
 * as a charge for what was delivered and a release of the rest. `check.ts` recomputes all totals from the movements.
 */
import { sql } from "kysely";
import type { Database, DatabaseTransaction, MovementKind } from "../database.ts";
import { PublicError } from "../errors.ts";
import { newId } from "../ids.ts";
import { formatUsd, type Nanos } from "../money.ts";
import type { Clock, Random } from "../ports.ts";

export const accountId = "default";
const hourMs = 3_600_000;

export interface LedgerPorts {
  clock: Clock;
  random: Random;
}

/** What a movement belongs to. */
export interface ChargeFacts {
  keyHash: string;
  generationId: string;
  model: string;
  provider: string;
  priceRule: string;
}

/**
 * Takes the quote out of what can be spent, before any provider is called. The key's own limit is `limits.ts`.
 * @param creditRequired whether the account must have the money
 * @throws PublicError insufficient_credit
 */
export async function hold(
  transaction: DatabaseTransaction,
  facts: ChargeFacts,
  quote: Nanos,
  creditRequired: boolean,
  ports: LedgerPorts,
): Promise<void> {
  if (quote === 0n) return;
  let update = transaction
    .updateTable("account")
    .set({ held_nanos: sql`held_nanos + ${quote}` })
    .where("id", "=", accountId);
  if (creditRequired) update = update.where(sql<boolean>`credited_nanos - charged_nanos - held_nanos >= ${quote}`);
  const { numUpdatedRows } = await update.executeTakeFirst();
  if (numUpdatedRows === 0n) {
    const { available } = await readBalance(transaction);
    throw new PublicError(
      "insufficient_credit",
      `This request may cost up to $${formatUsd(quote)}, but only $${formatUsd(available)} of credit is left.`,
    );
  }
  await write(transaction, "hold", quote, facts, ports, ports.clock.now());
}

export interface Settlement {
  /** What was held at admission. */
  held: Nanos;
  /** What the delivered pictures cost, never above `held`. */
  cost: Nanos;
  images: number;
  /** Sequences of the attempts that delivered. */
  attempts: number[];
  providerCost: Nanos | null;
  /** Unix milliseconds: the moment under which the charge is reported. */
  now: number;
}

/** Ends a hold: charges what was delivered, releases the rest, counts the request in the hour's usage. */
export async function settleHold(
  transaction: DatabaseTransaction,
  facts: ChargeFacts,
  settlement: Settlement,
  ports: LedgerPorts,
): Promise<void> {
  const { held, cost, images, attempts, providerCost, now } = settlement;
  if (cost > held) throw new Error("a charge must never be above its hold");
  if (held > 0n) {
    await transaction
      .updateTable("account")
      .set({ held_nanos: sql`held_nanos - ${held}`, charged_nanos: sql`charged_nanos + ${cost}` })
      .where("id", "=", accountId)
      .execute();
  }
  // What a provider gives away is charged too, with nothing: the rule is on record, and `check.ts` can tell it from a lost charge.
  if (cost > 0n || (held > 0n && images > 0)) {
    const extra = { attempts: JSON.stringify(attempts), images, provider_cost_nanos: providerCost };
    await write(transaction, "charge", cost, facts, ports, now, extra);
  }
  if (held > cost) await write(transaction, "release", held - cost, facts, ports, now);
  await transaction
    .insertInto("usage_hours")
    .values({
      hour: now - (now % hourMs),
      key_hash: facts.keyHash,
      model: facts.model,
      provider: facts.provider,
      requests: 1,
      images,
      cost_nanos: cost,
    })
    .onConflict((conflict) =>
      conflict.columns(["hour", "key_hash", "model", "provider"]).doUpdateSet({
        requests: sql`usage_hours.requests + 1`,
        images: sql`usage_hours.images + ${images}`,
        cost_nanos: sql`usage_hours.cost_nanos + ${cost}`,
      }),
    )
    .execute();
}

async function write(
  transaction: DatabaseTransaction,
  kind: MovementKind,
  amount: Nanos,
  facts: ChargeFacts,
  ports: LedgerPorts,
  now: number,
  extra: { attempts?: string; images?: number; provider_cost_nanos?: Nanos | null } = {},
): Promise<void> {
  await transaction
    .insertInto("movements")
    .values({
      id: newId("mov", ports.clock, ports.random),
      created_at: now,
      kind,
      amount_nanos: amount,
      key_hash: facts.keyHash,
      generation_id: facts.generationId,
      model: facts.model,
      provider: facts.provider,
      price_rule: facts.priceRule,
      ...extra,
    })
    .execute();
}

/** Adds to (or, as an adjustment with a negative amount, takes from) the account's credit. */
export async function addCredit(
  database: Database,
  amount: Nanos,
  note: string | null,
  ports: LedgerPorts,
): Promise<void> {
  await database.transaction().execute(async (transaction) => {
    await transaction
      .updateTable("account")
      .set({ credited_nanos: sql`credited_nanos + ${amount}` })
      .where("id", "=", accountId)
      .execute();
    await transaction
      .insertInto("movements")
      .values({
        id: newId("mov", ports.clock, ports.random),
        created_at: ports.clock.now(),
        kind: amount < 0n ? "adjustment" : "credit",
        amount_nanos: amount,
        note,
      })
      .execute();
  });
}

export interface Balance {
  /** Credits − charges. May be negative where credit is not required. */
  balance: Nanos;
  held: Nanos;
  /** What new requests can still hold. */
  available: Nanos;
}

export async function readBalance(database: Database | DatabaseTransaction): Promise<Balance> {
  // As text: the driver answers numbers, which are not exact beyond 2^53 nano-dollars ($9 million).
  const row = await database
    .selectFrom("account")
    .select([
      sql<string>`cast(credited_nanos - charged_nanos as text)`.as("balance"),
      sql<string>`cast(held_nanos as text)`.as("held"),
    ])
    .where("id", "=", accountId)
    .executeTakeFirstOrThrow();
  const [balance, held] = [BigInt(row.balance), BigInt(row.held)];
  return { balance, held, available: balance - held };
}
