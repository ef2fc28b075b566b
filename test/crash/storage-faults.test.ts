/**
 * A full disk, a locked or read-only database, an image store that fails after the upstream delivered: tried again while
 * the job lives, then a truthful failure. Never a charge without a picture, never a hold that stays.
 */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import type { Parts } from "../../src/parts.ts";
import type { ImageStore } from "../../src/ports.ts";
import { startOpenAi } from "../doubles/openai.ts";
import { startReplicate } from "../doubles/replicate.ts";
import { startRouter, type TestRouter } from "../router.ts";
import { eventually, query } from "./harness.ts";
import { expectCleanLedger } from "./ledger.ts";

const openai = startOpenAi();
const replicate = startReplicate({ fileOrigin: "same" });
const env = {
  OPENAI_API_KEY: openai.key,
  OPENAI_BASE_URL: openai.url,
  REPLICATE_API_TOKEN: replicate.key,
  REPLICATE_BASE_URL: replicate.url,
};
const inline = { model: "openai/dall-e-2", prompt: "a cup", size: "256x256", response_format: "url" };
const job = { model: "black-forest-labs/flux-1-pro", prompt: "a cup", size: "256x256" };

/** How many of the next pictures the store cannot take. */
let storeFaults = 0;
let parts: Parts;
let router: TestRouter;
const warnings: string[] = [];
const logger = {
  debug() {},
  info() {},
  warn: (_: object, message?: string) => void warnings.push(message ?? ""),
  error() {},
};

function faulty(store: ImageStore): ImageStore {
  return {
    ...store,
    async create(id) {
      const writer = await store.create(id);
      storeFaults -= 1;
      if (storeFaults < 0) return writer;
      const full = async () => {
        throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
      };
      return { ...writer, write: full };
    },
  };
}

beforeAll(async () => {
  router = await startRouter({
    env,
    logger,
    opened: (opened) => {
      parts = opened;
      parts.images = faulty(parts.images);
    },
  });
});
afterEach(() => {
  storeFaults = 0;
  openai.latencyMs = 0;
  warnings.length = 0;
});
afterAll(async () => {
  await router.remove();
  await Promise.all([openai.stop(), replicate.stop()]);
});

const charged = (folder = router.dataFolder) =>
  query<{ n: number }>(folder, "select count(*) n from movements where kind = 'charge'")[0]?.n ?? 0;
const codeOf = async (response: Response) => ((await response.json()) as { code?: string }).code;
const readOnly = (on: boolean) => sql.raw(`PRAGMA query_only = ${on ? "ON" : "OFF"}`).execute(parts.database);

async function lock(milliseconds: number): Promise<{ over: Promise<number> }> {
  const path = join(router.dataFolder, "arouter.db");
  const locker = Bun.spawn([process.execPath, join(import.meta.dir, "locker.ts"), path, String(milliseconds)]);
  for await (const _ of locker.stdout) break;
  return { over: locker.exited };
}

test("a result link is downloaded again until the store takes it", async () => {
  const before = charged();
  storeFaults = 3;
  const answer = await router.generate(job);
  expect([answer.status, storeFaults < 0, charged() - before]).toEqual([200, true, 1]);
  await expectCleanLedger(router.dataFolder);
});

test("a store that fails on bytes inside the answer is a truthful failure, uncharged and final", async () => {
  const before = charged();
  storeFaults = 1;
  const headers = { "idempotency-key": "inline-1" };
  const answer = await router.generate(inline, { headers });
  expect([answer.status, answer.headers.get("x-should-retry")]).toEqual([500, "false"]);
  expect([answer.headers.get("x-arouter-cost-usd"), await codeOf(answer)]).toEqual(["0", "internal_error"]);
  const calls = openai.requests.length;
  expect((await router.generate(inline, { headers })).status).toBe(500);
  expect([openai.requests.length, charged()]).toEqual([calls, before]);
  await expectCleanLedger(router.dataFolder);
});

test("one picture that cannot be stored takes none of the others with it", async () => {
  storeFaults = 1;
  const answer = await router.generate({ ...inline, n: 3 });
  expect([answer.status, answer.headers.get("x-arouter-warnings")]).toEqual([200, "short_delivery"]);
  expect(((await answer.json()) as { data: unknown[] }).data).toHaveLength(2);
  expect(answer.headers.get("x-arouter-cost-usd")).toBe("0.032");
  await expectCleanLedger(router.dataFolder);
});

test("a store that never takes it is a failure of ours when the attempt's life is over", async () => {
  const brief = await startRouter({
    env: { ...env, AROUTER_UPSTREAM_TIMEOUT_MS: "1500" },
    opened: (opened) => {
      opened.images = faulty(opened.images);
    },
  });
  storeFaults = 1_000;
  const answer = await brief.generate(job);
  expect([answer.status, await codeOf(answer)]).toEqual([500, "internal_error"]);
  expect(charged(brief.dataFolder)).toBe(0);
  await expectCleanLedger(brief.dataFolder);
  await brief.remove();
});

test("a lock of another program is waited for at admission, and the program goes on meanwhile", async () => {
  const { over } = await lock(1_500);
  const begun = performance.now();
  const asked = router.generate(inline);
  let longestMs = 0;
  for (let looks = 0; looks < 10; looks += 1) {
    const from = performance.now();
    expect((await router.get("/api/v1/generation?id=gen-none")).status).toBe(404);
    longestMs = Math.max(longestMs, performance.now() - from);
  }
  expect(performance.now() - begun).toBeLessThan(1_200);
  expect(longestMs).toBeLessThan(500);
  expect((await asked).status).toBe(200);
  expect(performance.now() - begun).toBeGreaterThan(1_000);
  await over;
});

test("a lock longer than patience and lease together: a job stays ours and is charged once, a new one is refused", async () => {
  const before = charged();
  openai.latencyMs = 400;
  const asked = router.generate({ ...inline, prompt: "a long lock" });
  await openai.arrived(openai.requests.length + 1);
  const { over } = await lock(9_500);
  const calls = openai.requests.length;
  const refused = await router.generate(inline);
  expect([refused.status, refused.headers.get("x-should-retry"), await codeOf(refused)]).toEqual([
    503,
    "true",
    "overloaded",
  ]);
  expect([refused.headers.get("retry-after"), openai.requests.length]).toEqual(["1", calls]);
  expect([(await asked).status, charged() - before]).toEqual([200, 1]);
  expect(warnings).toContain("the database could not take an outcome; it is tried again");
  expect(warnings).not.toContain("taking over an abandoned generation");
  await over;
  await expectCleanLedger(router.dataFolder);
}, 20_000);

test("a database that is read-only for a while: refused at admission, kept and charged once at the end", async () => {
  const before = charged();
  await readOnly(true);
  expect((await router.generate(inline)).status).toBe(503);
  await readOnly(false);
  openai.latencyMs = 200;
  const asked = router.generate({ ...inline, prompt: "read-only" });
  await openai.arrived(openai.requests.length + 1);
  await readOnly(true);
  setTimeout(() => void readOnly(false), 1_200);
  expect([(await asked).status, charged() - before]).toEqual([200, 1]);
  expect(warnings).toContain("the database could not take an outcome; it is tried again");
  await expectCleanLedger(router.dataFolder);
});

test("an upstream job whose id cannot be kept at once is made once and kept later", async () => {
  const jobs = replicate.predictionIds.length;
  replicate.latencyMs = 200;
  const asked = router.generate({ ...job, prompt: "read-only" });
  await replicate.arrived(replicate.requestsAt("create").length + 1);
  await readOnly(true);
  setTimeout(() => void readOnly(false), 1_000);
  expect((await asked).status).toBe(200);
  replicate.latencyMs = 0;
  expect(replicate.predictionIds).toHaveLength(jobs + 1);
  expect(replicate.requestsAt("cancel")).toHaveLength(0);
  await expectCleanLedger(router.dataFolder);
});

test("a settlement that gave up is finished later with the picture that was stored", async () => {
  const before = charged();
  openai.latencyMs = 200;
  const body = { ...inline, prompt: "given up" };
  const headers = { "idempotency-key": "given-up" };
  const asked = router.generate(body, { headers });
  await openai.arrived(openai.requests.length + 1);
  await readOnly(true);
  await eventually(() => warnings.length > 0, 5_000, "no write has failed");
  // More than the attempt's whole life: the next failure is the last.
  router.advance(400_000);
  const answer = await asked;
  expect([answer.status, answer.headers.get("x-should-retry"), await codeOf(answer)]).toEqual([
    500,
    "false",
    "internal_error",
  ]);
  expect(charged()).toBe(before);
  await readOnly(false);
  const calls = openai.requests.length;
  const again = await router.generate(body, { headers });
  const { data } = (await again.json()) as { data: { url: string }[] };
  expect([again.status, charged() - before, openai.requests.length]).toEqual([200, 1, calls]);
  expect((await fetch(data[0]?.url ?? "")).status).toBe(200);
  await expectCleanLedger(router.dataFolder);
}, 15_000);

/** A disk of our own that can be filled; only root may mount one. */
function mountSmallDisk(kilobytes: number): { folder: string; unmount(): void } | null {
  const folder = mkdtempSync(join(tmpdir(), "arouter-small-"));
  const { exitCode } = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", `size=${kilobytes}k`, "tmpfs", folder]);
  const remove = () => rmSync(folder, { recursive: true, force: true });
  if (exitCode !== 0) {
    remove();
    return null;
  }
  return {
    folder,
    unmount() {
      Bun.spawnSync(["umount", "-l", folder]);
      remove();
    },
  };
}

const mayMount = (() => {
  const disk = process.getuid?.() === 0 ? mountSmallDisk(64) : null;
  disk?.unmount();
  return disk !== null;
})();

test.skipIf(!mayMount)(
  "a disk that is really full for a while, under database and pictures alike",
  async () => {
    const disk = mountSmallDisk(4_096);
    if (disk === null) throw new Error("not mounted");
    const dataFolder = join(disk.folder, "data");
    mkdirSync(dataFolder);
    const small = await startRouter({ env, dataFolder, logger });
    const filler = join(disk.folder, "filler");
    const fill = () => {
      try {
        writeFileSync(filler, new Uint8Array(4_096 * 1024));
      } catch {
        // That is the point.
      }
    };
    try {
      openai.latencyMs = 300;
      replicate.latencyMs = 300;
      const asked = [small.generate(inline), small.generate(job)];
      await Promise.all([
        openai.arrived(openai.requests.length + 1),
        replicate.arrived(replicate.requestsAt("create").length + 1),
      ]);
      fill();
      setTimeout(() => rmSync(filler), 1_500);
      const [lost, kept] = await Promise.all(asked);
      // The answer's own bytes found no place and do not come again; the link was there still.
      expect([lost?.status, kept?.status]).toEqual([500, 200]);
      expect(warnings).toContain("the database could not take an outcome; it is tried again");
      expect(charged(dataFolder)).toBe(1);
      openai.latencyMs = 0;
      replicate.latencyMs = 0;
      expect((await small.generate(inline)).status).toBe(200);
      await expectCleanLedger(dataFolder);
    } finally {
      await small.stop();
      disk.unmount();
    }
  },
  30_000,
);
