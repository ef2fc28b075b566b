/**
 * `kill -9` beyond the first call: in the second round, on the second candidate, with jobs at BFL and fal, in the middle
 * of edits and streams. The next start ends in a truthful state, nothing is submitted again, nothing is charged for nothing.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "../../src/images/inspect.ts";
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
import { jobMs, type Scenario, scenarios, startDoubles } from "./scenarios.ts";
import { turns } from "./turns.ts";

setDefaultTimeout(360_000);
afterAll(killAll);

/** CONTRACT.md "Repeats"; a job that runs on upstream gets its remaining time on top. */
const recoveryMs = 10_000;
/** Most of a scenario is waiting for a lease to run out. */
const scenariosAtOnce = 10;

const inTurn = turns(scenariosAtOnce);

for (const [name, scenario] of Object.entries(scenarios)) {
  // All begin at once and wait for their turn; the tests only collect.
  const ended = inTurn(() => playScenario(scenario)).then(
    () => null,
    (error: unknown) => error,
  );
  test(`killed: ${name}`, async () => {
    const error = await ended;
    if (error !== null) throw error;
  });
}

const prompt = "a lighthouse";

function send({ url }: Child, key: string, { body, pictures }: Scenario): Promise<Response> {
  const headers = { authorization: `Bearer ${key}`, "idempotency-key": "order-1" };
  const asked = { prompt, response_format: "url", ...body };
  if (pictures === undefined) {
    return fetch(`${url}/v1/images/generations`, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify(asked),
    });
  }
  const form = new FormData();
  for (const [field, value] of Object.entries(asked)) {
    form.append(field, typeof value === "object" ? JSON.stringify(value) : String(value));
  }
  for (const bytes of pictures) form.append("image[]", new Blob([bytes as Uint8Array<ArrayBuffer>]), "given");
  return fetch(`${url}/v1/images/edits`, { method: "POST", headers, body: form });
}

async function playScenario(scenario: Scenario): Promise<void> {
  const folder = makeFolder();
  const doubles = startDoubles();
  const { at, arrange, pictures = [] } = scenario;
  const env = { ...doubles.env, ...scenario.env };
  const createdNow = () =>
    Object.fromEntries(
      (["openai", "stability", "replicate", "bfl", "fal"] as const)
        .map((name) => [name, doubles[name].requestsAt("create").length] as const)
        .filter(([, count]) => count > 0),
    );
  try {
    const crash = typeof at === "function" ? {} : { CRASH_AT: at[0], CRASH_NTH: String(at[1]) };
    const first = await startChild(folder, { ...env, ...crash });
    await arrange?.(doubles);
    let received = "";
    const read = (async () => {
      const decoder = new TextDecoder();
      const { body } = await send(first, first.keys.live, scenario);
      for await (const chunk of body ?? []) received += decoder.decode(chunk, { stream: true });
    })().catch(() => {});
    if (typeof at === "function") await at(doubles, () => received).then(() => first.kill());
    await eventually(
      () => Promise.race([first.gone.then(() => true), Bun.sleep(0).then(() => false)]),
      30_000,
      "not killed",
    );
    await read;
    expect(readdirSync(join(folder, "inputs"))).toHaveLength(pictures.length);
    for (const double of doubles.all) double.clear();

    const second = await startChild(folder, { ...env, AROUTER_BOOTSTRAP_KEYS: "off" });
    await eventually(() => running(folder) === 0, recoveryMs + jobMs, "still running");
    await expectTruth(scenario, folder, second, first.keys.live);
    // Whoever asks again is told the same, and nobody upstream is asked.
    const again = await send(second, first.keys.live, scenario);
    const text = await again.text();
    const streams = scenario.body.stream === true && scenario.delivered !== undefined;
    if (streams) expect(text).toContain("event: image_generation.completed");
    else
      expect([again.status, text.includes("upstream_outcome_unknown")]).toEqual(
        scenario.delivered ? [200, false] : [502, true],
      );
    expect(createdNow()).toEqual(scenario.created);
    expect(query(folder, "select 1 from generations")).toHaveLength(1);
    await second.kill();
    await expectCleanLedger(folder);
    await expectNothingLeft(folder, first.keys, env);
  } finally {
    await Promise.all(doubles.all.map((double) => double.stop()));
    removeFolder(folder);
  }
}

const running = (folder: string) =>
  query(folder, "select id from generations where status in ('queued', 'running')").length;

interface GenerationRecord {
  id: string;
  status: string;
  model: string;
  error: { code: string } | null;
  warnings: string[];
  cost_usd: number;
  data: Array<{ url: string; size: string }>;
  attempts: Array<{ round: number; status: string }>;
}

async function expectTruth(scenario: Scenario, folder: string, { url }: Child, key: string): Promise<void> {
  const { delivered, attempts, providerCostNanos } = scenario;
  const [{ id = "" } = {}] = query<{ id: string }>(folder, "select id from generations");
  const headers = { authorization: `Bearer ${key}` };
  const record = (await (await fetch(`${url}/v1/images/generations/${id}`, { headers })).json()) as GenerationRecord;
  expect(record.attempts.map(({ round, status }) => `${round} ${status}`).sort()).toEqual(attempts);
  const charges = query<{ nanos: number; model: string; provider_cost_nanos: number | null }>(
    folder,
    "select amount_nanos nanos, model, provider_cost_nanos from movements where kind = 'charge'",
  );
  if (delivered === undefined) {
    expect(record).toMatchObject({
      status: "failed",
      cost_usd: 0,
      data: [],
      error: { code: "upstream_outcome_unknown" },
    });
    expect(charges).toEqual([]);
    return;
  }
  const { pictures, nanos, model, size, warnings = [] } = delivered;
  expect(record).toMatchObject({ status: "succeeded", model, error: null, warnings });
  expect(charges).toEqual([{ nanos, model, provider_cost_nanos: providerCostNanos ?? null }]);
  const hashes = new Set<string>();
  for (const image of record.data) {
    const bytes = await (await fetch(image.url)).bytes();
    hashes.add(Bun.hash(bytes).toString());
    if (size !== undefined) expect(inspect(bytes)).toMatchObject({ width: size, height: size });
  }
  expect(hashes.size).toBe(pictures);
}

/** Three hours later: no picture of the client's, none of ours. */
async function expectNothingLeft(folder: string, keys: Child["keys"], env: { [name: string]: string }): Promise<void> {
  const router = await startRouter({ dataFolder: folder, keys, env: { ...env, AROUTER_BOOTSTRAP_KEYS: "off" } });
  router.advance(3 * 3_600_000);
  const left = () => [
    ...storedFiles(folder),
    ...["inputs", "images/unfinished"].flatMap((name) => {
      const path = join(folder, name);
      return existsSync(path) ? readdirSync(path) : [];
    }),
  ];
  await eventually(() => left().length === 0, 20_000, "picture files are left");
  await router.stop();
}
