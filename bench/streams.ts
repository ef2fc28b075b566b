/**
 * Event streams: time to the first event and memory per open stream, with 500 streams at once, two previews of 1.5 MB and a
 * final picture of 2 MB each; ARouter beside a pass-through, upstream and clients in processes of their own. Asserts
 * nothing but that every stream carried what it should. Linux only.
 *
 *     bun bench/streams.ts               about five minutes; writes bench/RESULTS-streams.md
 *     bun bench/streams.ts --rounds=3    three times as long
 *     bun bench/streams.ts --quick       50 streams; prints only
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Child,
  cpuSecondsSince,
  cpuTimes,
  forgetPeak,
  peakMegabytes,
  removePictures,
  residentMegabytes,
  start,
} from "./processes.ts";
import type { StreamFacts, StreamsOrder } from "./streams-load.ts";
import { markdown, type StreamsSample, table } from "./streams-report.ts";
import type { UpstreamAnswer, UpstreamOrder } from "./streams-upstream.ts";

const quick = process.argv.includes("--quick");
const rounds = Number(process.argv.find((word) => /^--rounds=\d+$/.test(word))?.slice(9) ?? 1);
const streams = quick ? 50 : 500;
/** Clients that do not read. */
const stalled = quick ? 20 : 100;
/** Events of all streams come spread over so long: a steady load that leaves the machine some rest. */
const spreadMs = quick ? 2_000 : 15_000;
const bursts = 2;
const answerTimeoutMs = 180_000;
/** Until memory that is free has been given back. */
const restMs = 3_000;
const names = ["image_generation.partial_image", "image_generation.partial_image", "image_generation.completed"];

/**
 * Bun's `fetch` makes 256 requests at once and lets the others wait, unless its environment says otherwise when the process
 * starts. It is lifted for both gateways; what happens without is measured as well.
 */
const manyRequests = { BUN_CONFIG_MAX_HTTP_REQUESTS: "65535" };

const say = (text: string) => process.stderr.write(`${text}\n`);
const folder = mkdtempSync(join(tmpdir(), "arouter-streams-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

interface Parts {
  upstream: Child;
  load: Child;
  gateway: Child;
}

const ask = (load: Child, order: StreamsOrder) => load.ask<{ streams: StreamFacts[] }>(order, answerTimeoutMs);
const tell = (upstream: Child, order: UpstreamOrder) => upstream.ask<UpstreamAnswer>(order, answerTimeoutMs);

async function openStreams({ upstream, load, gateway }: Parts, count: number, reads = true): Promise<number> {
  const { origin, key } = gateway.facts as { origin: string; key: string };
  await ask(load, { do: "open", origin, key, count, reads, overMs: count * 4 });
  for (let tries = 0; tries < 50; tries += 1) {
    const { open } = await tell(upstream, { send: "count" });
    if (open === count) return open;
    await Bun.sleep(100);
  }
  return (await tell(upstream, { send: "count" })).open;
}

/** One event on every stream, and until every client has it. */
async function sendEvent({ upstream, load }: Parts, number: 1 | 2 | 3, overMs: number) {
  await tell(upstream, { send: number === 3 ? "final" : "partial", overMs });
  const { streams: facts } = await ask(load, { do: "wait", events: number, timeoutMs: overMs + 120_000 });
  const { sentAt } = await tell(upstream, { send: "count" });
  return { facts, sentAt };
}

function checkAll(facts: readonly StreamFacts[], what: string): void {
  const wrong = facts.filter(({ events, failed }) => failed !== null || events.join() !== names.join());
  if (wrong.length === 0) return;
  throw new Error(`${what}: ${wrong.length} of ${facts.length} streams were wrong, e.g. ${Bun.inspect(wrong[0])}`);
}

/** Milliseconds from the upstream's first event to the client's, sorted. */
function delays(facts: readonly StreamFacts[], sentAt: Record<string, number>, to: "firstBegun" | "firstWhole") {
  return facts.map((stream) => (stream[to] ?? Number.NaN) - (sentAt[stream.mark] ?? Number.NaN)).sort((a, b) => a - b);
}

const at = (sorted: readonly number[], share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;

async function measure(
  parts: Parts,
  name: string,
  pictures: string | undefined,
): Promise<Omit<StreamsSample, "stalledKilobytes">> {
  const { load, gateway } = parts;
  const { pid } = gateway;
  const forget = async () => {
    await ask(load, { do: "close" });
    if (pictures !== undefined) removePictures(pictures);
    await Bun.sleep(restMs);
  };
  const runAll = async (count: number, overMs: number, what: string) => {
    const first = await sendEvent(parts, 1, overMs);
    await sendEvent(parts, 2, overMs);
    checkAll((await sendEvent(parts, 3, overMs)).facts, what);
    if (first.facts.length !== count) throw new Error(`${what}: ${first.facts.length} streams`);
    return first;
  };

  // The code is warm, the memory is not.
  await openStreams(parts, 10);
  await runAll(10, 200, "warming up");
  await forget();
  const restMegabytes = residentMegabytes(pid);

  const opened = await openStreams(parts, streams);
  if (opened !== streams) throw new Error(`${name}: ${opened} of ${streams} streams reached the upstream`);
  await Bun.sleep(restMs);
  const openMegabytes = residentMegabytes(pid);

  forgetPeak(pid);
  const before = cpuTimes(pid);
  const { facts, sentAt } = await runAll(streams, spreadMs, `${name}, steady`);
  const cpuSeconds = cpuSecondsSince(pid, before);
  const steadyPeak = peakMegabytes(pid);
  const begun = delays(facts, sentAt, "firstBegun");
  const whole = delays(facts, sentAt, "firstWhole");
  await forget();

  const burstPeaks: number[] = [];
  const burstRests: number[] = [];
  const burstSeconds: number[] = [];
  for (let burst = 0; burst < bursts; burst += 1) {
    await openStreams(parts, streams);
    forgetPeak(pid);
    const burstBegun = performance.now();
    await runAll(streams, 0, `${name}, all at once`);
    burstSeconds.push((performance.now() - burstBegun) / 1000);
    burstPeaks.push(peakMegabytes(pid));
    await forget();
    burstRests.push(residentMegabytes(pid));
  }

  const sample = {
    gateway: name,
    restMegabytes,
    openKilobytes: ((openMegabytes - restMegabytes) * 1000) / streams,
    steadyPeak,
    cpuPerStream: (cpuSeconds / streams) * 1000,
    begunP50: at(begun, 0.5),
    begunP99: at(begun, 0.99),
    wholeP50: at(whole, 0.5),
    wholeP99: at(whole, 0.99),
    burstPeaks,
    burstRests,
    burstSeconds: Math.min(...burstSeconds),
  };
  say(Bun.inspect(sample));
  return sample;
}

/** In a process of its own: memory that earlier work has left would hide what clients that do not read cost. */
async function measureStalled(parts: Parts, name: string): Promise<number> {
  const { upstream, load, gateway } = parts;
  const { pid } = gateway;
  await openStreams(parts, 10);
  for (const number of [1, 2, 3] as const) await sendEvent(parts, number, 200);
  await ask(load, { do: "close" });
  await Bun.sleep(restMs);
  const before = residentMegabytes(pid);
  await openStreams(parts, stalled, false);
  for (const send of ["partial", "partial", "final"] as const) {
    await tell(upstream, { send, overMs: 2_000 });
    await Bun.sleep(4_000);
  }
  await Bun.sleep(restMs);
  const after = residentMegabytes(pid);
  await ask(load, { do: "resume" });
  checkAll((await ask(load, { do: "wait", events: 3, timeoutMs: 60_000 })).streams, `${name}, after a pause`);
  return ((after - before) * 1000) / stalled;
}

async function withGateway<T>(
  name: string,
  script: string,
  env: Record<string, string>,
  work: (parts: Parts, pictures: string | undefined) => Promise<T>,
): Promise<T> {
  const home = mkdtempSync(join(folder, "gateway-"));
  mkdirSync(home, { recursive: true });
  const upstream = await start("streams-upstream.ts", 0, {});
  const load = await start("streams-load.ts", 0, {});
  const settings = { BENCH_UPSTREAM: String(upstream.facts.origin), BENCH_FOLDER: home, ...env };
  const gateway = await start(script, 1, settings, { logFile: join(home, "stdout.log") });
  try {
    return await work({ upstream, load, gateway }, script === "product.ts" ? join(home, "images") : undefined);
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
  } finally {
    await Promise.all([upstream, load, gateway].map((child) => child.stop()));
    rmSync(home, { recursive: true, force: true });
  }
}

const gateways = { "pass-through": "pass-through.ts", arouter: "product.ts" };
const samples: StreamsSample[] = [];
for (let round = 0; round < rounds; round += 1) {
  for (const [name, script] of Object.entries(gateways)) {
    const sample = await withGateway(name, script, manyRequests, (parts, pictures) => measure(parts, name, pictures));
    const stalledKilobytes = await withGateway(name, script, manyRequests, (parts) => measureStalled(parts, name));
    samples.push({ ...sample, stalledKilobytes });
  }
}
const reached = await withGateway("arouter", "product.ts", {}, (parts) => openStreams(parts, streams));
console.log(table(samples));
console.log(`without BUN_CONFIG_MAX_HTTP_REQUESTS: ${reached} of ${streams} streams reach the upstream at once`);
if (!quick)
  await Bun.write(
    join(import.meta.dir, "RESULTS-streams.md"),
    markdown(samples, { streams, stalled, reached, spreadMs }),
  );
process.exit(0);
