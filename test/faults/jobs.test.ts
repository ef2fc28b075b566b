/** Jobs at Replicate from their creation to their end, and requests that take several calls. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { systemClock } from "../../src/ports.ts";
import { adapters } from "../../src/providers/index.ts";
import { type PendingJob, runAttempt } from "../../src/providers/transport.ts";
import type { DoubleServer } from "../doubles/double.ts";
import { startOpenAi } from "../doubles/openai.ts";
import { picture } from "../doubles/picture.ts";
import { REFUSALS, type ReplicateDouble, startReplicate } from "../doubles/replicate.ts";
import { stabilityFault, startStability } from "../doubles/stability.ts";
import {
  answerOf,
  cleanup,
  envFor,
  expectFailure,
  filesOf,
  memoryImage,
  outcomes,
  router,
  vendors,
} from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(40_000);

const [, stabilityVendor, vendor] = vendors;
afterAll(cleanup.run);

/** A double and a router of the test's own, for tests run side by side. */
async function scene(polls = 0, env: Record<string, string> = {}) {
  const replicate = startReplicate({ progress: { polls }, fileOrigin: "same" });
  cleanup.add(() => replicate.stop());
  return { replicate, started: await router({ ...envFor(vendor, replicate), ...env }) };
}

/** One attempt without a router, at a model that makes several pictures a call. */
function attemptAt(replicate: ReplicateDouble) {
  const adapter = adapters.find(({ id }) => id === "replicate");
  if (adapter === undefined) throw new Error("no adapter");
  return (options: { prompt?: string; onPending?: () => Promise<void>; resume?: PendingJob }) =>
    runAttempt(
      { adapter, baseUrl: replicate.url, trustedOrigin: replicate.origin, credential: replicate.key },
      {
        operation: "generate",
        model: "black-forest-labs/flux-schnell",
        parameters: { prompt: options.prompt ?? "a lighthouse", num_outputs: 4 },
        count: 4,
      },
      { newImage: memoryImage, onPending: options.onPending ?? (async () => {}) },
      { fetch, resolve: async () => [], clock: systemClock },
      { timeoutMs: 20_000, ...(options.resume === undefined ? {} : { resume: options.resume }) },
    );
}
const never = Number.POSITIVE_INFINITY;

describe("a job", () => {
  test.concurrent("is created by a call that returns at once", async () => {
    const { replicate, started } = await scene();
    expect((await started.generate(vendor.body)).status).toBe(200);
    const { headers } = replicate.requestsAt("create")[0] ?? {};
    expect(Number(/wait(?:=(\d+))?/.exec(headers?.prefer ?? "wait=0")?.[1] ?? 60)).toBeLessThanOrEqual(2);
  });

  test.concurrent("that never ends is given up and canceled after the attempt's whole life", async () => {
    const { replicate, started } = await scene(never, { AROUTER_UPSTREAM_TIMEOUT_MS: "3000" });
    await expectFailure(started.generate(vendor.body), outcomes.timeout);
    const [id] = replicate.predictionIds;
    expect(replicate.requestsAt("cancel").map(({ path }) => path)).toEqual([`/v1/predictions/${id}/cancel`]);
    expect(replicate.requestsAt("create")).toHaveLength(1);
  });

  test.concurrent("is canceled too when polls hang; a cancel that fails changes nothing", async () => {
    const { replicate, started } = await scene(never, { AROUTER_UPSTREAM_TIMEOUT_MS: "3000" });
    replicate.always({ kind: "hang" }, { on: "poll" });
    replicate.always({ kind: "cut" }, { on: "cancel" });
    await expectFailure(started.generate(vendor.body), outcomes.timeout);
    expect(replicate.requestsAt("cancel")).toHaveLength(1);
  });

  test.concurrent("is polled ever more slowly, never in a rush: also when it is picked up again", async () => {
    const { replicate } = await scene();
    replicate.progress = { startMs: 0, runMs: 1_500 };
    const attempt = attemptAt(replicate);
    // The program that submitted it never comes to its first poll.
    await new Promise<void>((stopped) => {
      void attempt({ onPending: () => new Promise(() => stopped()) });
    });
    const [id = ""] = replicate.predictionIds;
    const resume = { upstreamId: id, poll: { method: "GET", url: `/predictions/${id}` }, afterMs: 0 } as const;
    expect(await attempt({ resume })).toMatchObject({ kind: "done", upstreamId: id });
    expect(replicate.requestsAt("poll").length).toBeWithin(1, 6);
    expect(replicate.requestsAt("create")).toHaveLength(1);
  });

  const ends: [name: string, fields: object, expected: Parameters<typeof expectFailure>[1]][] = [
    ["failed with E005", { status: "failed", error: REFUSALS.E005 }, outcomes.refused],
    ["failed as NSFW", { status: "failed", error: REFUSALS.NSFW }, outcomes.refused],
    ["failed with another error", { status: "failed", error: "CUDA out of memory" }, outcomes.failed],
    ["aborted", { status: "aborted" }, outcomes.failed],
    ["canceled", { status: "canceled" }, outcomes.failed],
    ["an unknown status", { status: "request_moderated" }, outcomes.changed],
    ["an output of another shape", { status: "succeeded", output: { url: "https://a.example/" } }, outcomes.changed],
    ["an output that is no link", { status: "succeeded", output: "data:image/png;base64,QUJD" }, outcomes.changed],
  ];
  test.concurrent.each(ends)("%s", async (_name, fields, expected) => {
    const { replicate, started } = await scene(never);
    const prediction = { id: "p1", output: null, error: null, urls: {}, ...fields };
    // At once in the answer to the create call, and later in a poll's.
    replicate.next({ kind: "answer", status: 201, body: prediction });
    await expectFailure(started.generate(vendor.body), expected);
    replicate.next({ kind: "answer", status: 200, body: prediction }, { on: "poll" });
    await expectFailure(started.generate(vendor.body), expected);
    expect(replicate.requestsAt("create")).toHaveLength(2);
    expect(filesOf(started)).toEqual([]);
  });

  test.concurrent("without any output is a failure that costs nothing", async () => {
    const { replicate, started } = await scene();
    for (const output of [null, [], ""]) {
      replicate.next({ kind: "answer", status: 201, body: { id: "p1", status: "succeeded", output, urls: {} } });
      const { status, retry, cost, body } = await answerOf(started.generate(vendor.body));
      expect({ status, cost, data: body.data }).toEqual({ status: 502, cost: "0", data: undefined });
      expect(retry).toBeOneOf(["true", "false"]);
    }
  });

  test.concurrent("output may be one link or a list; more links than asked are not even fetched", async () => {
    const { replicate, started } = await scene();
    const links = ["a", "b", "c"].map((name, seed) => {
      replicate.files.put(`/${name}.png`, "", picture({ width: 256, height: 256, seed }), "image/png");
      return `${replicate.origin}/${name}.png`;
    });
    for (const output of [links[0], links.slice(0, 1), links]) {
      replicate.next({ kind: "answer", status: 201, body: { id: "p1", status: "succeeded", output, urls: {} } });
      expect((await answerOf(started.generate(vendor.body))).body.data).toHaveLength(1);
    }
    expect(replicate.requestsAt("file").map(({ path }) => path)).toEqual(Array(3).fill("/a.png"));
  });

  test.concurrent("outputs that were partly dropped leave the rest, in order", async () => {
    const { replicate } = await scene();
    const outcome = await attemptAt(replicate)({ prompt: "a lighthouse [[drop:1]]" });
    expect(outcome).toMatchObject({ kind: "done", upstreamId: replicate.predictionIds[0] });
    expect(outcome.kind === "done" ? outcome.images.length : 0).toBe(3);
  });
});

describe("ten pictures by ten calls", () => {
  async function tenFrom(double: DoubleServer, from: typeof vendor, fields: object) {
    cleanup.add(() => double.stop());
    const started = await router(envFor(from, double));
    const ask = { ...from.body, n: 10, seed: 100, response_format: "b64_json", ...fields };
    const answer = await answerOf(started.generate(ask));
    expect(double.requestsAt("create")).toHaveLength(10);
    return { answer, started, pictures: answer.body.data?.map(({ b64_json }) => b64_json) };
  }
  const seeds = Array.from({ length: 10 }, (_, index) => 100 + index);
  const drawn = (width: number, height: number, seed: number) => picture({ width, height, seed }).toBase64();

  test.concurrent("stay in the order asked, whatever order they come in", async () => {
    const stability = startStability();
    stability.latencyMs = 50;
    for (const ms of [400, 0, 300, 0, 200]) stability.next({ kind: "delay", ms });
    const { answer, pictures } = await tenFrom(stability, stabilityVendor, {});
    expect(answer).toMatchObject({ status: 200, cost: "0.65" });
    expect(pictures).toEqual(seeds.map((seed) => drawn(1024, 1024, seed)));
  });

  const losses = [
    ["refused", stabilityFault("content_moderation")],
    ["cut", { kind: "cut" }],
    ["limited", stabilityFault("rate_limit_exceeded")],
    ["a page", { kind: "htmlBadGateway" }],
    ["no picture", { kind: "text", contentType: "image/png" }],
  ] as const;
  test.concurrent.each(losses)("one of them %s: the rest in order, charged for nine", async (_name, fault) => {
    const stability = startStability();
    for (let call = 0; call < 4; call += 1) stability.next({ kind: "delay", ms: 10 });
    stability.next(fault);
    const { answer, pictures, started } = await tenFrom(stability, stabilityVendor, {});
    const unlucky = stability.requestsAt("create").at(4)?.body as { seed: string };
    expect(answer).toMatchObject({ status: 200, cost: "0.585" });
    expect(answer.headers.get("x-arouter-warnings")).toBe("short_delivery");
    const rest = seeds.filter((seed) => seed !== Number(unlucky.seed));
    expect(pictures).toEqual(rest.map((seed) => drawn(1024, 1024, seed)));
    expect(filesOf(started)).toHaveLength(9);
  });

  test.concurrent("all of them refused is a refusal", async () => {
    const stability = startStability();
    stability.always(stabilityFault("content_moderation"));
    const { answer, started } = await tenFrom(stability, stabilityVendor, {});
    expect(answer).toMatchObject({ ...outcomes.refused, retry: "false", cost: "0" });
    expect(filesOf(started)).toEqual([]);
  });

  test.concurrent("ten jobs, one of which fails, are polled side by side", async () => {
    const replicate = startReplicate({ progress: { polls: 1 }, fileOrigin: "same" });
    const failed = { id: "p1", status: "failed", output: null, error: REFUSALS.E005, urls: {} };
    replicate.next({ kind: "delay", ms: 10 }, { times: 5 });
    replicate.next({ kind: "answer", status: 201, body: failed });
    const { answer } = await tenFrom(replicate, vendor, {});
    expect(answer).toMatchObject({ status: 200, cost: "0.45" });
    expect(answer.body.data).toHaveLength(9);
    expect(replicate.predictionIds).toHaveLength(9);
    expect(new Set(answer.body.data?.map(({ b64_json }) => b64_json)).size).toBe(9);
  });
});

describe("an operator's base URL with a path of its own", () => {
  test.concurrent.each(vendors)("$name", async (through) => {
    const starts = { openai: startOpenAi, stability: startStability, replicate: startReplicate };
    const double = starts[through.name]({ fileOrigin: "same" });
    cleanup.add(() => double.stop());
    const paths: string[] = [];
    // A gateway in front of the vendor: what does not have its prefix is lost.
    const gateway = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch(request): Promise<Response> {
        const { pathname } = new URL(request.url);
        paths.push(pathname);
        if (!pathname.startsWith("/team-7/ai/")) return new Response("not here", { status: 404 });
        const { method, headers } = request;
        const body = method === "GET" ? null : await request.bytes();
        const answer = await fetch(double.origin + pathname.slice("/team-7/ai".length), { method, headers, body });
        // Links of the vendor's become links of the gateway's.
        const text = answer.headers.get("content-type")?.startsWith("application/json") ?? false;
        if (!text) return answer;
        const own = `http://${request.headers.get("host")}/team-7/ai`;
        const moved = (await answer.text()).replaceAll(double.origin, own);
        return new Response(moved, { status: answer.status, headers: { "content-type": "application/json" } });
      },
    });
    cleanup.add(() => gateway.stop(true));
    const started = await router({
      [through.keyVariable]: double.key,
      [through.urlVariable]: `${gateway.url.origin}/team-7/ai${through.path}/`,
    });
    const answer = await answerOf(started.generate(through.body));
    expect(answer).toMatchObject({ status: 200, body: { data: [{}] } });
    expect(paths.every((path) => path.startsWith("/team-7/ai/"))).toBe(true);
    expect(double.requestsAt("create")).toHaveLength(1);
  });
});
