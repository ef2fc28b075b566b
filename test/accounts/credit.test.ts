/** The account's credit: enforced to the nano-dollar where the operator says so, otherwise only counted. */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { addCredit, readBalance } from "../../src/accounts/ledger.ts";
import { parseUsd } from "../../src/money.ts";
import { systemClock, systemRandom } from "../../src/ports.ts";
import { openSqlite } from "../../src/storage/sqlite.ts";
import { type Accounts, atOnce, count, messageOf, refusal, small, smallNanos, startAccounts } from "./support.ts";

let accounts: Accounts;
afterEach(() => accounts.stop());

const required = { env: { AROUTER_CREDIT: "required" } };

/** As the command does it: another process on the same database. */
async function credit(usd: string): Promise<void> {
  const { database, close } = await openSqlite(join(accounts.router.dataFolder, "arouter.db"));
  await addCredit(database, parseUsd(usd), null, { clock: systemClock, random: systemRandom });
  await close();
}

async function balance(): Promise<{ balance: bigint; held: bigint; available: bigint }> {
  const { database, close } = await openSqlite(join(accounts.router.dataFolder, "arouter.db"));
  const read = await readBalance(database);
  await close();
  return read;
}

test("required: nothing without credit, 402 that names what is left, exact to the nano-dollar", async () => {
  accounts = await startAccounts(required);
  const refused = await accounts.router.generate(small);
  expect([refused.status, refused.headers.get("x-should-retry")]).toEqual([402, "false"]);
  expect(await refusal(refused)).toEqual({ status: 402, code: "insufficient_credit", param: null });
  await credit("0.015999999");
  const short = await accounts.router.generate(small);
  expect(await messageOf(short)).toBe("This request may cost up to $0.016, but only $0.015999999 of credit is left.");
  await credit("0.000000001");
  expect((await accounts.router.generate(small)).status).toBe(200);
  expect(await balance()).toEqual({ balance: 0n, held: 0n, available: 0n });
  expect((await accounts.router.generate(small)).status).toBe(402);
  expect(accounts.openai.billed).toBe(1);
});

test("required: what was refused leaves no trace on the key or on the account", async () => {
  accounts = await startAccounts(required);
  const { data, key } = await accounts.makeKey({ limit: 1, rate_limit: { requests_per_minute: 5 } });
  const headers = { "idempotency-key": "poor" };
  expect((await accounts.router.generate(small, { key, headers })).status).toBe(402);
  expect(accounts.sql(`select * from key_counters where key_hash = '${data.hash}'`)).toMatchObject([
    { held_nanos: 0, running: 0, day_requests: 0 },
  ]);
  for (const table of ["generations", "movements", "idempotency", "recent_requests"]) {
    expect(accounts.sql(`select * from ${table}`)).toEqual([]);
  }
  await credit("1");
  expect((await accounts.router.generate(small, { key, headers })).status).toBe(200);
});

test("required: credit for 37 of 200 at once, over two keys, delivers exactly 37", async () => {
  accounts = await startAccounts(required);
  const other = await accounts.makeKey();
  await credit("0.607999999"); // a nano short of 38
  const { live } = accounts.router.keys;
  const answers = await atOnce(200, (position) =>
    accounts.router.generate(small, { key: position % 2 === 0 ? live : other.key }),
  );
  expect([count(answers, 200), count(answers, 402)]).toEqual([37, 163]);
  expect(accounts.openai.billed).toBe(37);
  expect(await balance()).toEqual({ balance: 15_999_999n, held: 0n, available: 15_999_999n });
}, 30_000);

test("required: what a running request holds is not to be had twice, and comes back when it fails", async () => {
  accounts = await startAccounts(required);
  await credit("0.016");
  accounts.openai.latencyMs = 1_500;
  accounts.openai.next({ kind: "answer", status: 500, body: {}, billed: true });
  const failing = accounts.router.generate(small);
  await accounts.openai.arrived();
  expect(await balance()).toEqual({ balance: 16_000_000n, held: 16_000_000n, available: 0n });
  const second = await accounts.router.generate(small);
  expect([second.status, await messageOf(second)]).toEqual([402, expect.stringContaining("only $0 of credit")]);
  expect((await failing).status).toBe(502);
  expect((await accounts.router.generate(small)).status).toBe(200);
});

test("required: the sandbox needs no credit", async () => {
  accounts = await startAccounts(required);
  expect((await accounts.router.generate(small, { key: accounts.router.keys.test })).status).toBe(200);
});

test("off: credit is only counted, and the balance may be negative", async () => {
  accounts = await startAccounts();
  for (let made = 1; made <= 3; made += 1) expect((await accounts.router.generate(small)).status).toBe(200);
  expect((await balance()).balance).toBe(BigInt(-3 * smallNanos));
  await credit("1");
  expect((await balance()).balance).toBe(1_000_000_000n - BigInt(3 * smallNanos));
});
