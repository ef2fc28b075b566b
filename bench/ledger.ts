/**
 * What admission and settlement cost, and how long they stop the event loop: 256 generations at once through the real
 * job, ledger and database in a folder of its own, with an upstream that answers at once inside this process and a
 * picture store that keeps nothing. Run: `bun bench/ledger.ts [generations]`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandLineKey } from "../src/accounts/keys.ts";
import { readConfig } from "../src/config.ts";
import { generate } from "../src/generation/generate.ts";
import { createLogger } from "../src/observe/log.ts";
import { openParts } from "../src/parts.ts";
import { picture } from "../test/doubles/picture.ts";

const total = Number(process.argv[2] ?? 5_000);
const atOnce = 256;
const folder = mkdtempSync(join(process.env.BENCH_FOLDER ?? tmpdir(), "arouter-ledger-"));

const config = readConfig({
  AROUTER_DATA: folder,
  OPENAI_API_KEY: "sk-bench",
  OPENAI_BASE_URL: "http://127.0.0.1:9/v1",
});
const parts = await openParts(config, { logger: createLogger("silent") });
const answer = JSON.stringify({ created: 1, data: [{ b64_json: picture({ width: 256, height: 256 }).toBase64() }] });
parts.transport.fetch = (async () =>
  new Response(answer, { headers: { "content-type": "application/json" } })) as unknown as typeof fetch;
parts.images = {
  create: async () => ({ write: async () => {}, finish: async () => {}, abort: async () => {} }),
  open: async () => null,
  delete: async () => {},
  async *list() {},
};
const key = await commandLineKey(parts.database, "live", parts.clock);

/** How long the loop was stopped between two looks at it, in milliseconds. */
const stops: number[] = [];
let looking = true;
let last = performance.now();
const look = () => {
  const now = performance.now();
  stops.push(now - last);
  last = now;
  if (looking) setImmediate(look);
};

async function worker(count: { left: number }): Promise<void> {
  while (count.left > 0) {
    count.left -= 1;
    const attribution = { requestId: "bench", referer: null, title: null, origin: null };
    const body = { model: "openai/dall-e-2", prompt: "a cup", size: "256x256" };
    const { error } = await (await generate(parts, key, { body }, attribution)).finished;
    if (error !== null) throw error;
  }
}

const run = (generations: number) => {
  const count = { left: generations };
  return Promise.all(Array.from({ length: atOnce }, () => worker(count)));
};

try {
  await run(1_000); // warm
  const cpu = process.cpuUsage();
  const begun = performance.now();
  last = begun;
  setImmediate(look);
  await run(total);
  looking = false;
  const seconds = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  stops.sort((one, other) => one - other);
  const at = (share: number) => stops[Math.floor((stops.length - 1) * share)]?.toFixed(2);
  console.log(`${total} generations, ${atOnce} at once, each with two durable commits (admit, settle)`);
  console.log(`${(total / seconds).toFixed(0)} generations/s, ${((user + system) / total).toFixed(0)} µs CPU each`);
  console.log(`event loop stopped: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, p99.9 ${at(0.999)} ms, most ${at(1)} ms`);
} finally {
  await parts.close();
  rmSync(folder, { recursive: true, force: true });
}
