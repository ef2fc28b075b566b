/** The list of keys: newest first, in pages that stay where they are while keys are made. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { KeyObject } from "../../src/accounts/key-view.ts";
import { type Accounts, refusal, startAccounts } from "./support.ts";

interface List {
  data: KeyObject[];
  next_page_token: string | null;
}

let accounts: Accounts;
beforeAll(async () => {
  // Frozen: all keys are of the same millisecond, the hard case for an order by time.
  accounts = await startAccounts({ frozenAt: Date.UTC(2026, 4, 5, 12) });
});
afterAll(() => accounts.stop());

async function list(query = ""): Promise<List> {
  const answer = await accounts.call("GET", `/api/v1/keys${query}`);
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as List;
}

async function walk(size: number, between: () => Promise<unknown> = async () => {}): Promise<string[]> {
  const names: string[] = [];
  for (let token: string | null = null; ; ) {
    const page = await list(`?page_size=${size}${token === null ? "" : `&page_token=${encodeURIComponent(token)}`}`);
    names.push(...page.data.map(({ name }) => name));
    token = page.next_page_token;
    if (token === null) return names;
    await between();
  }
}

test("pages: complete, without repeats, also while keys are made", async () => {
  for (let number = 0; number < 7; number += 1) await accounts.makeKey({ name: `same time ${number}` });
  accounts.router.advance(1);
  for (let number = 0; number < 3; number += 1) await accounts.makeKey({ name: `later ${number}` });
  const all = (await list()).data.map(({ name }) => name);
  expect(all).toHaveLength(13); // with the three first keys
  expect(all.slice(0, 3).every((name) => name.startsWith("later"))).toBe(true);
  for (const size of [1, 2, 3, 5, 12, 13, 14]) expect(await walk(size)).toEqual(all);

  accounts.router.advance(1);
  const seen = await walk(3, () => accounts.makeKey({ name: "in between" }));
  expect(seen).toEqual(all);
});

test("disabled keys are left out unless asked for; offset skips", async () => {
  const { data } = await accounts.makeKey({ name: "to be disabled" });
  await accounts.changeKey(data.hash, { disabled: true });
  const has = async (query: string) => (await list(query)).data.some(({ hash }) => hash === data.hash);
  expect(await has("")).toBe(false);
  expect(await has("?include_disabled=false")).toBe(false);
  expect(await has("?include_disabled=true")).toBe(true);
  expect(await has("?include_disabled=True")).toBe(true);
  const all = (await list("?page_size=100")).data;
  expect((await list("?offset=2&page_size=3")).data).toEqual(all.slice(2, 5));
  expect(await list(`?offset=${all.length}`)).toEqual({ data: [], next_page_token: null });
  expect(await list(`?page_size=${all.length}`)).toEqual({ data: all, next_page_token: null });
});

test("fifty to a page, a hundred at most; what cannot be read is refused by name", async () => {
  for (let number = 0; number < 101; number += 1) await accounts.makeKey({ name: `many ${number}` });
  expect((await list()).data).toHaveLength(50);
  expect((await list("?page_size=100")).data).toHaveLength(100);
  const { next_page_token: token } = await list("?page_size=1");
  for (const [query, code, param] of [
    ["page_size=0", "integer_below_min_value", "page_size"],
    ["page_size=101", "integer_above_max_value", "page_size"],
    ["page_size=ten", "invalid_type", "page_size"],
    ["offset=-1", "integer_below_min_value", "offset"],
    ["include_disabled=maybe", "invalid_value", "include_disabled"],
    ["page_token=nonsense", "invalid_value", "page_token"],
    [`page_token=${token}&offset=1`, "invalid_value", "offset"],
    ["limit=5", "unknown_parameter", "limit"],
  ] as const) {
    expect(await refusal(await accounts.call("GET", `/api/v1/keys?${query}`))).toEqual({ status: 400, code, param });
  }
});

test("rows of `arouter generate` are nobody's keys", async () => {
  const now = Date.UTC(2026, 4, 5, 12);
  accounts.run(
    `insert into keys (hash, name, label, kind, created_at) values ('command-line-live', 'command line', 'command line', 'live', ${now})`,
  );
  accounts.run("insert into key_counters (key_hash) values ('command-line-live')");
  expect(await walk(100)).not.toContain("command line");
  expect((await accounts.call("GET", "/api/v1/keys/command-line-live")).status).toBe(404);
});
