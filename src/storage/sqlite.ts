/** Rows on one machine: SQLite in WAL mode through the runtime's own driver. */
import { Database as BunDatabase, type SQLQueryBindings } from "bun:sqlite";
import { chmodSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { Kysely, SqliteDialect, sql } from "kysely";
import { Migrator } from "kysely/migration";
import type { Database, Tables } from "../database.ts";
import { migrations } from "./migrations.ts";

export interface OpenDatabase {
  database: Database;
  /** Empties the write-ahead log, which keeps old text of rows that have been changed. */
  scrub(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens (and, when needed, creates and migrates) the database file.
 *
 * `synchronous=FULL` makes every commit survive a power cut; `secure_delete` overwrites what is deleted, so that a
 * prompt that is no longer kept is nowhere in the file. The command and a running server share one file: WAL mode.
 */
export async function openSqlite(path: string): Promise<OpenDatabase> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const file = new BunDatabase(path, { create: true, strict: true });
  chmodSync(path, 0o600);
  // First, so that a second process that is starting at the same moment waits instead of failing.
  file.run("PRAGMA busy_timeout = 5000");
  for (const pragma of ["journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"]) {
    await patiently(() => file.run(`PRAGMA ${pragma}`));
  }
  const database: Database = new Kysely<Tables>({ dialect: new SqliteDialect({ database: forKysely(file) }) });
  // One write transaction around all migrations: a second process that starts now waits, then finds nothing to do.
  file.run("BEGIN IMMEDIATE");
  try {
    await migrate(database);
    file.run("COMMIT");
  } catch (error) {
    file.run("ROLLBACK");
    throw error;
  }
  return {
    database,
    scrub: async () => {
      await sql`PRAGMA wal_checkpoint(TRUNCATE)`.execute(database);
    },
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

async function migrate(database: Database): Promise<void> {
  const migrator = new Migrator({
    db: database,
    provider: { getMigrations: async () => migrations },
    disableTransactions: true,
  });
  const { error } = await migrator.migrateToLatest();
  if (error) throw error;
}

/** Kysely's SQLite dialect speaks better-sqlite3; the runtime's driver differs in three calls. */
function forKysely(file: BunDatabase) {
  return {
    close: () => file.close(),
    prepare(sql: string) {
      // Every transaction here writes. Taking the write lock at its first read instead of its first write lets a
      // second process wait for it; a lock taken later fails at once when the other has written meanwhile.
      const statement = file.query(sql === "begin" ? "begin immediate" : sql);
      const bind = (parameters: readonly unknown[]) => parameters as SQLQueryBindings[];
      return {
        reader: statement.columnNames.length > 0,
        all: (parameters: readonly unknown[]) => statement.all(...bind(parameters)),
        run: (parameters: readonly unknown[]) => statement.run(...bind(parameters)),
        iterate: (parameters: readonly unknown[]) =>
          statement.iterate(...bind(parameters)) as IterableIterator<unknown>,
      };
    },
  };
}
