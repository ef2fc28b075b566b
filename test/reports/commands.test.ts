/** The command line: credits, usage, ledger check and report, beside a server that runs on the same data. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { drawBar } from "../../src/commands/bars.ts";
import { type Bench, requests, startBench } from "./support.ts";

let bench: Bench;
const root = join(import.meta.dir, "../..");
const today = () => new Date().toISOString().slice(0, 10);

beforeAll(async () => {
  bench = await startBench();
  await Promise.all([
    bench.router.generate(requests.two),
    bench.router.generate(requests.large, { key: bench.other }),
    bench.router.generate(requests.small, { key: bench.router.keys.test }),
  ]);
});
afterAll(() => bench.stop());

async function arouter(...command: string[]): Promise<{ code: number; out: string; err: string }> {
  const program = Bun.spawn([process.execPath, join(root, "src/main.ts"), ...command], {
    cwd: bench.router.dataFolder, // no .env of the developer's
    env: { PATH: process.env.PATH ?? "", AROUTER_DATA: bench.router.dataFolder },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([program.stdout.text(), program.stderr.text(), program.exited]);
  return { code, out, err };
}

async function file(name: string, text: string): Promise<string> {
  const path = join(bench.router.dataFolder, name);
  await Bun.write(path, text);
  return path;
}

test("credits add and show", async () => {
  expect((await arouter("credits", "show", "--json")).out).toBe(
    '{"balance":-0.076,"currency":"USD","held":0,"available":-0.076}\n',
  );
  const added = await arouter("credits", "add", "25.000000001", "--note", "first of the month");
  expect(added).toMatchObject({ code: 0, out: "$25.000000001 is added. The balance is $24.924000001.\n" });
  expect((await arouter("credits", "add", "-0.5", "--json")).out).toBe(
    '{"balance":24.424000001,"currency":"USD","held":0,"available":24.424000001}\n',
  );
  expect((await arouter("credits", "show")).out).toBe(
    "$24.424000001; running requests hold $0, which leaves $24.424000001.\n",
  );
  expect(
    bench.sql("select kind, amount_nanos, note from movements where kind in ('credit', 'adjustment') order by id"),
  ).toEqual([
    { kind: "credit", amount_nanos: 25_000_000_001, note: "first of the month" },
    { kind: "adjustment", amount_nanos: -500_000_000, note: null },
  ]);
  await Promise.all(
    ["0", "1.0000000001", "2000000000"].map(async (wrong) => {
      const refused = await arouter("credits", "add", wrong);
      expect([wrong, refused.code]).toEqual([wrong, 1]);
      expect(refused.err).toContain("amount");
    }),
  );
  expect(await bench.json<object>("/api/v1/balance")).toEqual({ balance: 24.424000001, currency: "USD" });
}, 60_000);

test("usage: a table with bars, JSON and CSV", async () => {
  const byModel = await arouter("usage", "--by", "model");
  expect(byModel.out.split("\n")).toEqual([
    "MODEL            REQUESTS  IMAGES    COST",
    "openai/dall-e-3         1       1   $0.04  ██████████████████████████████",
    "openai/dall-e-2         2       3  $0.036  ███████████████████████████",
    "TOTAL                   3       4  $0.076",
    "",
  ]);
  const byDay = (await arouter("usage", "--days", "3")).out.split("\n");
  expect(byDay).toHaveLength(6);
  expect(byDay[1]).toMatch(/^\d{4}-\d\d-\d\d {9}0 {7}0 {6}\$0$/);
  expect(byDay[3]).toStartWith(today());
  expect(byDay[3]).toEndWith("3       4  $0.076  ██████████████████████████████");
  const json = JSON.parse((await arouter("usage", "--by", "key", "--json")).out);
  expect(json.totals).toEqual({ requests: 3, images: 4, estimated_cost_usd: 0.076 });
  expect(json.data).toContainEqual({
    key_id: bench.hashes.other,
    name: "other live",
    requests: 1,
    images: 1,
    estimated_cost_usd: 0.04,
  });
  expect((await arouter("usage", "--by", "provider", "--csv")).out).toBe(
    "provider,requests,images,estimated_cost_usd\r\nopenai,2,3,0.076\r\nsandbox,1,1,0\r\n",
  );
  expect((await arouter("usage", "--days", "0")).code).toBe(1);
  expect((await arouter("usage", "--by", "week")).code).toBe(1);
}, 60_000);

test("bars are exact to an eighth, and anything above nothing is seen", () => {
  expect([0n, 1n, 8n, 9n, 15n, 16n].map((value) => drawBar(value, 16n, 2))).toEqual(["", "▏", "█", "█▏", "█▉", "██"]);
  expect(drawBar(1n, 10n ** 18n, 30)).toBe("▏");
  expect(drawBar(0n, 0n, 30)).toBe("");
  for (let value = 0n; value <= 240n; value++) {
    expect(Bun.stringWidth(drawBar(value, 240n, 30))).toBe(Math.ceil(Number(value) / 8));
  }
});

test("ledger report", async () => {
  const path = await file(
    "invoice.csv",
    `date,model,amount_usd,images\n${today()},dall-e-2,0.04,2\n${today()},dall-e-3,"$0.04",1\n`,
  );
  const report = await arouter("ledger", "report", "--invoice", path, "--provider", "openai");
  expect(report.out.split("\n").slice(0, 4)).toEqual([
    "DAY         MODEL            INVOICE  RECORDED  DIFFERENCE  INVOICED IMAGES  RECORDED IMAGES  RECORDED FROM",
    `${today()}  openai/dall-e-2     0.04     0.036      +0.004                2                2  list price`,
    `${today()}  openai/dall-e-3     0.04      0.04           0                1                1  list price`,
    "TOTAL                           0.08     0.076      +0.004                3                3  list price",
  ]);
  const json = JSON.parse((await arouter("ledger", "report", "--invoice", path, "--json")).out);
  expect(json.totals).toEqual({
    invoice_usd: 0.08,
    recorded_usd: 0.076,
    difference_usd: 0.004,
    invoice_images: 3,
    recorded_images: 3,
    recorded_from: "list_price",
  });
  // The provider's own name of a model is understood.
  const named = await file("named.csv", `date,model,amount_usd\n${today()},black-forest-labs/flux-pro,1\n`);
  expect(JSON.parse((await arouter("ledger", "report", "--invoice", named, "--json")).out).rows[0].model).toBe(
    "black-forest-labs/flux-1-pro",
  );
  const broken = await arouter(
    "ledger",
    "report",
    "--invoice",
    await file("broken.csv", "date,model,amount_usd\nx,y,z\n"),
  );
  expect([broken.code, broken.err]).toMatchObject([1, expect.stringContaining("line 2: amount_usd is 'z'")]);
  expect((await arouter("ledger", "report", "--invoice", "/nowhere.csv")).code).toBe(1);
}, 60_000);

test("ledger check: 0 when all is right, 1 with each deviation named", async () => {
  expect(await arouter("ledger", "check")).toMatchObject({
    code: 0,
    out: "The ledger is right: every balance and every invariant holds.\n",
  });
  expect((await arouter("ledger", "check", "--json")).out).toBe('{"ok":true,"deviations":[]}\n');
  bench.run("update account set held_nanos = 5");
  const wrong = await arouter("ledger", "check");
  expect([wrong.code, wrong.out]).toEqual([
    1,
    "default: account held_nanos: expected 0, found 5\ndefault: account held_nanos = quotes of what runs: expected 0, found 5\n",
  ]);
  const json = await arouter("ledger", "check", "--json");
  expect([json.code, JSON.parse(json.out)]).toMatchObject([
    1,
    { ok: false, deviations: [{ id: "default", expected: "0", found: "5" }, {}] },
  ]);
  bench.run("update account set held_nanos = 0");
}, 60_000);
