/**
 * Two servers on one data folder. One sleeps longer than its leases, the other takes over; when the first wakes up in the
 * middle of its work, it must change nothing, and its clients are told what the other recorded.
 */
import { afterAll, expect, test } from "bun:test";
import { startOpenAi } from "../doubles/openai.ts";
import { startReplicate } from "../doubles/replicate.ts";
import { startRouter } from "../router.ts";
import {
  ask,
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

afterAll(killAll);

/** CONTRACT.md "Repeats": on another copy within 30 s of the owner's death. */
const takeOverMs = 30_000;

interface Scene {
  folder: string;
  sleeper: Child;
  other: Child;
  openai: ReturnType<typeof startOpenAi>;
  replicate: ReturnType<typeof startReplicate>;
  key: string;
}

async function withTwoServers(play: (scene: Scene) => Promise<void>): Promise<void> {
  const folder = makeFolder();
  const openai = startOpenAi();
  const replicate = startReplicate({ fileOrigin: "same", progress: { startMs: 50, runMs: 1_500 } });
  const env = {
    OPENAI_API_KEY: openai.key,
    OPENAI_BASE_URL: openai.url,
    REPLICATE_API_TOKEN: replicate.key,
    REPLICATE_BASE_URL: replicate.url,
  };
  const children: Child[] = [];
  try {
    const sleeper = await startChild(folder, env);
    children.push(sleeper);
    const other = await startChild(folder, env);
    children.push(other);
    await play({ folder, sleeper, other, openai, replicate, key: sleeper.keys.live });
    await Promise.all([sleeper.kill(), other.kill()]);
    await expectCleanLedger(folder);
  } finally {
    for (const child of children) await child.kill();
    await Promise.all([openai.stop(), replicate.stop()]);
    removeFolder(folder);
  }
}

const openaiBody = { model: "openai/dall-e-2", prompt: "a cup", size: "256x256", response_format: "url" };
const replicateBody = { model: "black-forest-labs/flux-1-pro", prompt: "a cup", size: "256x256" };
const headers = { "idempotency-key": "order-1" };

const ended = (folder: string) => query(folder, "select id from generations where finished_at is null").length === 0;
/** Everything that the first program could change. */
const state = (folder: string) =>
  ["generations", "attempts", "images", "movements", "key_counters", "account", "usage_hours"].map((table) =>
    query(folder, `select * from ${table}`),
  );

test.concurrent("a job that polls: the other resumes it, one set of pictures, one charge", async () => {
  await withTwoServers(async ({ folder, sleeper, other, replicate, key }) => {
    const asked = ask(sleeper.url, key, replicateBody, headers);
    await eventually(
      () => query(folder, "select 1 from attempts where upstream_id is not null").length > 0,
      5_000,
      "no id",
    );
    sleeper.signal("SIGSTOP");
    const joined = ask(other.url, key, replicateBody, headers);
    await eventually(() => ended(folder), takeOverMs, "not taken over");
    const before = state(folder);
    sleeper.signal("SIGCONT");
    const [first, second] = [await asked, await joined];
    expect([first?.status, second?.status]).toEqual([200, 200]);
    expect(first?.generation).toBe(second?.generation ?? "");
    expect(first?.pictures).toEqual(second?.pictures ?? []);
    await Bun.sleep(1_000);
    expect(state(folder)).toEqual(before);
    expect(replicate.predictionIds).toHaveLength(1);
    expect(replicate.requestsAt("cancel")).toHaveLength(0);
  });
}, 60_000);

test.concurrent("a call under way: the other ends it truthfully, the answer that comes later changes nothing", async () => {
  await withTwoServers(async ({ folder, sleeper, openai, key }) => {
    openai.latencyMs = 1_000;
    const asked = ask(sleeper.url, key, openaiBody, headers);
    await openai.arrived();
    sleeper.signal("SIGSTOP");
    await eventually(() => ended(folder), takeOverMs, "not taken over");
    const before = state(folder);
    sleeper.signal("SIGCONT");
    const answer = await asked;
    expect([answer?.status, answer?.code, answer?.shouldRetry]).toEqual([502, "upstream_outcome_unknown", "false"]);
    expect(state(folder)).toEqual(before);
    expect(openai.requestsAt("create")).toHaveLength(1);
    // What the sleeper stored after all is nobody's: the sweeper's in two hours.
    expect(query(folder, "select id from images")).toEqual([]);
    expect(storedFiles(folder).length).toBeLessThanOrEqual(1);
  });
}, 60_000);

test.concurrent("a job that is made while its owner sleeps is canceled upstream by the owner, who alone knows of it", async () => {
  await withTwoServers(async ({ folder, sleeper, replicate, key }) => {
    replicate.latencyMs = 1_000;
    replicate.progress = { startMs: 0, runMs: 60_000 };
    const asked = ask(sleeper.url, key, replicateBody, headers);
    await replicate.arrived();
    sleeper.signal("SIGSTOP");
    await eventually(() => ended(folder), takeOverMs, "not taken over");
    const before = state(folder);
    sleeper.signal("SIGCONT");
    const answer = await asked;
    expect([answer?.status, answer?.code]).toEqual([502, "upstream_outcome_unknown"]);
    expect(state(folder)).toEqual(before);
    expect(replicate.predictionIds).toHaveLength(1);
    expect(replicate.requestsAt("cancel")).toHaveLength(1);
  });
}, 60_000);

test.concurrent("a clock that jumps over the lease takes no job from its own program", async () => {
  const openai = startOpenAi({ latencyMs: 4_000 });
  const router = await startRouter({ env: { OPENAI_API_KEY: openai.key, OPENAI_BASE_URL: openai.url } });
  const asked = router.generate(openaiBody);
  await openai.arrived();
  // Several times, so that recovery looks at least once before the lease is renewed.
  for (let jumps = 0; jumps < 6; jumps += 1) {
    router.advance(60_000);
    await Bun.sleep(550);
  }
  expect((await asked).status).toBe(200);
  expect(query(router.dataFolder, "select id from movements where kind = 'charge'")).toHaveLength(1);
  await router.stop();
  await expectCleanLedger(router.dataFolder);
  await router.remove();
  await openai.stop();
}, 30_000);

test.concurrent("a server that is alone and sleeps longer than its lease keeps its own jobs", async () => {
  await withTwoServers(async ({ folder, sleeper, other, openai, key }) => {
    await other.kill();
    openai.latencyMs = 10_000;
    const asked = ask(sleeper.url, key, openaiBody, headers);
    await openai.arrived();
    sleeper.signal("SIGSTOP");
    await Bun.sleep(8_500);
    // Awake again while the call is under way: its lease has run out, and its own recovery looks for such jobs.
    sleeper.signal("SIGCONT");
    const answer = await asked;
    expect([answer?.status, answer?.pictures.length]).toEqual([200, 1]);
    expect(query(folder, "select id from movements where kind = 'charge'")).toHaveLength(1);
  });
}, 60_000);
