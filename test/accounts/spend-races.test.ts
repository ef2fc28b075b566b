/** Budgets under races: never overshot by one request, however many run at once. */
import { afterEach, expect, test } from "bun:test";
import { type Accounts, atOnce, count, small, smallNanos, smallUsd, startAccounts } from "./support.ts";

let accounts: Accounts;
afterEach(() => accounts.stop());

const newYearsEve = Date.UTC(2026, 11, 31, 23, 30);
const status = async (key: string, body: object = small) => (await accounts.router.generate(body, { key })).status;
const counters = (hash: string) =>
  accounts.sql(`select held_nanos, used_nanos, charged_nanos, running from key_counters where key_hash = '${hash}'`);

for (const reset of ["daily", "weekly", "monthly", null]) {
  test(`${reset ?? "lifetime"}: a budget for 37 of 200 at once delivers exactly 37`, async () => {
    accounts = await startAccounts({ frozenAt: newYearsEve });
    const { data, key } = await accounts.makeKey({ limit: 0.607999999, limit_reset: reset }); // a nano short of 38
    const answers = await atOnce(200, () => accounts.router.generate(small, { key }));
    expect([count(answers, 200), count(answers, 402)]).toEqual([37, 163]);
    expect(accounts.openai.billed).toBe(37);
    const used = 37 * smallNanos;
    expect(counters(data.hash)).toEqual([{ held_nanos: 0, used_nanos: used, charged_nanos: used, running: 0 }]);
    expect(accounts.sql("select charged_nanos, held_nanos from account")).toEqual([
      { charged_nanos: used, held_nanos: 0 },
    ]);
  }, 30_000);
}

test("a budget that is lowered while requests race is never exceeded from then on", async () => {
  accounts = await startAccounts();
  const { data, key } = await accounts.makeKey({ type: "live", limit: 100 });
  let lowered = false;
  const late: Response[] = [];
  const racing = atOnce(4, async () => {
    while (late.length < 12) {
      const begunLate = lowered;
      const answer = await accounts.router.generate(small, { key });
      if (begunLate) late.push(answer);
    }
  });
  await accounts.openai.arrived(8);
  await accounts.changeKey(data.hash, { limit: smallUsd });
  lowered = true;
  await racing;
  expect(count(late, 402)).toBe(late.length);
}, 20_000);

test("n pictures are held and charged as n; fewer delivered cost less and free the rest", async () => {
  accounts = await startAccounts();
  const { data, key } = await accounts.makeKey({ limit: 4 * smallUsd });
  expect(await status(key, { ...small, n: 5 })).toBe(402);
  accounts.openai.next({ kind: "fewer", images: 1 });
  expect(await status(key, { ...small, n: 4 })).toBe(200);
  expect(await accounts.readKey(data.hash)).toMatchObject({ usage: smallUsd, limit_remaining: 3 * smallUsd });
  expect(await status(key, { ...small, n: 3 })).toBe(200);
  expect(await status(key)).toBe(402);
});
