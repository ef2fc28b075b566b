/**
 * Kept generations as a list, newest first. One page looks at a bounded number of rows however many are kept: where
 * filters leave little of them, a page may be short, or even empty, and still have a next one.
 */
import { type Selectable, type SelectQueryBuilder, sql } from "kysely";
import { type Page, type Position, type TimeRange, toPage } from "../accounts/reports.ts";
import type { Database, GenerationStatus, GenerationsTable, ImagesTable, Tables } from "../database.ts";

/** Rows of the leading index that one page looks at, at most: a few milliseconds' work. */
const windowRows = 2_000;
/** Prompts are compared in this many rows at a time. */
const textBatch = 200;

export interface GenerationFilter extends TimeRange {
  keyHash?: string | undefined;
  model?: string | undefined;
  provider?: string | undefined;
  /** As clients see it: `expired` is a succeeded one whose bytes are gone. */
  status?: GenerationStatus | undefined;
  /** Part of the prompt, in any case; finds only what is still kept. */
  text?: string | undefined;
}

export interface ListedGeneration {
  generation: Selectable<GenerationsTable>;
  images: Selectable<ImagesTable>[];
}

type Query = SelectQueryBuilder<Tables, "generations", object>;

/** @param now Unix milliseconds, by which a picture's hour is over or not */
export async function listGenerations(
  database: Database,
  filter: GenerationFilter,
  limit: number,
  after: Position | null,
  now: number,
): Promise<Page<ListedGeneration>> {
  const leading = leadingFilter(filter);
  const others = Object.entries(filter).some(
    ([name, value]) => value !== undefined && !(name in leading) && name !== "from" && name !== "to",
  );
  const floor = others ? await windowEnd(newestFirst(database, leading, filter, after, now)) : null;
  const read = async (count: number, from: Position | null) => {
    let query = newestFirst(database, filter, filter, from, now).limit(count);
    if (floor !== null) query = query.where(sql<boolean>`(created_at, id) >= (${floor.createdAt}, ${floor.id})`);
    return query.selectAll().execute();
  };
  const found =
    filter.text === undefined ? await read(limit + 1, after) : await matching(filter.text, limit + 1, after, read);
  const page = toPage(found, limit, positionOf);
  return { rows: await withImages(database, page.rows), next: page.next ?? floor };
}

const positionOf = ({ created_at, id }: Pick<GenerationsTable, "created_at" | "id">): Position => ({
  createdAt: created_at,
  id,
});

/** The one filter whose index is walked; the others are looked at row by row, within the window. */
function leadingFilter({ keyHash, model, provider, status }: GenerationFilter): GenerationFilter {
  if (keyHash !== undefined) return { keyHash };
  if (model !== undefined) return { model };
  // Most have succeeded: an index of those would be one of all.
  if (status !== undefined && status !== "succeeded" && status !== "expired") return { status };
  if (provider !== undefined) return { provider };
  return {};
}

function newestFirst(
  database: Database,
  { keyHash, model, provider, status, text }: GenerationFilter,
  { from, to }: TimeRange,
  after: Position | null,
  now: number,
): Query {
  let query: Query = database.selectFrom("generations").orderBy("created_at", "desc").orderBy("id", "desc");
  if (keyHash !== undefined) query = query.where("key_hash", "=", keyHash);
  if (model !== undefined) query = query.where("model", "=", model);
  if (provider !== undefined) query = query.where("provider", "=", provider);
  if (text !== undefined) query = query.where("has_prompt", "=", 1);
  if (from !== undefined) query = query.where("created_at", ">=", from);
  if (to !== undefined) query = query.where("created_at", "<", to);
  if (after !== null) query = query.where(sql<boolean>`(created_at, id) < (${after.createdAt}, ${after.id})`);
  if (status === undefined) return query;
  if (status !== "succeeded" && status !== "expired") {
    // In the words of the partial index, so that the database sees that it covers this.
    return query.where("status", "=", status).where(sql<boolean>`status <> 'succeeded'`);
  }
  const lives = sql<boolean>`exists (select 1 from images where generation_id = generations.id
    and deleted_at is null and expires_at > ${now})`;
  query = query.where("status", "=", "succeeded");
  return status === "succeeded" ? query.where(lives) : query.where(sql<boolean>`not ${lives}`);
}

/** The last row that this page may look at; null when there are fewer. */
async function windowEnd(query: Query): Promise<Position | null> {
  const row = await query
    .select(["created_at", "id"])
    .offset(windowRows - 1)
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? null : positionOf(row);
}

/** Rows whose prompt holds the text, compared as people would: without regard to case, in any language. */
async function matching(
  text: string,
  count: number,
  after: Position | null,
  read: (count: number, after: Position | null) => Promise<Selectable<GenerationsTable>[]>,
): Promise<Selectable<GenerationsTable>[]> {
  const wanted = text.toLocaleLowerCase("en");
  const found: Selectable<GenerationsTable>[] = [];
  for (let from = after; ; ) {
    const batch = await read(textBatch, from);
    for (const row of batch) {
      if (promptOf(row)?.toLocaleLowerCase("en").includes(wanted)) found.push(row);
      if (found.length === count) return found;
    }
    const last = batch.at(-1);
    if (last === undefined || batch.length < textBatch) return found;
    from = positionOf(last);
  }
}

/** The prompt while it is kept, else null. */
export function promptOf({ requested }: Pick<GenerationsTable, "requested">): string | null {
  const { prompt } = JSON.parse(requested) as { prompt?: unknown };
  return typeof prompt === "string" ? prompt : null;
}

async function withImages(
  database: Database,
  generations: Selectable<GenerationsTable>[],
): Promise<ListedGeneration[]> {
  if (generations.length === 0) return [];
  const ids = generations.map(({ id }) => id);
  const images = await database.selectFrom("images").selectAll().where("generation_id", "in", ids).execute();
  const byGeneration = Map.groupBy(images, ({ generation_id }) => generation_id);
  return generations.map((generation) => ({ generation, images: byGeneration.get(generation.id) ?? [] }));
}
