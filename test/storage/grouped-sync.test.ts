/** Commits are durable before they count as done, and many share one flush. */
import { Database as BunDatabase } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Kysely } from "kysely";
import { type GroupedSync, groupedSync } from "../../src/storage/grouped-sync.ts";
import { sqliteDialect } from "../../src/storage/sqlite-driver.ts";

const folder = mkdtempSync(join(tmpdir(), "arouter-sync-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("what comes while a flush runs shares the next one", async () => {
  const path = join(folder, "shared");
  writeFileSync(path, "");
  const log = groupedSync(path);
  const order: string[] = [];
  const first = log.flushed().then(() => order.push("first"));
  const others = Promise.all(Array.from({ length: 50 }, () => log.flushed())).then(() => order.push("others"));
  await Promise.all([first, others]);
  expect(order).toEqual(["first", "others"]);
  await log.close();
});

test("a log that cannot be flushed says so to everyone who waits, and is tried again", async () => {
  const path = join(folder, "missing");
  const log = groupedSync(path);
  const results = await Promise.allSettled([log.flushed(), log.flushed()]);
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  writeFileSync(path, "");
  await log.flushed();
  await log.close();
});

test("a write is done only after its flush; others write meanwhile; a read needs none", async () => {
  let flushes = 0;
  const gate = Promise.withResolvers<void>();
  const log: GroupedSync = {
    flushed: () => {
      flushes += 1;
      return gate.promise;
    },
    close: async () => {},
  };
  const file = new BunDatabase(":memory:", { strict: true });
  file.run("create table facts (name text)");
  const database = new Kysely<{ facts: { name: string } }>({ dialect: sqliteDialect(file, log) });
  const done: string[] = [];
  const single = database.insertInto("facts").values({ name: "single" }).execute();
  const transaction = database
    .transaction()
    .execute((within) => within.insertInto("facts").values({ name: "within" }).execute());
  void single.then(() => done.push("single"));
  void transaction.then(() => done.push("transaction"));
  while (flushes < 2) await Bun.sleep(1);
  // Both are committed, neither counts as done.
  expect((await database.selectFrom("facts").selectAll().execute()).length).toBe(2);
  expect([flushes, done]).toEqual([2, []]);
  gate.resolve();
  await Promise.all([single, transaction]);
  await database.destroy();
});

test("a flush that fails is the writer's error and never touches another's transaction", async () => {
  const log: GroupedSync = { flushed: () => Promise.reject(new Error("EIO")), close: async () => {} };
  const file = new BunDatabase(":memory:", { strict: true });
  file.run("create table facts (name text)");
  const database = new Kysely<{ facts: { name: string } }>({ dialect: sqliteDialect(file, log) });
  const insert = (name: string) =>
    database.transaction().execute((within) => within.insertInto("facts").values({ name }).execute());
  const results = await Promise.allSettled([insert("one"), insert("other")]);
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(file.query("select name from facts").all()).toEqual([{ name: "one" }, { name: "other" }]);
  await database.destroy();
});
