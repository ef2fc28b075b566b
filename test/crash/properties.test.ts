/**
 * Random interleavings of requests, failures, cancellations, repeats, clock jumps over reset boundaries and restarts,
 * against the real router and the real storage. PROPERTY_RUNS for more of them; a failure prints its seed and its steps.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { commandLine, createKey, type NewKey } from "../../src/accounts/keys.ts";
import { addCredit } from "../../src/accounts/ledger.ts";
import { periodStart } from "../../src/accounts/periods.ts";
import type { LimitReset } from "../../src/database.ts";
import { parseUsd } from "../../src/money.ts";
import { systemClock, systemRandom } from "../../src/ports.ts";
import { openSqlite } from "../../src/storage/sqlite.ts";
import type { Fault, FaultPlace } from "../doubles/faults.ts";
import { startOpenAi } from "../doubles/openai.ts";
import { startReplicate } from "../doubles/replicate.ts";
import { startStability } from "../doubles/stability.ts";
import { startRouter, type TestRouter } from "../router.ts";
import { withoutJitter } from "../routing/short-pauses.ts";
import { eventually, query } from "./harness.ts";
import { expectCleanLedger } from "./ledger.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 20);
const mostMs = process.env.PROPERTY_RUNS === undefined ? 22_000 : 600_000;
const dayMs = 86_400_000;

const openai = startOpenAi({ latencyMs: 15 });
const stability = startStability({ rateLimit: Number.POSITIVE_INFINITY, credits: 1_000_000, latencyMs: 15 });
const replicate = startReplicate({ fileOrigin: "same", progress: { startMs: 5, runMs: 30 } });
const doubles = [openai, stability, replicate];
const env = {
  OPENAI_API_KEY: openai.key,
  OPENAI_BASE_URL: openai.url,
  STABILITY_API_KEY: stability.key,
  STABILITY_BASE_URL: stability.url,
  REPLICATE_API_TOKEN: replicate.key,
  REPLICATE_BASE_URL: replicate.url,
  AROUTER_CREDIT: "required",
  AROUTER_KEEP_PROMPTS: "always",
  AROUTER_DRAIN_TIMEOUT_MS: "20",
  AROUTER_UPSTREAM_TIMEOUT_MS: "1500",
  AROUTER_UPSTREAM_RETRIES: "2",
};
afterAll(() => Promise.all(doubles.map((double) => double.stop())));

/** Keys with limits of every kind; together they want more than the account has. */
const wantedKeys: NewKey[] = [
  { name: "lifetime", kind: "live", limit: parseUsd("0.2"), concurrent: 2 },
  { name: "daily", kind: "live", limit: parseUsd("0.12"), limitReset: "daily", requestsPerDay: 5 },
  { name: "weekly", kind: "live", limit: parseUsd("0.15"), limitReset: "weekly" },
  { name: "monthly", kind: "live", limit: parseUsd("0.1"), limitReset: "monthly", requestsPerMinute: 3 },
  { name: "free", kind: "test" },
  { name: "management", kind: "management" },
];
const firstCredit = "0.5";

const wishes = [
  { model: "openai/dall-e-2", size: "256x256" },
  { model: "openai/dall-e-2", size: "256x256", n: 3 },
  { model: "stability/stable-diffusion-3-large", n: 2 },
  { model: "black-forest-labs/flux-1-pro", size: "256x256" },
  { model: "black-forest-labs/flux-1-pro", size: "256x256", n: 2 },
  { model: "openai/dall-e-2", models: ["black-forest-labs/flux-1-pro"], size: "512x512", n: 2 },
  { models: ["stability/stable-diffusion-3-large", "openai/dall-e-2"], size: "1024x1024", n: 2 },
];
const words = ["", "", "", "[[500]]", "[[moderate]]", "[[402]]"];

/** What happens to the next call of one kind, at whichever provider it arrives first. */
const faults: [Fault, FaultPlace][] = [
  [{ kind: "cut" }, {}],
  [{ kind: "truncate" }, {}],
  [{ kind: "malformed" }, {}],
  [{ kind: "emptyData" }, {}],
  [{ kind: "fewer", images: 1 }, {}],
  [{ kind: "hang" }, {}],
  [{ kind: "htmlBadGateway" }, {}],
  [{ kind: "htmlBadGateway" }, { times: 3 }],
  [{ kind: "dimensions", width: 512, height: 512 }, {}],
  [{ kind: "htmlBadGateway" }, { on: "poll", times: 2 }],
  [{ kind: "cut" }, { on: "file" }],
];

const step = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant("ask" as const),
      key: fc.nat(4),
      wish: fc.nat(wishes.length - 1),
      word: fc.constantFrom(...words),
      /** Of a few orders, so that many requests are repeats; null: without an idempotency key. */
      order: fc.option(fc.nat(3)),
      wait: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("fault" as const), which: fc.nat(faults.length - 1) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("cancel" as const), which: fc.nat(3) }) },
  {
    weight: 3,
    // In all less than 90 days, after which records may go.
    arbitrary: fc.record({
      kind: fc.constant("advance" as const),
      ms: fc.constantFrom(20_000, 61_000, 3_700_000, dayMs, 3 * dayMs, 7 * dayMs),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("credit" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class World {
  readonly folder = mkdtempSync(join(tmpdir(), "arouter-property-"));
  private readonly secrets: string[] = [];
  private readonly asked: Promise<unknown>[] = [];
  private advanced = 0;
  private router: TestRouter | undefined;

  async start(): Promise<void> {
    if (this.secrets.length === 0) await this.furnish();
    const [live = "", , , , test = "", management = ""] = this.secrets;
    const keys = { live, test, management };
    this.router = await startRouter({ dataFolder: this.folder, keys, env, opened: withoutJitter });
    // Time goes on where it was.
    this.router.advance(this.advanced);
  }

  private async furnish(): Promise<void> {
    const ports = { clock: systemClock, random: systemRandom };
    const { database, close } = await openSqlite(join(this.folder, "arouter.db"));
    for (const wanted of wantedKeys) this.secrets.push((await createKey(database, wanted, commandLine, ports)).secret);
    await addCredit(database, parseUsd(firstCredit), null, ports);
    await close();
  }

  async play(step: Step): Promise<void> {
    const router = this.router;
    if (router === undefined) throw new Error("not started");
    switch (step.kind) {
      case "ask": {
        const key = this.secrets[step.key] ?? "";
        const order = step.order === null ? undefined : `order-${step.key}-${step.order}`;
        // One order is one request: what differs between repeats of it would be a conflict.
        const wish = wishes[order === undefined ? step.wish : (step.order ?? 0)];
        const body = { ...wish, prompt: `${order ?? "no order"} ${order === undefined ? step.word : ""}` };
        const headers = order === undefined ? {} : { "idempotency-key": order };
        const answer = router.generate(body, { key, headers }).then((response) => response.text());
        this.asked.push(answer.catch(() => {}));
        if (step.wait) await this.asked.at(-1);
        return;
      }
      case "fault": {
        const [fault, place] = faults[step.which] ?? faults[0] ?? [];
        if (fault === undefined) return;
        for (const double of doubles) double.next(fault, place);
        return;
      }
      case "cancel": {
        const running = query<{ id: string }>(this.folder, "select id from generations where status = 'running'");
        const id = running[step.which]?.id;
        const headers = { authorization: `Bearer ${router.keys.management}` };
        if (id === undefined) return;
        this.asked.push(
          fetch(`${router.url}/v1/images/generations/${id}`, { method: "DELETE", headers }).catch(() => {}),
        );
        return;
      }
      case "advance":
        this.advanced += step.ms;
        router.advance(step.ms);
        return;
      case "restart":
        await router.stop();
        return this.start();
      case "credit": {
        const { database, close } = await openSqlite(join(this.folder, "arouter.db"));
        await addCredit(database, parseUsd("0.1"), null, { clock: systemClock, random: systemRandom });
        await close();
      }
    }
  }

  /** Everything ends: what was asked is answered, what a stop has left is taken over. */
  async settle(): Promise<void> {
    await Promise.all(this.asked);
    const running = () => query(this.folder, "select id from generations where finished_at is null").length;
    if (running() > 0) {
      this.advanced += 10_000;
      this.router?.advance(10_000);
    }
    await eventually(() => running() === 0, 15_000, "generations are still running");
    await this.router?.stop();
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

interface KeyRow {
  hash: string;
  name: string;
  limit_nanos: number | null;
  limit_reset: LimitReset | null;
  requests_per_minute: number | null;
  requests_per_day: number | null;
}

/** What holds at every moment, also while things run. */
function expectNeverBelow(folder: string): void {
  expect(
    query(folder, "select * from account where held_nanos < 0 or credited_nanos - charged_nanos - held_nanos < 0"),
  ).toEqual([]);
  expect(query(folder, "select * from key_counters where held_nanos < 0 or running < 0")).toEqual([]);
  const over = `select * from key_counters join keys on hash = key_hash
    where limit_nanos is not null and used_nanos + held_nanos > limit_nanos or running > concurrent or day_requests > requests_per_day`;
  expect(query(folder, over)).toEqual([]);
}

/** Recomputed from the movements and the generations, not read from the counters that decided. */
function expectNoLimitExceeded(folder: string): void {
  for (const key of query<KeyRow>(folder, "select * from keys")) {
    const sums = new Map<number, number>();
    const charges = query<{ at: number; nanos: number }>(
      folder,
      `select created_at at, amount_nanos nanos from movements where kind = 'charge' and key_hash = '${key.hash}'`,
    );
    for (const { at, nanos } of charges) {
      const period = periodStart(key.limit_reset, at);
      sums.set(period, (sums.get(period) ?? 0) + nanos);
    }
    expect([key.name, [...sums.values()].filter((sum) => key.limit_nanos !== null && sum > key.limit_nanos)]).toEqual([
      key.name,
      [],
    ]);
    const times = query<{ at: number }>(
      folder,
      `select created_at at from generations where key_hash = '${key.hash}' order by 1`,
    ).map(({ at }) => at);
    const most = (count: (at: number) => number) => Math.max(0, ...times.map(count));
    const inMinute = most((at) => times.filter((other) => other <= at && other > at - 60_000).length);
    const inDay = most((at) => times.filter((other) => Math.floor(other / dayMs) === Math.floor(at / dayMs)).length);
    expect([key.name, inMinute <= (key.requests_per_minute ?? inMinute)]).toEqual([key.name, true]);
    expect([key.name, inDay <= (key.requests_per_day ?? inDay)]).toEqual([key.name, true]);
  }
}

/** An order is paid once in the 24 hours for which its idempotency key is kept. */
function expectOneChargePerOrder(folder: string): void {
  const paid = query<{ prompt: string; at: number }>(
    folder,
    `select json_extract(requested, '$.prompt') prompt, created_at at from generations
     where cost_nanos > 0 and requested like '%"order-%' order by 1, 2`,
  );
  const twice = paid.filter((one, i) => one.prompt === paid[i - 1]?.prompt && one.at - (paid[i - 1]?.at ?? 0) < dayMs);
  expect(twice).toEqual([]);
}

test(
  "whatever is asked in whatever order, the ledger is right and nobody pays twice or too much",
  async () => {
    const until = performance.now() + mostMs;
    let played = 0;
    let billedBefore = 0;
    const billed = () => doubles.reduce((sum, double) => sum + double.billed, 0);
    const property = fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 24, size: "max" }), async (steps) => {
      // A slow machine plays fewer of them, and the time stays bounded.
      if (performance.now() > until) return;
      played += 1;
      const world = new World();
      try {
        await world.start();
        for (const each of steps) {
          await world.play(each);
          expectNeverBelow(world.folder);
        }
        await world.settle();
        await expectCleanLedger(world.folder);
        expectNeverBelow(world.folder);
        expectNoLimitExceeded(world.folder);
        expectOneChargePerOrder(world.folder);
        const charged = query<{ n: number | null }>(
          world.folder,
          "select sum(images) n from movements where kind = 'charge'",
        );
        expect(charged[0]?.n ?? 0).toBeLessThanOrEqual(billed() - billedBefore);
      } finally {
        for (const double of doubles) double.clear();
        billedBefore = billed();
        world.remove();
      }
    });
    await fc.assert(property, { numRuns: runs, endOnFailure: true });
    console.log(`${played} of ${runs} runs played`);
  },
  mostMs + 60_000,
);
