/** How our driver behaves when another program, or a full disk, is in the way. */
import { Database as BunDatabase } from "bun:sqlite";
import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { sql } from "kysely";
import { DatabaseUnavailableError } from "../../src/database.ts";
import { type OpenDatabase, openSqlite } from "../../src/storage/sqlite.ts";
import { killAll, makeFolder, removeFolder, startChild } from "../crash/harness.ts";

let folder: string;
let opened: OpenDatabase;
let other: BunDatabase;

beforeEach(async () => {
  folder = makeFolder();
  opened = await openSqlite(join(folder, "arouter.db"));
  other = new BunDatabase(join(folder, "arouter.db"));
});
afterEach(async () => {
  other.close();
  await opened.close();
  removeFolder(folder);
});
afterAll(killAll);

const write = (value: string) => opened.database.insertInto("facts").values({ name: value, value }).execute();
const facts = () => opened.database.selectFrom("facts").select("name").orderBy("name").execute();

test("a writer waits for another program's lock; reads and timers go on meanwhile", async () => {
  other.run("BEGIN IMMEDIATE");
  let written = false;
  const writing = write("one").then(() => {
    written = true;
  });
  const inTransaction = opened.database.transaction().execute(async (transaction) => {
    await transaction.insertInto("facts").values({ name: "two", value: "" }).execute();
  });
  const begun = performance.now();
  await Bun.sleep(100);
  expect(await facts()).toEqual([]);
  // Read-only transactions take no lock.
  const seen = await opened.database
    .transaction()
    .setAccessMode("read only")
    .execute((transaction) => transaction.selectFrom("facts").selectAll().execute());
  expect([seen.length, written]).toEqual([0, false]);
  expect(performance.now() - begun).toBeLessThan(1_000);
  other.run("ROLLBACK");
  await Promise.all([writing, inTransaction]);
  expect(await facts()).toEqual([{ name: "one" }, { name: "two" }]);
});

test("statements between those of a transaction wait for its end", async () => {
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const inTransaction = opened.database.transaction().execute(async (transaction) => {
    await transaction.insertInto("facts").values({ name: "inside", value: "" }).execute();
    await held;
    throw new Error("rolled back");
  });
  await Bun.sleep(20);
  const outside = write("outside");
  release();
  await expect(inTransaction).rejects.toThrow("rolled back");
  await outside;
  expect(await facts()).toEqual([{ name: "outside" }]);
});

test("a full disk says so, whether SQLite has rolled back by itself or not, and the next transaction works", async () => {
  const { rows } = await sql<{ page_count: number }>`PRAGMA page_count`.execute(opened.database);
  await sql`PRAGMA max_page_count = ${sql.raw(String(rows[0]?.page_count))}`.execute(opened.database);
  const large = "x".repeat(1_000_000);
  const full = opened.database.transaction().execute(async (transaction) => {
    await transaction.insertInto("facts").values({ name: "small", value: "" }).execute();
    await transaction.insertInto("facts").values({ name: "large", value: large }).execute();
  });
  await expect(full).rejects.toBeInstanceOf(DatabaseUnavailableError);
  await write("after");
  expect(await facts()).toEqual([{ name: "after" }]);
});

test("a mistake of ours is thrown as it is", async () => {
  await write("one");
  const twice = await write("one").catch((error: unknown) => error);
  expect(twice).not.toBeInstanceOf(DatabaseUnavailableError);
  expect(String(twice)).toContain("UNIQUE");
});

test("two servers that start at the same moment on an empty folder: both serve, one makes the keys", async () => {
  const empty = makeFolder();
  const [one, two] = await Promise.all([startChild(empty, {}), startChild(empty, {})]);
  expect([one?.keys.live, two?.keys.live].filter((key) => key !== "")).toHaveLength(1);
  await Promise.all([one?.kill(), two?.kill()]);
  removeFolder(empty);
}, 30_000);
