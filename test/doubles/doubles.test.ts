/** What all doubles share: pictures, the recorder, links. Faults are in faults.test.ts. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { askOpenAi, askStability, dataOf, linkOf, read } from "./asking.ts";
import { liveModelsOn, startOpenAi } from "./openai.ts";
import { incompressiblePng, type PictureType, picture } from "./picture.ts";
import { startStability } from "./stability.ts";

const openai = startOpenAi({ models: liveModelsOn("2026-05-11") });
const stability = startStability({ rateLimit: Number.POSITIVE_INFINITY });
const doubles = [openai, stability];

afterEach(() => {
  for (const double of doubles) double.clear();
});
afterAll(async () => {
  await Promise.all(doubles.map((double) => double.stop()));
});

describe("pictures", () => {
  const types: PictureType[] = ["png", "jpeg", "webp"];
  const sides = [
    [1, 1],
    [7, 300],
    [1024, 1024],
    [1254, 1253],
    [3840, 2160],
  ] as const;

  test.each(types)("%s decodes to the exact dimensions and type", async (type) => {
    for (const [width, height] of sides) {
      const bytes = picture({ width, height, type, seed: 5 });
      expect(await new Bun.Image(bytes).metadata()).toEqual({ width, height, format: type });
      // Metadata reads the header alone; this reads every pixel.
      expect((await new Bun.Image(bytes).resize(2, 2).png().bytes()).length).toBeGreaterThan(0);
    }
  });

  test.each(types)("%s: the same seed gives the same bytes, another seed others", (type) => {
    const many = Array.from({ length: 600 }, (_, seed) => picture({ width: 64, height: 64, type, seed }).toBase64());
    expect(new Set(many).size).toBe(600);
    expect(picture({ width: 64, height: 64, type, seed: 7 }).toBase64()).toBe(many[7] ?? "");
  });

  test("the benchmark picture is a 1024x1024 PNG that weighs what was asked and does not compress", async () => {
    const bytes = incompressiblePng();
    expect(Math.abs(bytes.length - 1_400_000)).toBeLessThan(28_000);
    expect(await new Bun.Image(bytes).metadata()).toEqual({ width: 1024, height: 1024, format: "png" });
    expect(Bun.gzipSync(bytes as Uint8Array<ArrayBuffer>).length).toBeGreaterThan(bytes.length * 0.98);
    expect(() => incompressiblePng(5_000_000)).toThrow(RangeError);
  });
});

describe("the recorder", () => {
  test("keeps method, path, query, headers, the parsed body and the outcome", async () => {
    const before = openai.billed;
    await (await askOpenAi(openai, { n: 2 })).json();
    await openai.idle();
    const request = openai.lastRequest;
    expect(request).toMatchObject({
      method: "POST",
      path: "/v1/images/generations",
      query: "",
      body: { model: "dall-e-2", prompt: "a lighthouse", size: "256x256", n: 2 },
      stage: "create",
      outcome: "answered",
      status: 200,
    });
    expect(request?.headers.authorization).toBe(`Bearer ${openai.key}`);
    expect(openai.billed - before).toBe(2);
    await (await askStability(stability)).arrayBuffer();
    expect(stability.lastRequest?.body).toEqual({ prompt: "a lighthouse" });
  });

  test("notes the client that leaves, and that the vendor charges all the same", async () => {
    const before = { billed: openai.billed, requests: openai.requests.length };
    openai.next({ kind: "delay", ms: 5000 });
    const leaving = new AbortController();
    const answer = read(askOpenAi(openai, {}, { signal: leaving.signal }));
    await openai.arrived(openai.requestsAt("create").length + 1);
    leaving.abort();
    expect((await answer).error).toBeDefined();
    await openai.idle();
    expect(openai.requests[before.requests]?.outcome).toBe("aborted");
    expect(openai.billed - before.billed).toBe(1);
  });

  test("counts right under many parallel requests, and every picture is another one", async () => {
    const before = openai.billed;
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => askOpenAi(openai, { response_format: "b64_json" })),
    );
    const pictures = (await Promise.all(answers.map(dataOf))).flat();
    expect(openai.billed - before).toBe(100);
    expect(new Set(pictures.map((entry) => entry.b64_json)).size).toBe(100);
  });

  test("latency is waited on create calls alone", async () => {
    openai.latencyMs = 200;
    const startedAt = performance.now();
    const link = await linkOf(await askOpenAi(openai));
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(195);
    const fetchedAt = performance.now();
    await (await fetch(link)).arrayBuffer();
    expect(performance.now() - fetchedAt).toBeLessThan(180);
    openai.latencyMs = 0;
  });
});

describe("links", () => {
  test("belong to this address and this query only, and expire", async () => {
    const link = await linkOf(await askOpenAi(openai));
    expect((await fetch(link)).status).toBe(200);
    expect((await fetch(link.split("?")[0] ?? "")).status).toBe(403);
    openai.expireLinks();
    expect((await fetch(link)).status).toBe(403);
  });

  test("on another origin nothing but files is served, and credentials that arrive there are noticed", async () => {
    const double = startOpenAi({ fileOrigin: "other" });
    expect(double.fileOrigin).not.toBe(double.origin);
    const headers = { authorization: `Bearer ${double.key}`, "content-type": "application/json" };
    const body = JSON.stringify({ model: "dall-e-2", prompt: "x" });
    const post = (base: string) => fetch(`${base}/v1/images/generations`, { method: "POST", headers, body });
    const link = await linkOf(await post(double.origin));
    expect(link).toStartWith(double.fileOrigin);
    expect((await fetch(link)).status).toBe(200);
    expect(double.credentialsAtFiles).toEqual([]);
    await fetch(link, { headers: { authorization: "Bearer leaked" } });
    expect(double.credentialsAtFiles).toEqual(["Bearer leaked"]);
    expect((await post(double.fileOrigin)).status).toBe(403);
    expect((await fetch(link.replace(double.fileOrigin, double.origin))).status).toBe(404);
    await double.stop();
  });

  test("stop ends what hangs", async () => {
    const double = startStability();
    double.always({ kind: "hang" }, { on: "other" });
    const hanging = read(fetch(`${double.url}/v1/user/balance`));
    await double.arrived(1, "other");
    await double.stop();
    expect((await hanging).error).toBeDefined();
  });
});
