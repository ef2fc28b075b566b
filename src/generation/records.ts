/** Kept generations, read back for those who may see them. */
import type { Selectable } from "kysely";
import type { Key } from "../accounts/keys.ts";
import type { AttemptsTable, Database, GenerationsTable, ImagesTable } from "../database.ts";
import { PublicError } from "../errors.ts";

export interface GenerationRecord {
  generation: Selectable<GenerationsTable>;
  attempts: Selectable<AttemptsTable>[];
  images: Selectable<ImagesTable>[];
}

/**
 * One generation with all that belongs to it.
 * @throws PublicError not_found, also when it is another key's: to others it does not exist
 */
export async function readGeneration(database: Database, id: string, reader: Key): Promise<GenerationRecord> {
  const record = await findGeneration(database, id);
  if (record === null || !mayRead(reader, record.generation.key_hash)) {
    throw new PublicError("not_found", "No generation with this id.");
  }
  return record;
}

/** For the router itself: whoever asks, and null where there is none. */
export async function findGeneration(database: Database, id: string): Promise<GenerationRecord | null> {
  const generation = await database.selectFrom("generations").selectAll().where("id", "=", id).executeTakeFirst();
  if (generation === undefined) return null;
  return { generation, attempts: await attemptsOf(database, id), images: await imagesOf(database, id) };
}

/** Who is asked for a running generation at this moment: an attempt is recorded before its call is sent. */
export async function readNowTried(database: Database, id: string): Promise<{ model: string; provider: string }> {
  const { generation, attempts } = (await findGeneration(database, id)) as GenerationRecord;
  const latest = attempts.at(-1);
  return { model: latest?.catalogue_model ?? generation.model, provider: latest?.provider ?? generation.provider };
}

/** A generation's upstream calls, in the order of their pictures. */
export function attemptsOf(database: Database, id: string): Promise<Selectable<AttemptsTable>[]> {
  return database.selectFrom("attempts").selectAll().where("generation_id", "=", id).orderBy("sequence").execute();
}

/** A generation's delivered pictures, in the order asked. */
export function imagesOf(database: Database, id: string): Promise<Selectable<ImagesTable>[]> {
  return database.selectFrom("images").selectAll().where("generation_id", "=", id).orderBy("position").execute();
}

/** A generation is visible to the key that made it and to management keys. */
export function mayRead(reader: Key, ownerHash: string): boolean {
  return reader.kind === "management" || reader.hash === ownerHash;
}
