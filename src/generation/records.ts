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
  const generation = await database.selectFrom("generations").selectAll().where("id", "=", id).executeTakeFirst();
  if (generation === undefined || !mayRead(reader, generation.key_hash)) {
    throw new PublicError("not_found", "No generation with this id.");
  }
  return { generation, attempts: await attemptsOf(database, id), images: await imagesOf(database, id) };
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
