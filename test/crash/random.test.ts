/**
 * `kill -9` at random moments under load, again and again on one data folder. CRASH_ROUNDS=200 for the full run,
 * CRASH_SEED to repeat a run's choices.
 */
import { afterAll, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newId } from "../../src/ids.ts";
import { systemClock, systemRandom } from "../../src/ports.ts";
import { type OpenAiDouble, startOpenAi } from "../doubles/openai.ts";
import { type ReplicateDouble, startReplicate } from "../doubles/replicate.ts";
import { type StabilityDouble, startStability } from "../doubles/stability.ts";
import { startRouter } from "../router.ts";
import {
  type Child,
  eventually,
  killAll,
  makeFolder,
  query,
  removeFolder,
  startChild,
  storedFiles,
} from "./harness.ts";
import { expectCleanLedger } from "./ledger.ts";
import { askFor, createLoad, type Order, randomFrom } from "./load.ts";

const rounds = Number(process.env.CRASH_ROUNDS ?? 8);
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000);
const roundsPerCheck = Math.min(12, rounds);
/** CONTRACT.md "Repeats", and what a job upstream may still take. */
const endMs = 14_000;
const askedAgainAtOnce = 8;

const openai = startOpenAi();
const stability = startStability({ rateLimit: Number.POSITIVE_INFINITY, credits: 1_000_000 });
const replicate = startReplicate({ fileOrigin: "same" });
const doubles: Record<string, OpenAiDouble | StabilityDouble | ReplicateDouble> = { openai, stability, replicate };
const env = {
  OPENAI_API_KEY: openai.key,
  OPENAI_BASE_URL: openai.url,
  STABILITY_API_KEY: stability.key,
  STABILITY_BASE_URL: stability.url,
  REPLICATE_API_TOKEN: replicate.key,
  REPLICATE_BASE_URL: replicate.url,
  AROUTER_KEEP_PROMPTS: "always",
};
const folder = makeFolder();

afterAll(async () => {
  killAll();
  await Promise.all([openai.stop(), stability.stop(), replicate.stop()]);
  removeFolder(folder);
});

test(
  `${rounds} kills at random moments, seed ${seed}`,
  async () => {
    const random = randomFrom(seed);
    let server: Child = await startChild(folder, env);
    const { keys } = server;
    const load = createLoad(random, () => ({ url: server.url, key: keys.live }));
    for (let round = 1; round <= rounds; round += 1) {
      for (const double of [openai, stability, replicate]) double.latencyMs = random() < 0.3 ? 0 : random() * 500;
      // Calls that fail in passing: they are made again, or another model answers.
      for (const double of [openai, stability, replicate]) {
        if (random() < 0.3) double.next({ kind: "htmlBadGateway" }, { times: 1 + Math.floor(random() * 3) });
      }
      replicate.progress = { startMs: random() * 100, runMs: random() * 1_500 };
      load.run();
      // Now and then long enough for what earlier rounds left to be taken over, so that recovery is killed as well.
      await Bun.sleep(random() < 0.1 ? 6_500 + random() * 2_500 : 100 + random() * 1_400);
      await server.kill();
      server = await startChild(folder, env);
      if (round % roundsPerCheck !== 0 && round !== rounds) continue;
      await load.pause();
      await eventually(() => running() === 0, endMs, "generations are still running");
      await checkMoney();
      await checkClients(load.orders, { url: server.url, key: keys.live });
      console.log(`round ${round}: ${summary(load.orders)}`);
    }
    await server.kill();
    await checkOrphans(keys);
  },
  rounds * 6_000 + 120_000,
);

const count = (sql: string): number => query<{ n: number | null }>(folder, `select ${sql}`)[0]?.n ?? 0;
const running = () => count("count(*) n from generations where status in ('queued', 'running')");
const unknown = `error like '%"upstream_outcome_unknown"%'`;

async function checkMoney(): Promise<void> {
  await expectCleanLedger(folder);
  for (const [provider, double] of Object.entries(doubles)) {
    const attempts = count(`count(*) n from attempts where provider = '${provider}'`);
    const calls = double.requestsAt("create").length;
    // Nothing is ever submitted again: at most one call per attempt.
    expect([provider, calls <= attempts]).toEqual([provider, true]);
    const charged = count(`sum(images) n from movements where kind = 'charge' and provider = '${provider}'`);
    const open = count(
      `sum(images_requested - (select count(*) from images i where i.generation_id = g.id)) n
       from generations g where provider = '${provider}' and (status = 'succeeded' or ${unknown})`,
    );
    // Every charge has a picture that the provider bills; what it bills beyond is among the unknown outcomes.
    expect([provider, charged <= double.billed, double.billed - charged <= open]).toEqual([provider, true, true]);
  }
  const jobs = query<{ upstream_id: string; status: string }>(
    folder,
    "select upstream_id, status from attempts where pending is not null",
  );
  expect(new Set(jobs.map((job) => job.upstream_id)).size).toBe(jobs.length);
  expect(jobs.filter((job) => !replicate.predictionIds.includes(job.upstream_id))).toEqual([]);
}

/** What each client was told still holds, and nobody pays twice for one order. */
async function checkClients(orders: Order[], target: { url: string; key: string }): Promise<void> {
  const paid = query<{ requested: string; n: number }>(
    folder,
    "select json_extract(requested, '$.prompt') requested, count(*) n from generations where cost_nanos > 0 group by 1 having n > 1",
  );
  expect(paid).toEqual([]);
  const known = orders.filter((order) => order.idempotencyKey !== undefined && order.answers.length > 0);
  for (let from = 0; from < known.length; from += askedAgainAtOnce) {
    await Promise.all(known.slice(from, from + askedAgainAtOnce).map((order) => checkOrder(order, target)));
  }
}

async function checkOrder(order: Order, target: { url: string; key: string }): Promise<void> {
  const final = order.answers.filter((answer) => answer.status === 200 || answer.shouldRetry === "false");
  const told = final[0];
  if (told === undefined) return;
  const again = await askFor(order, target);
  expect({ order: order.name, ...again }).toEqual({ order: order.name, ...told });
  expect(new Set(final.map((answer) => answer.generation)).size).toBe(1);
}

function summary(orders: Order[]): string {
  const answers = orders.flatMap((order) => order.answers);
  const told = Map.groupBy(answers, (answer) => answer.code ?? String(answer.status));
  const codes = [...told].map(([code, list]) => `${code} ${list.length}`).join(", ");
  const billed = Object.entries(doubles).map(([provider, double]) => {
    const charged = count(`sum(images) n from movements where kind = 'charge' and provider = '${provider}'`);
    const lost = count(`count(*) n from generations where provider = '${provider}' and ${unknown}`);
    return `${provider} billed ${double.billed}, charged ${charged}, ${lost} unknown`;
  });
  const generations = count("count(*) n from generations");
  return `${orders.length} orders, ${generations} generations; told: ${codes}; ${billed.join("; ")}; ${orphans().length} files without a row`;
}

function orphans(): string[] {
  const rows = new Set(query<{ id: string }>(folder, "select id from images").map(({ id }) => id));
  return storedFiles(folder).filter((id) => !rows.has(id));
}

/** Three hours later nothing is left of any picture, with a row or without, whole or half. */
async function checkOrphans(keys: Child["keys"]): Promise<void> {
  // The moments that leave such files are short, and a short run may have hit none.
  const planted = newId("img", systemClock, systemRandom);
  for (const name of [planted, `unfinished/${planted}`]) writeFileSync(join(folder, "images", name), "");
  const router = await startRouter({ dataFolder: folder, keys, env: { ...env, AROUTER_BOOTSTRAP_KEYS: "off" } });
  router.advance(3 * 3_600_000);
  const left = () => [...storedFiles(folder), ...readdirSync(join(folder, "images", "unfinished"))];
  await eventually(() => left().length === 0, 20_000, "picture files are left");
  await router.stop();
}
