/**
 * `npm run bench`: what ARouter costs beside two floors, all in one interleaved run, so that the ratios hold on a noisy
 * machine. Asserts nothing. Linux only: CPU and memory come from /proc.
 *
 *     npm run bench                    about four minutes; writes bench/RESULTS.md
 *     npm run bench -- --quick         about half a minute; prints only
 *     npm run bench -- --json          the figures as JSON on standard output instead of the table
 *     npm run bench -- --only url      only scenarios whose name begins so (prints only)
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { LoadOrder, LoadResult } from "./load.ts";
import {
  type Child,
  cpuSecondsSince,
  cpuTimes,
  forgetPeak,
  peakMegabytes,
  removePictures,
  start,
} from "./processes.ts";
import { markdown, type Sample, summarize, table } from "./report.ts";
import { type Scenario, scenarios } from "./scenarios.ts";

const { values: options } = parseArgs({
  options: { quick: { type: "boolean" }, json: { type: "boolean" }, only: { type: "string" } },
});
const quick = options.quick ?? false;

/** No round begins that would probably end after this; one is measured in any case. */
const budgetMs = quick ? 32_000 : 230_000;
const maxRounds = quick ? 3 : 7;
const countFactor = quick ? 0.3 : 1;
const measureTimeoutMs = 60_000;
/** Work that goes on after the last answer (logs, closing files) belongs to the measurement. */
const settleMs = 30;

interface Gateway {
  name: string;
  child: Child;
  pictures: string | undefined;
}

const say = (text: string) => process.stderr.write(`${text}\n`);

async function startGateways(folder: string, upstream: string): Promise<Gateway[]> {
  const env = { BENCH_UPSTREAM: upstream };
  async function gateway(name: string, script: string, more: Record<string, string> = {}): Promise<Gateway> {
    const home = join(folder, name);
    mkdirSync(home);
    const logFile = join(home, "stdout.log");
    const child = await start(script, 1, { ...env, BENCH_FOLDER: home, ...more }, { logFile });
    return { name, child, pictures: script === "pass-through.ts" ? undefined : join(home, "images") };
  }
  return [
    await gateway("pass-through", "pass-through.ts"),
    await gateway("least", "least.ts"),
    await gateway("least, durable", "least.ts", { BENCH_DURABLE: "1" }),
    await gateway("arouter", "product.ts"),
  ];
}

async function measure(load: Child, gateway: Gateway, scenario: Scenario, concurrency: number): Promise<Sample> {
  const { child } = gateway;
  const count = Math.ceil((concurrency === 1 ? scenario.count.alone : scenario.count.together) * countFactor);
  const order: LoadOrder = {
    url: `${child.facts.origin}/v1/images/generations`,
    key: String(child.facts.key),
    body: JSON.stringify(scenario.body),
    expectStatus: scenario.expectStatus,
    count,
    concurrency,
  };
  forgetPeak(child.pid);
  const before = cpuTimes(child.pid);
  const result = await load.ask<LoadResult>(order, measureTimeoutMs);
  await Bun.sleep(settleMs);
  const cpu = cpuSecondsSince(child.pid, before);
  if (gateway.pictures !== undefined) removePictures(gateway.pictures);
  if (result.failed > 0) say(`${gateway.name}, ${scenario.name}: ${result.failed} of ${count} answers were wrong`);
  return {
    gateway: gateway.name,
    scenario: scenario.name,
    concurrency,
    requestsPerSecond: (count / result.wallMs) * 1000,
    cpuPerThousand: (cpu / count) * 1000,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    peakMegabytes: peakMegabytes(child.pid),
    failed: result.failed,
  };
}

/** One pass over everything. Who goes first changes from round to round, so that nobody always follows the same one. */
async function round(number: number, load: Child, gateways: Gateway[], chosen: Scenario[]): Promise<Sample[]> {
  const samples: Sample[] = [];
  const order = gateways.map((_, position) => gateways[(position + number) % gateways.length] as Gateway);
  for (const scenario of chosen) {
    for (const concurrency of [1, 32]) {
      for (const gateway of order) samples.push(await measure(load, gateway, scenario, concurrency));
    }
  }
  return samples;
}

const chosen = scenarios.filter(({ name }) => name.startsWith(options.only ?? ""));
const folder = mkdtempSync(join(tmpdir(), "arouter-bench-"));
// Also when a signal ends us; the processes are gone by then (`processes.ts`).
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const children: Child[] = [];
try {
  const begun = performance.now();
  const upstream = await start("upstream.ts", 0, {});
  const load = await start("load.ts", 0, {});
  children.push(upstream, load);
  const gateways = await startGateways(folder, String(upstream.facts.origin));
  children.push(...gateways.map(({ child }) => child));

  say("warming up");
  await round(0, load, gateways, chosen);
  const rounds: Sample[][] = [];
  for (let longestMs = 0; rounds.length < maxRounds; ) {
    const roundBegun = performance.now();
    if (rounds.length > 0 && roundBegun - begun + longestMs > budgetMs) break;
    rounds.push(await round(rounds.length + 1, load, gateways, chosen));
    longestMs = Math.max(longestMs, performance.now() - roundBegun);
    say(`round ${rounds.length}, ${Math.round((performance.now() - begun) / 1000)} s`);
  }
  const figures = summarize(rounds);
  console.log(options.json ? JSON.stringify(figures, null, 2) : table(figures));
  if (!quick && options.only === undefined) {
    await Bun.write(join(import.meta.dir, "RESULTS.md"), markdown(figures, rounds.length));
  }
} finally {
  await Promise.all(children.map((child) => child.stop()));
}
process.exit(0);
