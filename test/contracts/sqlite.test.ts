/** The one-machine database: opened by many at once, durable, readable by its owner alone, and able to forget. */
import { Database as BunDatabase } from "bun:sqlite";
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import { migrations } from "../../src/storage/migrations.ts";
import { type OpenDatabase, openSqlite } from "../../src/storage/sqlite.ts";

// For machines that are busy with everything else.
setDefaultTimeout(40_000);

const undone: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of undone.splice(0).reverse()) await end();
});

function newPath(): string {
  const folder = mkdtempSync(join(tmpdir(), "arouter-sqlite-"));
  undone.push(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "a", "data", "arouter.db");
}

async function opened(path: string): Promise<OpenDatabase> {
  const database = await openSqlite(path);
  undone.push(() => database.close());
  return database;
}

const modeOf = (path: string) => statSync(path).mode & 0o777;
const fact = (value: string) => ({ name: value.slice(0, 40), value });
const factsIn = async ({ database }: OpenDatabase) =>
  (await database.selectFrom("facts").selectAll().orderBy("name").execute()).map(({ name }) => name);
/** The files that hold this text, or bytes of it. */
const filesWith = (path: string, text: string) =>
  ["", "-wal", "-shm", "-journal"].filter(
    (ending) => existsSync(path + ending) && readFileSync(path + ending).includes(text),
  );

describe("opening", () => {
  test("sets what durability and forgetting need", async () => {
    const { database } = await opened(newPath());
    const expected = { journal_mode: "wal", synchronous: 1, secure_delete: 1, busy_timeout: 0 };
    for (const [name, value] of Object.entries(expected)) {
      const { rows } = await sql<Record<string, unknown>>`PRAGMA ${sql.raw(name)}`.execute(database);
      expect({ [name]: Object.values(rows[0] ?? {})[0] }).toEqual({ [name]: value });
    }
  });

  test("makes the folder and every file for the owner's eyes only", async () => {
    const path = newPath();
    const store = await opened(path);
    await store.database.insertInto("facts").values(fact("x")).execute();
    for (const ending of ["", "-wal", "-shm"])
      expect({ ending, mode: modeOf(path + ending) }).toEqual({ ending, mode: 0o600 });
    expect(modeOf(join(path, "..")) & 0o077).toBe(0);
  });

  test("takes away what others could read of a file that was there", async () => {
    const path = newPath();
    await (await openSqlite(path)).close();
    chmodSync(path, 0o644);
    await opened(path);
    expect(modeOf(path)).toBe(0o600);
  });

  test("again changes nothing, and a closed database leaves one file", async () => {
    const path = newPath();
    const first = await openSqlite(path);
    await first.database.insertInto("facts").values(fact("kept")).execute();
    await first.close();
    expect(readdirSync(join(path, ".."))).toEqual(["arouter.db"]);
    const second = await opened(path);
    expect(await factsIn(second)).toEqual(["kept"]);
    const done = await sql<{ name: string }>`select name from kysely_migration`.execute(second.database);
    expect(done.rows.map(({ name }) => name)).toEqual(Object.keys(migrations));
  });

  test("what is no database is refused and left as it is", async () => {
    const path = newPath();
    await (await openSqlite(path)).close();
    writeFileSync(path, "this is a letter, not a database. ".repeat(100));
    await expect(openSqlite(path)).rejects.toThrow();
    expect(readFileSync(path, "utf8")).toStartWith("this is a letter");
  });
});

describe("many programs", () => {
  /** Opens file after file from the moment the starting gun (a file) is there, and writes a row into each. */
  const program = `
    import { existsSync } from "node:fs";
    const [, , , module, path, gun, name] = ["", ...process.argv];
    const { openSqlite } = await import(module);
    while (!existsSync(gun)) await Bun.sleep(1);
    for (let turn = 0; turn < 8; turn += 1) {
      const { database, close } = await openSqlite(path + turn);
      await database.insertInto("facts").values({ name, value: "" }).execute();
      await close();
    }
  `;

  test("at once on a new file: all migrate or wait, none fails, no row is lost", async () => {
    const storage = join(import.meta.dirname, "..", "..", "src", "storage", "sqlite.ts");
    const path = newPath();
    const folder = join(path, "..", "..", "..");
    const script = join(folder, "open.ts");
    const gun = join(folder, "gun");
    writeFileSync(script, program);
    const names = Array.from({ length: 6 }, (_, index) => `program ${index}`);
    const children = names.map((name) =>
      Bun.spawn([process.execPath, script, storage, path, gun, name], { stderr: "pipe", stdout: "ignore" }),
    );
    await Bun.sleep(300); // all are at the line; a late one only makes the race a smaller one
    writeFileSync(gun, "");
    const ends = await Promise.all(
      children.map(async (child) => ({ stderr: await new Response(child.stderr).text(), code: await child.exited })),
    );
    expect(ends).toEqual(names.map(() => ({ stderr: "", code: 0 })));
    for (let turn = 0; turn < 8; turn += 1) expect(await factsIn(await opened(path + turn))).toEqual(names);
  });

  test("a writer waits for another's transaction instead of failing", async () => {
    const path = newPath();
    const store = await opened(path);
    const holder = Bun.spawn(
      [
        process.execPath,
        "-e",
        `const { Database } = require("bun:sqlite"); const d = new Database(${JSON.stringify(path)});
         d.run("BEGIN IMMEDIATE"); d.run("insert into facts values ('held', '')"); console.log("held");
         setTimeout(() => { d.run("COMMIT"); d.close(); }, 400);`,
      ],
      { stdout: "pipe" },
    );
    await holder.stdout.getReader().read();
    await store.database.insertInto("facts").values(fact("waited")).execute();
    expect(await factsIn(store)).toEqual(["held", "waited"]);
    await holder.exited;
  });

  test("a program that is killed in a transaction leaves nothing of it", async () => {
    const path = newPath();
    const store = await opened(path);
    const child = Bun.spawn(
      [
        process.execPath,
        "-e",
        `const { Database } = require("bun:sqlite"); const d = new Database(${JSON.stringify(path)});
         d.run("insert into facts values ('committed', '')"); d.run("BEGIN IMMEDIATE");
         d.run("insert into facts values ('half', '')"); console.log("half"); setInterval(() => {}, 1000);`,
      ],
      { stdout: "pipe" },
    );
    await child.stdout.getReader().read();
    child.kill("SIGKILL");
    await child.exited;
    expect(await factsIn(store)).toEqual(["committed"]);
    await store.database.insertInto("facts").values(fact("later")).execute();
  });
});

describe("forgetting", () => {
  const canary = (index: number) => `canary-${index}-${"wing".repeat(200)}`;

  test("scrub takes deleted and overwritten text out of every file", async () => {
    const path = newPath();
    const store = await opened(path);
    const { database } = store;
    // Small and large values side by side, so that pages split, overflow and merge.
    for (let index = 0; index < 300; index += 1) {
      await database
        .insertInto("facts")
        .values({ name: `n${index}`, value: canary(index) })
        .execute();
      const large = canary(index).repeat(1 + (index % 12));
      if (index % 3 === 0)
        await database
          .insertInto("facts")
          .values({ name: `l${index}`, value: large })
          .execute();
    }
    expect(filesWith(path, "canary-")).toContain("-wal");
    await database.updateTable("facts").set({ value: "" }).where("name", "like", "n%").execute();
    await database.deleteFrom("facts").where("name", "like", "l%").execute();
    expect(filesWith(path, "canary-")).not.toEqual([]);
    await store.scrub();
    expect(filesWith(path, "canary-")).toEqual([]);
    expect(filesWith(path, "wingwing")).toEqual([]);
    expect(statSync(`${path}-wal`).size).toBe(0);
    expect(await factsIn(store)).toHaveLength(300);
  });

  test("also while another program has the file open, and reads in between", async () => {
    const path = newPath();
    const store = await opened(path);
    const reader = new BunDatabase(path, { readwrite: true });
    undone.push(() => reader.close());
    await store.database
      .insertInto("facts")
      .values(fact(canary(1)))
      .execute();
    expect(reader.query("select count(*) as rows from facts").get()).toEqual({ rows: 1 });
    await store.database.deleteFrom("facts").execute();
    await store.scrub();
    expect(filesWith(path, "canary-")).toEqual([]);
    expect(reader.query("select count(*) as rows from facts").get()).toEqual({ rows: 0 });
  });
});
