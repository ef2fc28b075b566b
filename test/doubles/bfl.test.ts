/** The BFL double against upstream-apis.md §5: one row per documented status and message. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { type BflDouble, startBfl } from "./bfl.ts";
import { picture } from "./picture.ts";

let skippedMs = 0;
const now = () => Date.now() + skippedMs;
const double = startBfl({ now });
const far = startBfl({ now, pollOrigin: "other", errors: "guide", progress: { pendingPolls: 0 } });
beforeEach(() => {
  double.progress = { pendingPolls: 0 };
});
afterAll(() => Promise.all([double.stop(), far.stop()]));

interface Answer {
  id: string;
  polling_url: string;
  status: string;
  result: { sample: string; [key: string]: unknown } | null;
  details: unknown;
  detail: { loc: unknown[]; msg: string; type: string }[];
  [key: string]: unknown;
}

function ask(model: string, input: object = {}, to: BflDouble = double, key = to.key): Promise<Response> {
  const headers = { "x-key": key, "content-type": "application/json" };
  const body = JSON.stringify({ prompt: "a fox", ...input });
  return fetch(`${to.url}/${model}`, { method: "POST", headers, body });
}

async function bodyOf(response: Response | Promise<Response>, status = 200): Promise<Answer> {
  const answer = await response;
  expect(answer.status).toBe(status);
  return (await answer.json()) as Answer;
}

function poll({ polling_url }: Answer, headers: Record<string, string> = { "x-key": double.key }): Promise<Answer> {
  return bodyOf(fetch(polling_url, { headers }));
}

async function sampleOf(answer: Answer): Promise<string> {
  const { result } = await poll(answer, {});
  if (!result) throw new Error("no result");
  return result.sample;
}

async function whatIsAt(link: string): Promise<string> {
  const response = await fetch(link);
  const { width, height, format } = await new Bun.Image(await response.bytes()).metadata();
  return `${width}x${height} ${format} as ${response.headers.get("content-type")}`;
}

const base64 = (width: number, height: number) => picture({ width, height }).toBase64();

describe("tasks", () => {
  test("are Pending for so many polls, then Ready, with all keys", async () => {
    double.progress = { pendingPolls: 2 };
    const before = double.billed;
    const created = await bodyOf(ask("flux-pro-1.1", { seed: 7 }));
    expect(Object.keys(created).sort()).toEqual(["cost", "id", "input_mp", "output_mp", "polling_url"]);
    expect(created).toMatchObject({ cost: 4, input_mp: 0, output_mp: 0.75 });
    expect(created.polling_url).toBe(`${double.url}/get_result?id=${created.id}`);
    const nothing = { result: null, progress: null, details: null, preview: null };
    const pending: unknown = { id: created.id, status: "Pending", ...nothing };
    expect<unknown[]>([await poll(created), await poll(created)]).toEqual([pending, pending]);
    expect(double.billed - before).toBe(0);
    const done = await poll(created);
    expect(done).toMatchObject({ id: created.id, status: "Ready", result: { seed: 7, prompt: "a fox" } });
    expect(Object.keys(done.result ?? {}).sort()).toEqual(
      ["duration", "end_time", "prompt", "sample", "seed", "start_time"].sort(),
    );
    expect(double.billed - before).toBe(1);
    expect(await poll(created)).toEqual(done);
  });

  test("or by the clock, whether or not anybody asks", async () => {
    double.progress = { runMs: 3000 };
    const before = { pictures: double.billed, credits: double.billedCredits };
    const created = await bodyOf(ask("flux-pro-1.1-ultra"));
    expect(await poll(created)).toMatchObject({ status: "Pending" });
    skippedMs += 3000;
    expect({ pictures: double.billed, credits: double.billedCredits }).toEqual({
      pictures: before.pictures + 1,
      credits: before.credits + 6,
    });
    expect(await poll(created)).toMatchObject({ status: "Ready", result: { duration: 3 } });
  });

  test("every refusal and failure arrives with 200, and costs nothing", async () => {
    const before = double.billed;
    const reasons = { "Moderation Reasons": [expect.any(String)] };
    const endings = [
      ["[[moderate]]", "Request Moderated", reasons],
      ["[[moderate:output]]", "Content Moderated", reasons],
      ["[[fail:Content Moderated]]", "Content Moderated", reasons],
      ["[[fail:Error]]", "Error", null],
      ["[[fail:CUDA out of memory]]", "Error", { error: "CUDA out of memory" }],
      ["[[fail:Task not found]]", "Task not found", null],
    ] as const;
    for (const [prompt, status, details] of endings) {
      const created = await bodyOf(ask("flux-2-pro", { prompt }));
      expect(await poll(created)).toMatchObject({ status, result: null, details });
    }
    const nobody = await bodyOf(fetch(`${double.url}/get_result?id=nope`, { headers: { "x-key": double.key } }));
    expect(nobody).toMatchObject({ id: "nope", status: "Task not found", result: null });
    expect(double.billed - before).toBe(0);
    double.next({ kind: "emptyData" });
    expect(await poll(await bodyOf(ask("flux-2-pro")))).toMatchObject({ status: "Ready", result: null });
    expect(double.billed - before).toBe(0);
  });

  test("polling_url may be of another origin; it needs no key, and notices one that comes", async () => {
    expect(far.pollOrigin).not.toBe(far.origin);
    const created = await bodyOf(ask("flux-dev", {}, far));
    expect(created.polling_url).toStartWith(`${far.pollOrigin}/v1/get_result?id=`);
    expect(await poll(created, {})).toMatchObject({ status: "Ready" });
    expect(far.keysAtCluster).toEqual([]);
    await poll(created, { "x-key": far.key });
    expect(far.keysAtCluster).toEqual([far.key]);
    // Faults on the wire show there too. (Not `cut`: Bun's fetch resends a GET that was cut on a reused connection.)
    far.next({ kind: "truncate" }, { on: "poll" });
    await expect((await fetch(created.polling_url)).text()).rejects.toMatchObject({ code: "ECONNRESET" });
    await bodyOf(fetch(created.polling_url, { headers: { "x-key": "wrong" } }), 401);
    await bodyOf(fetch(`${double.url}/get_result?id=x`, { headers: { "x-key": "wrong" } }), 403);
  });

  test("at most so many at once, of flux-kontext-max fewer; those that are over count no more", async () => {
    double.progress = { runMs: 60_000 };
    const statuses = async (model: string, count: number) => {
      const all = await Promise.all(Array.from({ length: count }, () => ask(model)));
      return all.map(({ status }) => status).sort();
    };
    expect(await statuses("flux-kontext-max", 8)).toEqual([200, 200, 200, 200, 200, 200, 429, 429]);
    expect(await statuses("flux-dev", 20)).toEqual([...Array(18).fill(200), 429, 429]);
    expect([double.activeTasks, double.peakActive]).toEqual([24, 24]);
    skippedMs += 60_000;
    expect(double.activeTasks).toBe(0);
    double.maxActive = 1;
    expect(await statuses("flux-dev", 3)).toEqual([200, 429, 429]);
    double.maxActive = 24;
    skippedMs += 60_000;
  });

  test("credits are counted down, and refused when there are too few", async () => {
    const poor = startBfl({ credits: 10, progress: { pendingPolls: 1 } });
    const credits = async () =>
      (await bodyOf(fetch(`${poor.url}/credits`, { headers: { "x-key": poor.key } }))).credits;
    expect(await credits()).toBe(10);
    await bodyOf(ask("flux-pro-1.1-ultra", {}, poor));
    expect(await credits()).toBe(4);
    await bodyOf(ask("flux-pro-1.1-ultra", {}, poor), 402);
    await bodyOf(ask("flux-pro-1.1", { prompt: "[[fail:Error]]" }, poor));
    expect(await credits()).toBe(0);
    const failed = await bodyOf(fetch(`${poor.url}/get_result?id=${poor.tasks[1]?.id}`));
    expect([failed.status, await credits()]).toEqual(["Pending", 0]);
    expect(await bodyOf(fetch(`${poor.url}/get_result?id=${poor.tasks[1]?.id}`))).toMatchObject({ status: "Error" });
    expect(await credits()).toBe(4);
    expect((await fetch(`${poor.url}/credits`)).status).toBe(403);
    await poor.stop();
  });
});

describe("results", () => {
  const small = base64(320, 240);
  const cases: [model: string, input: object, cost: number, megapixels: [number, number], expected: string][] = [
    ["flux-2-pro", {}, 3, [0, 1], "1024x1024 jpeg as image/jpeg"],
    ["flux-2-pro", { width: 2048, height: 2048, output_format: "png" }, 7.5, [0, 4], "2048x2048 png as image/png"],
    ["flux-2-pro", { input_image: small }, 4.5, [0.07, 0.07], "320x240 jpeg as image/jpeg"],
    ["flux-2-pro-preview", { width: 0, height: 0 }, 3, [0, 1], "1024x1024 jpeg as image/jpeg"],
    ["flux-2-max", { input_image: small, input_image_8: small }, 13, [0.15, 0.07], "320x240 jpeg as image/jpeg"],
    ["flux-2-flex", { guidance: 1.5, steps: 50 }, 5, [0, 1], "1024x1024 jpeg as image/jpeg"],
    ["flux-2-klein-4b", { width: 64, height: 80 }, 1.4, [0, 0], "64x80 jpeg as image/jpeg"],
    ["flux-2-klein-9b", { input_image: "https://a.example/x.png" }, 1.7, [1, 1], "1024x1024 jpeg as image/jpeg"],
    ["flux-2-klein-9b-preview", { output_format: "webp" }, 1.5, [0, 1], "1024x1024 webp as image/webp"],
    ["flux-pro-1.1", {}, 4, [0, 0.75], "1024x768 jpeg as image/jpeg"],
    ["flux-pro-1.1", { width: 1440, height: 256 }, 4, [0, 0.35], "1440x256 jpeg as image/jpeg"],
    ["flux-dev", { guidance: 5, steps: 1, output_format: null }, 2.5, [0, 0.75], "1024x768 jpeg as image/jpeg"],
    ["flux-pro-1.1-ultra", {}, 6, [0, 4.03], "2752x1536 jpeg as image/jpeg"],
    ["flux-pro-1.1-ultra", { aspect_ratio: "1:1", raw: true }, 6, [0, 4], "2048x2048 jpeg as image/jpeg"],
    ["flux-kontext-pro", {}, 4, [0, 1], "1024x1024 png as image/png"],
    ["flux-kontext-max", { aspect_ratio: "16:9" }, 8, [0, 1], "1392x752 png as image/png"],
    ["flux-kontext-pro", { input_image: small }, 4, [0.07, 0.99], "1184x880 png as image/png"],
    ["flux-pro-1.0-fill", { image: small, mask: small }, 5, [0.15, 0.07], "320x240 jpeg as image/jpeg"],
    ["flux-pro-1.0-expand", { image: small, top: 10, left: 100 }, 5, [0.07, 0.1], "420x250 jpeg as image/jpeg"],
  ];

  test.each(cases)(
    "%s %o: %p credits, %p megapixels, %s",
    async (model, input, cost, [input_mp, output_mp], expected) => {
      const created = await bodyOf(ask(model, input));
      expect(created).toMatchObject({ cost, input_mp, output_mp });
      expect(await whatIsAt(await sampleOf(created))).toBe(expected);
    },
  );

  test("are on another origin, signed, good for ten minutes from the end; credentials there are noticed", async () => {
    const created = await bodyOf(ask("flux-dev"));
    const link = await sampleOf(created);
    expect(new URL(link).origin).toBe(double.fileOrigin);
    expect(double.fileOrigin).not.toBe(double.origin);
    expect((await fetch(link)).status).toBe(200);
    expect((await fetch(link.replace("sig=", "sig=x"))).status).toBe(403);
    expect(double.credentialsAtFiles).toEqual([]);
    await fetch(link, { headers: { "x-key": double.key, authorization: "Bearer b" } });
    expect(double.credentialsAtFiles).toEqual(["Bearer b", double.key]);
    double.progress = { runMs: 1000 };
    const late = await bodyOf(ask("flux-dev"));
    skippedMs += 1000 + 5 * 60_000;
    const lateLink = await sampleOf(late);
    expect((await fetch(link)).status).toBe(200);
    skippedMs += 5 * 60_000;
    expect([(await fetch(link)).status, (await fetch(lateLink)).status]).toEqual([403, 403]);
    expect(await sampleOf(late)).toBe(lateLink);
  });

  test("the pictures that came along can be looked at", async () => {
    const bytes = picture({ width: 48, height: 32, type: "webp" });
    const link = "https://a.example/b.png";
    await bodyOf(ask("flux-kontext-pro", { input_image: bytes.toBase64(), input_image_2: link }));
    const { pictures } = double.tasks.at(-1) ?? {};
    expect(pictures).toEqual([
      { field: "input_image", bytes, url: undefined, width: 48, height: 32 },
      { field: "input_image_2", bytes: undefined, url: link, width: 1024, height: 1024 },
    ]);
  });
});
