/**
 * `kill -9` at every step boundary, with every kind of upstream: the next start ends in a truthful state within ten
 * seconds, nothing is charged twice or for nothing, nothing that was stored or can be asked again is lost.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { startOpenAi } from "../doubles/openai.ts";
import { startReplicate } from "../doubles/replicate.ts";
import { startStability } from "../doubles/stability.ts";
import {
  type Asked,
  ask,
  eventually,
  killAll,
  makeFolder,
  query,
  removeFolder,
  startChild,
  storedFiles,
} from "./harness.ts";
import { expectCleanLedger } from "./ledger.ts";
import { turns } from "./turns.ts";

/** CONTRACT.md "Repeats"; a job that runs on upstream gets its remaining time on top. */
const recoveryMs = 10_000;
const replicateRunMs = 1_500;
const scenarioMs = 90_000;
/** Most of a scenario is waiting for a lease to run out. */
const scenariosAtOnce = 14;

const kinds = {
  "OpenAI, one picture": { provider: "openai", model: "openai/dall-e-2", n: 1, calls: 1, size: "256x256", unit: 16 },
  "OpenAI, three in one call": {
    provider: "openai",
    model: "openai/dall-e-2",
    n: 3,
    calls: 1,
    size: "256x256",
    unit: 16,
  },
  "Stability, one picture": {
    provider: "stability",
    model: "stability/stable-diffusion-3-large",
    n: 1,
    calls: 1,
    unit: 65,
  },
  "Stability, fan-out of three": {
    provider: "stability",
    model: "stability/stable-diffusion-3-large",
    n: 3,
    calls: 3,
    unit: 65,
  },
  "Replicate, one job": {
    provider: "replicate",
    model: "black-forest-labs/flux-1-pro",
    n: 1,
    calls: 1,
    size: "256x256",
    unit: 50,
  },
  "Replicate, fan-out of three": {
    provider: "replicate",
    model: "black-forest-labs/flux-1-pro",
    n: 3,
    calls: 3,
    size: "256x256",
    unit: 50,
  },
} as const;
type Kind = (typeof kinds)[keyof typeof kinds];

/** `sent`: the provider has the request and has not answered. The others are points of `server.ts`. */
const points = ["admitted", "sent", "pending", "bytes", "stored", "delivered", "settling", "settled"] as const;
type Point = (typeof points)[number];

afterAll(killAll);

const inTurn = turns(scenariosAtOnce);

for (const [name, kind] of Object.entries(kinds)) {
  describe(name, () => {
    for (const point of points) {
      if (point === "pending" && kind.provider !== "replicate") continue;
      // The same for any number of pictures.
      if (kind.n > 1 && (point === "admitted" || point === "settled")) continue;
      // All begin at once and wait for their turn; the tests only collect.
      const ended = inTurn(() => playScenario(kind, point)).then(
        () => null,
        (error: unknown) => error,
      );
      test(
        `killed at '${point}'`,
        async () => {
          const error = await ended;
          if (error !== null) throw error;
        },
        scenarioMs * 4,
      );
    }
  });
}

async function playScenario(kind: Kind, point: Point): Promise<void> {
  const folder = makeFolder();
  const openai = startOpenAi();
  const stability = startStability();
  const replicate = startReplicate({ fileOrigin: "same", progress: { startMs: 50, runMs: replicateRunMs } });
  const double = { openai, stability, replicate }[kind.provider];
  const env = {
    OPENAI_API_KEY: openai.key,
    OPENAI_BASE_URL: openai.url,
    STABILITY_API_KEY: stability.key,
    STABILITY_BASE_URL: stability.url,
    REPLICATE_API_TOKEN: replicate.key,
    REPLICATE_BASE_URL: replicate.url,
  };
  const { model, n } = kind;
  const body = {
    model,
    n,
    prompt: "a lighthouse",
    response_format: "url",
    ...("size" in kind ? { size: kind.size } : {}),
  };
  const headers = { "idempotency-key": "order-1" };
  try {
    // In the middle of a fan-out, where there is one: some calls are past the point, some are not.
    const many = point === "pending" || point === "delivered" ? kind.calls : n;
    const nth = ["bytes", "stored", "pending", "delivered"].includes(point) && many > 1 ? 2 : 1;
    const first = await startChild(folder, { ...env, CRASH_AT: point, CRASH_NTH: String(nth) });
    if (point === "sent") double.latencyMs = 5_000;
    const asked = ask(first.url, first.keys.live, body, headers);
    if (point === "sent") await double.arrived(kind.calls).then(() => first.kill());
    await eventually(
      () => Promise.race([first.gone.then(() => true), Bun.sleep(0).then(() => false)]),
      20_000,
      "not killed",
    );
    expect(await asked).toBeNull();
    double.latencyMs = 0;
    const created = double.requestsAt("create").length;
    const expected = promisedPictures(folder);

    const second = await startChild(folder, env);
    const retry = ask(second.url, first.keys.live, body, headers);
    await eventually(() => nothingRuns(folder), recoveryMs + replicateRunMs, `still running after ${point}`);
    await expectTruth(kind, folder, expected, await retry);
    expect(await ask(second.url, first.keys.live, body, headers)).toEqual((await retry) as Asked);
    expect(double.requestsAt("create")).toHaveLength(created);
    if (kind.provider === "replicate") expect(replicate.predictionIds).toHaveLength(created);
    await second.kill();
    await expectCleanLedger(folder);
  } finally {
    await Promise.all([openai.stop(), stability.stop(), replicate.stop()]);
    removeFolder(folder);
  }
}

function nothingRuns(folder: string): boolean {
  return query(folder, "select id from generations where status in ('queued', 'running')").length === 0;
}

/**
 * What the folder of a dead program promises: pictures that are stored, and jobs whose upstream id is known. A promise
 * that is read off here and not off the point of the crash holds for every mixture in a fan-out.
 */
function promisedPictures(folder: string): number {
  const settled = query(folder, "select id from images").length;
  if (settled > 0) return settled;
  const jobs = query(
    folder,
    "select sequence from attempts where upstream_id is not null and pending is not null",
  ).length;
  return jobs > 0 ? jobs : storedFiles(folder).length;
}

async function expectTruth(kind: Kind, folder: string, expected: number, retry: Asked | null): Promise<void> {
  const [generation] = query<{ id: string; status: string; cost_nanos: number; error: string | null }>(
    folder,
    "select id, status, cost_nanos, error from generations",
  );
  expect(query(folder, "select id from generations")).toHaveLength(1);
  expect(generation?.cost_nanos).toBe(expected * kind.unit * 1_000_000);
  expect(retry?.generation).toBe(generation?.id ?? "");
  expect(retry?.pictures).toHaveLength(expected);
  if (expected === 0) {
    expect(generation?.status).toBe("failed");
    expect(JSON.parse(generation?.error ?? "{}").code).toBe("upstream_outcome_unknown");
    expect([retry?.status, retry?.code, retry?.shouldRetry]).toEqual([502, "upstream_outcome_unknown", "false"]);
    return;
  }
  expect([generation?.status, retry?.status]).toEqual(["succeeded", 200]);
  const different = new Set(retry?.pictures.map((picture) => (picture === null ? "" : Bun.hash(picture).toString())));
  expect(retry?.pictures).not.toContain(null);
  expect(different.size).toBe(expected);
}
