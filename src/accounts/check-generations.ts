/** The ledger's promises about single generations: held once, charged at most once, for what was delivered. */
import { sql } from "kysely";
import type { Database, GenerationStatus, MovementKind } from "../database.ts";
import { timeOfId } from "../ids.ts";
import type { CheckOptions } from "./check.ts";
import { type Deviation, differs, exact, exactSum } from "./deviation.ts";

/** Generations looked at together. */
const slice = 5_000;
/** Records of generations may be gone after this; the retention test holds both figures together. */
export const generationLifeMs = 90 * 86_400_000;

/** All movements of one generation. */
interface MovementSums {
  id: string;
  holds: number;
  charges: number;
  releases: number;
  held: string;
  charged: string;
  released: string;
  /** Images that the charges count. */
  charged_images: number;
  /** The key that the movements name, least and greatest: normally one and the same. */
  least_key: string | null;
  greatest_key: string | null;
  charge_model: string | null;
  charge_provider: string | null;
}

interface GenerationRow extends MovementSums {
  status: GenerationStatus;
  finished_at: number | null;
  quote: string;
  cost: string;
  model: string;
  provider: string;
  key_hash: string;
  images: number;
}

const amountOf = (kind: MovementKind) => exactSum(sql`case when kind = ${kind} then amount_nanos end`);
const countOf = (kind: MovementKind) => sql`count(case when kind = ${kind} then 1 end)`;
const movementSums = sql`generation_id, ${countOf("hold")} as holds, ${countOf("charge")} as charges,
  ${countOf("release")} as releases, ${amountOf("hold")} as held, ${amountOf("charge")} as charged,
  ${amountOf("release")} as released, coalesce(sum(case when kind = 'charge' then images end), 0) as charged_images,
  min(key_hash) as least_key, max(key_hash) as greatest_key,
  max(case when kind = 'charge' then model end) as charge_model,
  max(case when kind = 'charge' then provider end) as charge_provider`;

/** Both walks go by id, which is by time: kept generations first, then movements whose generation is gone. */
export async function* generationDeviations(database: Database, options: CheckOptions): AsyncGenerator<Deviation> {
  const { rows } = await sql<{ total: number }>`select count(*) as total from generations`.execute(database);
  const total = rows[0]?.total ?? 0;
  let done = 0;
  for (let after = ""; ; ) {
    const part = await readGenerations(database, after);
    for (const row of part) yield* rowDeviations(row);
    done += part.length;
    options.progress?.("generations", done, total);
    const last = part.at(-1);
    if (last === undefined || part.length < slice) break;
    after = last.id;
  }
  yield* goneDeviations(database, options);
}

async function readGenerations(database: Database, after: string): Promise<GenerationRow[]> {
  const { rows: ends } = await sql<{ last: string | null }>`
    select max(id) as last from (select id from generations where id > ${after} order by id limit ${slice}) as part`.execute(
    database,
  );
  const last = ends[0]?.last ?? after;
  const { rows } = await sql<GenerationRow>`
    select id, status, finished_at, ${exact(sql`quote_nanos`)} as quote, ${exact(sql`cost_nanos`)} as cost,
      generations.model, generations.provider, generations.key_hash,
      (select count(*) from images where images.generation_id = generations.id) as images,
      coalesce(holds, 0) as holds, coalesce(charges, 0) as charges, coalesce(releases, 0) as releases,
      coalesce(held, '0') as held, coalesce(charged, '0') as charged, coalesce(released, '0') as released,
      coalesce(charged_images, 0) as charged_images, least_key, greatest_key, charge_model, charge_provider
    from generations left join (
      select ${movementSums} from movements where generation_id > ${after} and generation_id <= ${last}
      group by generation_id
    ) as sums on sums.generation_id = generations.id
    where id > ${after} and id <= ${last} order by id`.execute(database);
  return rows;
}

function* rowDeviations(row: GenerationRow): Generator<Deviation> {
  const { id, status } = row;
  const runs = status === "queued" || status === "running";
  const [quote, cost, charged] = [BigInt(row.quote), BigInt(row.cost), BigInt(row.charged)];
  yield* sumDeviations(row, runs);
  yield* differs(id, "hold = quote", quote, BigInt(row.held));
  yield* differs(id, "cost_nanos = charge", charged, cost);
  if (runs !== (row.finished_at === null)) {
    const expected = runs ? "none" : "a time";
    yield { id, what: `finished_at of a ${status} generation`, expected, found: String(row.finished_at ?? "none") };
  }
  for (const found of new Set([row.least_key, row.greatest_key])) {
    if (found === null || found === row.key_hash) continue;
    yield { id, what: "movements are of the generation's key", expected: row.key_hash, found };
  }
  if (runs) return;
  if (row.images > 0 && quote > 0n && row.charges === 0) {
    yield { id, what: "what was delivered is charged", expected: "a charge", found: "none" };
  }
  if (status === "succeeded" && row.images === 0) {
    yield { id, what: "a succeeded generation has images", expected: ">= 1", found: "0" };
  }
  if (row.charges === 0) return;
  if (status !== "succeeded" && status !== "expired") {
    yield { id, what: `a ${status} generation is not charged`, expected: "0", found: row.charged };
  }
  yield* differs(id, "images charged = images delivered", BigInt(row.images), BigInt(row.charged_images));
  for (const [what, expected, found] of [
    ["model of the charge", row.model, row.charge_model],
    ["provider of the charge", row.provider, row.charge_provider],
  ] as const) {
    if (expected !== found) yield { id, what, expected, found: found ?? "none" };
  }
}

/** What the movements of one generation promise by themselves. */
function* sumDeviations(row: MovementSums, runs: boolean): Generator<Deviation> {
  const { id } = row;
  const [held, charged, released] = [BigInt(row.held), BigInt(row.charged), BigInt(row.released)];
  for (const [kind, count] of [
    ["hold", row.holds],
    ["charge", row.charges],
    ["release", row.releases],
  ] as const) {
    if (count > 1) yield { id, what: `${kind}s of one generation`, expected: "at most 1", found: String(count) };
  }
  if (charged > held) yield { id, what: "a charge is not above its hold", expected: `<= ${held}`, found: row.charged };
  if (runs) yield* differs(id, "nothing of a running hold has ended", 0n, charged + released);
  else yield* differs(id, "hold = charge + release", held, charged + released);
  if (row.charges > 0 && row.charged_images < 1) {
    yield { id, what: "a charge is for images", expected: ">= 1", found: String(row.charged_images) };
  }
}

/** Generations whose record is gone: their movements must have come to an end all the same. */
async function* goneDeviations(database: Database, { now, progress }: CheckOptions): AsyncGenerator<Deviation> {
  for (let after = "", done = 0; ; ) {
    const { rows } = await sql<MovementSums>`
      select generation_id as id, ${movementSums} from movements
      where generation_id > ${after} and not exists (select 1 from generations where id = generation_id)
      group by generation_id order by generation_id limit ${slice}`.execute(database);
    for (const row of rows) {
      yield* sumDeviations(row, false);
      if (row.least_key !== row.greatest_key) {
        const [expected, found] = [row.least_key ?? "none", row.greatest_key ?? "none"];
        yield { id: row.id, what: "movements are of one key", expected, found };
      }
      if (now !== undefined && timeOfId(row.id) > now - generationLifeMs) {
        yield { id: row.id, what: "the generation's record is kept 90 days", expected: "a record", found: "none" };
      }
    }
    done += rows.length;
    if (rows.length > 0) progress?.("movements of generations that are gone", done, done);
    const last = rows.at(-1);
    if (last === undefined || rows.length < slice) return;
    after = last.id;
  }
}
