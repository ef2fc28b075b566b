/**
 * How the core's statements reach one SQLite file. Another program may hold the file's write lock: waiting for it
 * happens here and asynchronously, because SQLite's own busy timeout would stop the whole program, its timers and its
 * picture streams included. While a writer waits, reads go on.
 */
import type { Database as BunDatabase, SQLQueryBindings } from "bun:sqlite";
import { setImmediate } from "node:timers/promises";
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type TransactionSettings,
} from "kysely";
import { DatabaseUnavailableError } from "../database.ts";
import { systemClock } from "../ports.ts";
import type { GroupedSync } from "./grouped-sync.ts";

/** How long a statement or a transaction waits for another program's write lock, and how often it looks. */
const patienceMs = 5_000;
const firstDelayMs = 1;
const maxDelayMs = 30;

/** What may pass: locked, full, read-only, failing. Everything else is a mistake of ours and thrown as it is. */
const passing = /^SQLITE_(BUSY|LOCKED|FULL|READONLY|IOERR|CANTOPEN|PROTOCOL)/;

/** @param log makes commits durable before they count as done */
export function sqliteDialect(file: BunDatabase, log: GroupedSync): Dialect {
  return {
    createAdapter: () => new Adapter(),
    createDriver: () => new SqliteDriver(file, log),
    createIntrospector: (database) => new SqliteIntrospector(database),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

/** Kysely would serialize whole waits on its own; the driver's turns are shorter. */
class Adapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}

class SqliteDriver implements Driver {
  private readonly file: BunDatabase;
  private readonly log: GroupedSync;
  private readonly turns = new Turns();

  constructor(file: BunDatabase, log: GroupedSync) {
    this.file = file;
    this.log = log;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<Connection> {
    return new Connection(this.file, this.log, this.turns);
  }

  beginTransaction(connection: DatabaseConnection, { accessMode }: TransactionSettings): Promise<void> {
    return own(connection).begin(accessMode === "read only" ? "BEGIN" : "BEGIN IMMEDIATE");
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await own(connection).commit();
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    own(connection).rollback();
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {
    await this.turns.next();
    await this.log.close();
    this.file.close();
  }
}

function own(connection: DatabaseConnection): Connection {
  if (!(connection instanceof Connection)) throw new Error("not a connection of this driver");
  return connection;
}

/** One caller's use of the one file: a single statement takes a turn, a transaction keeps its turn until it ends. */
class Connection implements DatabaseConnection {
  private readonly file: BunDatabase;
  private readonly log: GroupedSync;
  private readonly turns: Turns;
  private endTurn: (() => void) | undefined;
  /** Whether there is something to make durable. */
  private wrote = false;

  constructor(file: BunDatabase, log: GroupedSync, turns: Turns) {
    this.file = file;
    this.log = log;
    this.turns = turns;
  }

  async executeQuery<Row>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
    if (this.endTurn !== undefined) return translated(() => this.run(sql, parameters));
    const result = await patiently(async () => {
      const endTurn = await this.turns.next();
      try {
        return this.run<Row>(sql, parameters);
      } finally {
        endTurn();
      }
    });
    await this.makeDurable();
    return result;
  }

  // biome-ignore lint/correctness/useYield: nothing here is large enough to be streamed
  async *streamQuery(): AsyncGenerator<never> {
    throw new Error("queries are not streamed");
  }

  /**
   * A transaction that writes begins with the write lock. Taking it at its first read instead of its first write lets
   * a second program wait for it; a lock taken later fails at once when the other has written meanwhile.
   */
  async begin(statement: "BEGIN" | "BEGIN IMMEDIATE"): Promise<void> {
    this.endTurn = await patiently(async () => {
      const endTurn = await this.turns.next();
      try {
        this.file.run(statement);
        return endTurn;
      } catch (error) {
        endTurn();
        throw error;
      }
    });
  }

  /** A commit that fails leaves the transaction open, for its rollback. */
  async commit(): Promise<void> {
    translated(() => this.file.run("COMMIT"));
    this.endTurn?.();
    this.endTurn = undefined;
    await this.makeDurable();
  }

  /** After the turn: others write meanwhile, and the next flush serves them all. */
  private async makeDurable(): Promise<void> {
    if (!this.wrote) return;
    this.wrote = false;
    try {
      await this.log.flushed();
    } catch (error) {
      throw new DatabaseUnavailableError("the database's log could not be flushed", { cause: error });
    }
  }

  rollback(): void {
    // Committed, but not flushed: there is nothing to roll back, and the open transaction is somebody else's.
    if (this.endTurn === undefined) return;
    try {
      // SQLite has rolled back by itself already after some errors, a full disk for one.
      translated(() => this.file.inTransaction && this.file.run("ROLLBACK"));
    } finally {
      this.endTurn();
      this.endTurn = undefined;
      this.wrote = false;
    }
  }

  private run<Row>(sql: string, parameters: readonly unknown[]): QueryResult<Row> {
    const statement = this.file.query(sql);
    const bindings = parameters as SQLQueryBindings[];
    if (statement.columnNames.length > 0) return { rows: statement.all(...bindings) as Row[] };
    const { changes, lastInsertRowid } = statement.run(...bindings);
    this.wrote = true;
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
  }
}

/** First come, first served; however many wait, the program's other work gets its chance every millisecond. */
class Turns {
  private last: Promise<void> = Promise.resolve();
  private breathedAt = 0;

  /** Resolves when it is the caller's turn, with what ends it. */
  async next(): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.last;
    this.last = promise;
    await before;
    if (systemClock.now() !== this.breathedAt) {
      await setImmediate();
      this.breathedAt = systemClock.now();
    }
    return resolve;
  }
}

/** Tries again while another program holds the lock; nothing has been done when SQLite says so. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  let waitedMs = 0;
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, maxDelayMs)) {
    try {
      return await work();
    } catch (error) {
      if (!codeOf(error).startsWith("SQLITE_BUSY") || waitedMs >= patienceMs) throw translate(error);
    }
    await systemClock.sleep(delayMs);
    waitedMs += delayMs;
  }
}

function translated<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw translate(error);
  }
}

function translate(error: unknown): unknown {
  if (!passing.test(codeOf(error))) return error;
  return new DatabaseUnavailableError(`the database cannot do this now (${codeOf(error)})`, { cause: error });
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
