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
  const attempts = await database
    .selectFrom("attempts")
    .selectAll()
    .where("generation_id", "=", id)
    .orderBy("sequence")
    .execute();
  const images = await database
    .selectFrom("images")
    .selectAll()
    .where("generation_id", "=", id)
    .orderBy("position")
    .execute();
  return { generation, attempts, images };
}

/** A generation is visible to the key that made it and to management keys. */
export function mayRead(reader: Key, ownerHash: string): boolean {
  return reader.kind === "management" || reader.hash === ownerHash;
}
