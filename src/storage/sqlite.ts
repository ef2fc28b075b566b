/** Rows on one machine: SQLite in WAL mode through the runtime's own driver. */
import { Database as BunDatabase } from "bun:sqlite";
import { chmodSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { Kysely, sql } from "kysely";
import { Migrator } from "kysely/migration";
import { type Database, DatabaseUnavailableError, type Tables } from "../database.ts";
import { systemClock } from "../ports.ts";
import { groupedSync, syncFolderOf } from "./grouped-sync.ts";
import { migrations } from "./migrations.ts";
import { sqliteDialect } from "./sqlite-driver.ts";

/** At the start two programs may migrate at the same moment; only then SQLite itself may make the program wait. */
const startPatienceMs = 5_000;
const scrubTries = 50;
const scrubPauseMs = 100;

export interface OpenDatabase {
  database: Database;
  /** Empties the write-ahead log, which keeps old text of rows that have been changed. */
  scrub(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens (and, when needed, creates and migrates) the database file.
 *
 * Every commit survives a power cut before it counts as done (`grouped-sync.ts`). `secure_delete` overwrites what is
 * deleted, so that a prompt that is no longer kept is nowhere in the file. The command and a running server share one
 * file: WAL mode.
 */
export async function openSqlite(path: string): Promise<OpenDatabase> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const file = new BunDatabase(path, { create: true, strict: true });
  chmodSync(path, 0o600);
  // First, so that a second process that is starting at the same moment waits instead of failing.
  file.run(`PRAGMA busy_timeout = ${startPatienceMs}`);
  for (const pragma of ["journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON"]) {
    await patiently(() => file.run(`PRAGMA ${pragma}`));
  }
  const database: Database = new Kysely<Tables>({ dialect: sqliteDialect(file, groupedSync(`${path}-wal`)) });
  // One write transaction around all migrations: a second process that starts now waits, then finds nothing to do.
  file.run("BEGIN IMMEDIATE");
  try {
    await migrate(database);
    file.run("COMMIT");
  } catch (error) {
    file.run("ROLLBACK");
    throw error;
  }
  syncFolderOf(path);
  // From here on requests are served, and nothing may stop the program: the driver waits for locks asynchronously.
  file.run("PRAGMA busy_timeout = 0");
  return {
    database,
    scrub: () => scrub(database),
    close: () => database.destroy(),
  };
}

/** Changing the journal mode is refused at once while another program opens or closes the file, whatever `busy_timeout` says. */
async function patiently(work: () => void): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      return work();
    } catch (error) {
      const busy = String((error as { code?: string }).code).startsWith("SQLITE_BUSY");
      if (!busy || tries >= 200) throw error;
      await Bun.sleep(25);
    }
  }
}

/** A reader or writer in another program can be in the way for a moment. */
async function scrub(database: Database): Promise<void> {
  for (let tries = 0; tries < scrubTries; tries += 1) {
    const { rows } = await sql<{ busy: number }>`PRAGMA wal_checkpoint(TRUNCATE)`.execute(database);
    if (rows[0]?.busy === 0) return;
    await systemClock.sleep(scrubPauseMs);
  }
  throw new DatabaseUnavailableError("the write-ahead log could not be emptied: another program is using it");
}

async function migrate(database: Database): Promise<void> {
  const migrator = new Migrator({
    db: database,
    provider: { getMigrations: async () => migrations },
    disableTransactions: true,
  });
  const { error } = await migrator.migrateToLatest();
  if (error) throw error;
}
