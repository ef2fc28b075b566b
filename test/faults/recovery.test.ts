/** The real program killed, stopped and run twice (CONTRACT.md "Repeats: After a crash", "Fine points"). */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "../../src/images/inspect.ts";
import { startOpenAi } from "../doubles/openai.ts";
import { startReplicate } from "../doubles/replicate.ts";
import { startStability } from "../doubles/stability.ts";
import { dataFolder, ended, generationAt, onlyGeneration, type Program, rows, startProgram, until } from "./program.ts";
import { answerOf, cleanup, envFor, expectFailure, vendors } from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(40_000);

afterAll(cleanup.run);

const [openaiVendor, stabilityVendor, replicateVendor] = vendors;
/** Of the contract, from /readyz on. */
const recoveryMs = 10_000;

async function killed(program: Program): Promise<void> {
  program.kill("SIGKILL");
  expect(await program.exited).toBeNull();
}

/** Brings a job to where it is to be killed; then the program dies and starts again on the same folder. */
async function crash(env: Record<string, string>, body: object, whereTo: () => Promise<unknown>, meanwhileMs = 0) {
  const folder = dataFolder();
  const first = await startProgram(folder, env);
  const answer = first.generate(body).catch(() => "cut");
  await whereTo();
  await killed(first);
  expect(await answer).toBe("cut");
  await Bun.sleep(meanwhileMs);
  const second = await startProgram(folder, env, first.keys);
  expect(second.output()).not.toContain("lr_live_");
  const begun = performance.now();
  const view = await ended(second, onlyGeneration(folder));
  return { folder, program: second, view, ms: performance.now() - begun };
}

async function pictureOf(url: string | undefined) {
  const response = await fetch(url ?? "");
  expect(response.status).toBe(200);
  return inspect(await response.bytes());
}

describe("SIGKILL", () => {
  test.concurrent.each([
    ["while a synchronous call hangs", { kind: "hang" }],
    ["while its answer arrives", { kind: "oversized", bytes: 1 << 30 }],
  ] as const)("%s: failed, outcome unknown, not charged, not resent", async (_name, fault) => {
    const openai = startOpenAi();
    cleanup.add(() => openai.stop());
    openai.next(fault);
    const env = envFor(openaiVendor, openai);
    const { folder, program, view, ms } = await crash(env, { ...openaiVendor.body, n: 2 }, () => openai.arrived());
    expect(ms).toBeLessThan(recoveryMs);
    expect(view).toMatchObject({
      status: "failed",
      cost_usd: 0,
      error: { code: "upstream_outcome_unknown" },
      data: [],
    });
    expect(view.attempts).toMatchObject([{ status: "failed" }]);
    expect(openai.requestsAt("create")).toHaveLength(1);
    // And the program is well: the next one works.
    expect((await program.generate(openaiVendor.body)).status).toBe(200);
    expect(rows(folder, "select 1 from generations where status = 'running'")).toEqual([]);
  });

  const places = [
    { name: "while a job is pending", stage: "poll", runMs: 2_500, downMs: 0 },
    { name: "while a job is pending, which ends while nobody is there", stage: "poll", runMs: 700, downMs: 900 },
    { name: "while the finished picture is fetched", stage: "file", runMs: 0, downMs: 0 },
  ] as const;
  test.concurrent.each(places)("$name: resumed by its id, charged once", async ({ stage, runMs, downMs }) => {
    const replicate = startReplicate({ progress: { startMs: 0, runMs }, fileOrigin: "same" });
    cleanup.add(() => replicate.stop());
    if (stage === "file") replicate.next({ kind: "hang" }, { on: "file" });
    const env = envFor(replicateVendor, replicate);
    // A prediction that is over at once is never pending: its first answer says so.
    if (stage === "file") replicate.progress = { polls: 1 };
    const { program, view, ms } = await crash(env, replicateVendor.body, () => replicate.arrived(1, stage), downMs);
    expect(ms).toBeLessThan(recoveryMs);
    const [id] = replicate.predictionIds;
    expect(view).toMatchObject({ status: "succeeded", cost_usd: 0.05, error: null, attempts: [{ upstream_id: id }] });
    expect(replicate.predictionIds).toEqual([id ?? ""]);
    expect(replicate.requestsAt("create")).toHaveLength(1);
    expect(replicate.billed).toBe(1);
    const polls = replicate.requestsAt("poll");
    expect(new Set(polls.map(({ path }) => path))).toEqual(new Set([`/v1/predictions/${id}`]));
    expect(polls.length).toBeLessThan(25);
    expect(await pictureOf(view.data[0]?.url)).toEqual({ contentType: "image/png", width: 256, height: 256 });
    expect((await generationAt(program, view.id)).cost_usd).toBe(0.05);
  });

  test.concurrent("of a fan-out: what has an id upstream is resumed, what has none is lost, and only that", async () => {
    const replicate = startReplicate({ progress: { startMs: 0, runMs: 1_000 }, fileOrigin: "same" });
    cleanup.add(() => replicate.stop());
    replicate.next({ kind: "delay", ms: 20 });
    replicate.next({ kind: "hang", billed: false });
    const env = envFor(replicateVendor, replicate);
    const whereTo = () => Promise.all([replicate.arrived(3), replicate.arrived(2, "poll")]);
    const { view, ms } = await crash(env, { ...replicateVendor.body, n: 3 }, whereTo);
    expect(ms).toBeLessThan(recoveryMs);
    expect(view).toMatchObject({ status: "succeeded", cost_usd: 0.1, warnings: ["short_delivery"] });
    expect(view.attempts.map(({ status }) => status).sort()).toEqual(["failed", "succeeded", "succeeded"]);
    expect(view.data).toHaveLength(2);
    expect(replicate.requestsAt("create")).toHaveLength(3);
  });
});

describe("SIGTERM", () => {
  test.concurrent("finishes what runs, refuses what is new, and leaves with 0; a second one does no harm", async () => {
    const stability = startStability();
    cleanup.add(() => stability.stop());
    stability.latencyMs = 2_500;
    const folder = dataFolder();
    const program = await startProgram(folder, envFor(stabilityVendor, stability));
    const running = program.generate({ ...stabilityVendor.body, response_format: "b64_json" });
    const left = new AbortController();
    const abandoned = program.generate(stabilityVendor.body, left.signal).catch(() => "left");
    await stability.arrived(2);
    left.abort();
    expect(await abandoned).toBe("left");
    program.kill("SIGTERM");
    await until(async () => ((await program.get("/readyz")).status === 503 ? true : undefined));
    expect((await program.get("/healthz")).status).toBe(200);
    const refused = await expectFailure(program.generate(stabilityVendor.body), {
      status: 503,
      code: "shutting_down",
      retry: true,
    });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    program.kill("SIGTERM");
    const answer = await answerOf(running);
    expect(answer).toMatchObject({ status: 200, cost: "0.065" });
    expect(inspect(Buffer.from(answer.body.data?.[0]?.b64_json ?? "", "base64"))).toMatchObject({ width: 1024 });
    expect(await program.exited).toBe(0);
    expect(stability.requestsAt("create")).toHaveLength(2);
    const statuses = rows<{ status: string }>(folder, "select status from generations");
    expect(statuses).toEqual([{ status: "succeeded" }, { status: "succeeded" }]);
    expect(readdirSync(join(folder, "data", "images", "unfinished"))).toEqual([]);
  });

  test.concurrent("with nothing to do is over at once, idle connections or not", async () => {
    const program = await startProgram(dataFolder(), {});
    await (await program.get("/healthz")).text();
    program.kill("SIGTERM");
    expect(await program.exited).toBe(0);
  });

  test.concurrent("a job that outlives the drain's time goes on with the next start", async () => {
    const replicate = startReplicate({ progress: { startMs: 0, runMs: 5_000 }, fileOrigin: "same" });
    cleanup.add(() => replicate.stop());
    const folder = dataFolder();
    const env = { ...envFor(replicateVendor, replicate), AROUTER_DRAIN_TIMEOUT_MS: "100" };
    const first = await startProgram(folder, env);
    const answer = first.generate(replicateVendor.body).catch(() => "cut");
    await replicate.arrived(1, "poll");
    first.kill("SIGTERM");
    expect(await first.exited).toBe(0);
    expect(await answer).toBe("cut");
    const second = await startProgram(folder, env, first.keys);
    expect(await ended(second, onlyGeneration(folder))).toMatchObject({ status: "succeeded", cost_usd: 0.05 });
    expect(replicate.requestsAt("create")).toHaveLength(1);
  });
});

describe("two programs on one data folder", () => {
  test.concurrent("share keys, links and pictures; a job stays with its living owner", async () => {
    const openai = startOpenAi();
    cleanup.add(() => openai.stop());
    const folder = dataFolder();
    const env = envFor(openaiVendor, openai);
    // Both at once, on an empty folder: one of them makes the keys.
    const both = await Promise.all([startProgram(folder, env), startProgram(folder, env)]);
    const keyed = both.filter(({ keys }) => keys.live !== "");
    expect(keyed).toHaveLength(1);
    const first = keyed[0] ?? both[0];
    const other = await startProgram(folder, env, first.keys);
    openai.latencyMs = 12_000;
    const slow = first.generate(openaiVendor.body);
    await openai.arrived();
    const owners = "select owner, status from generations order by created_at";
    const begun = rows<{ owner: string; status: string }>(folder, owners);
    expect(begun).toMatchObject([{ status: "running" }]);
    openai.latencyMs = 0;
    for (const [maker, server] of [
      [first, other],
      [other, first],
    ] as const) {
      const answer = await answerOf(maker.generate(openaiVendor.body));
      const link = new URL(answer.body.data?.[0]?.url ?? "");
      expect(await pictureOf(server.url + link.pathname + link.search)).toMatchObject({ width: 256 });
      link.searchParams.set("expires", "9999999999");
      expect((await fetch(server.url + link.pathname + link.search)).status).toBe(403);
    }
    expect((await answerOf(slow)).status).toBe(200);
    expect(rows(folder, owners)[0]).toEqual({ owner: begun[0]?.owner ?? "", status: "succeeded" });
    expect(openai.requestsAt("create")).toHaveLength(3);
    for (const program of [...both, other]) expect(program.output()).not.toContain("abandoned");
    const mode = (name: string) => statSync(join(folder, "data", name)).mode & 0o777;
    expect([mode("arouter.db"), mode("link-secret")]).toEqual([0o600, 0o600]);
  });

  test.concurrent("when the owner dies, the other brings its job to an end", async () => {
    const replicate = startReplicate({ progress: { startMs: 0, runMs: 3_000 }, fileOrigin: "same" });
    cleanup.add(() => replicate.stop());
    const folder = dataFolder();
    const env = envFor(replicateVendor, replicate);
    const owner = await startProgram(folder, env);
    const heir = await startProgram(folder, env, owner.keys);
    const answer = owner.generate(replicateVendor.body).catch(() => "cut");
    await replicate.arrived(1, "poll");
    await killed(owner);
    const begun = performance.now();
    expect(await answer).toBe("cut");
    expect(await ended(heir, onlyGeneration(folder))).toMatchObject({ status: "succeeded", cost_usd: 0.05 });
    expect(performance.now() - begun).toBeLessThan(30_000);
    expect(replicate.requestsAt("create")).toHaveLength(1);
  });
});
