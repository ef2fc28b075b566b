/** What a provider delivers is not always what was asked: fewer, more, none, another size, a part refused. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { picture } from "../doubles/picture.ts";
import { replicateFault } from "../doubles/replicate.ts";
import { stabilityFault } from "../doubles/stability.ts";
import { type HeldRouter, startHeldRouter } from "./held-router.ts";
import {
  at,
  bytesOf,
  dallE2,
  dallE3,
  expectError,
  flux,
  type GenerationObject,
  imagesOf,
  type Json,
  jsonOf,
  pictureOf,
  stableDiffusion,
  startUpstreams,
} from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const upstreams = startUpstreams();
let router: HeldRouter;
beforeAll(async () => {
  router = await startHeldRouter({ env: upstreams.env });
});
afterEach(() => upstreams.clear());
afterAll(async () => {
  await router.remove();
  await upstreams.stop();
});

const prompt = "a lighthouse";
const { openai, stability, replicate } = upstreams;
const generate = (model: string, extra: Json = {}) => router.generate({ model, prompt, ...extra });
const costOf = (response: Response) => response.headers.get("x-arouter-cost-usd");
const warningsOf = (response: Response) => response.headers.get("x-arouter-warnings");
const recordOf = async (response: Response) => {
  const id = response.headers.get("x-arouter-generation-id") ?? "";
  return jsonOf<GenerationObject>(await router.get(`/v1/images/generations/${id}`));
};
const storedPictures = () => readdirSync(join(router.dataFolder, "images")).filter((name) => name.startsWith("img-"));

describe("fewer than asked", () => {
  test("200 with those delivered, charged for those, short_delivery", async () => {
    for (const response_format of ["url", "b64_json"]) {
      openai.next({ kind: "fewer", images: 2 });
      const response = await generate(dallE2, { n: 5, size: "256x256", response_format });
      expect(warningsOf(response)).toBe("short_delivery");
      expect(costOf(response)).toBe("0.032");
      const record = await recordOf(response);
      expect(record).toMatchObject({ status: "succeeded", warnings: ["short_delivery"], cost_usd: 0.032 });
      expect(record.data).toHaveLength(2);
      const answer = await imagesOf(response);
      expect(answer.data).toHaveLength(2);
      expect(Object.keys(answer)).toEqual(["created", "data"]);
    }
  });

  test("none is an error, charged 0, never an empty list", async () => {
    openai.next({ kind: "emptyData" });
    const response = await generate(dallE2, { n: 2 });
    expect(costOf(response)).toBe("0");
    expect(await recordOf(response)).toMatchObject({ status: "failed", cost_usd: 0, data: [] });
    await expectError(response, "upstream_error", { message: /without an image/ });
  });
});

describe("more than asked", () => {
  test("the first n, charged for n, and nothing else is kept", async () => {
    const pictures = [1, 2, 3].map((seed) => picture({ width: 256, height: 256, seed: 900 + seed }));
    openai.next({
      kind: "answer",
      status: 200,
      body: { created: 1, data: pictures.map((bytes) => ({ b64_json: bytes.toBase64() })) },
    });
    const before = storedPictures().length;
    const response = await generate(dallE2, { n: 2, size: "256x256" });
    expect(costOf(response)).toBe("0.032");
    expect(warningsOf(response)).toBeNull();
    const { data } = await imagesOf(response);
    expect(await Promise.all(data.map(bytesOf))).toEqual(pictures.slice(0, 2));
    expect(storedPictures()).toHaveLength(before + 2);
  });
});

describe("another size than asked", () => {
  const cases: Array<[asked: string, delivered: [number, number], cost: string]> = [
    ["1792x1024", [1024, 1024], "0.04"], // charged by what was delivered
    ["1024x1024", [1792, 1024], "0.04"], // never above the quote
    ["1792x1024", [1000, 1000], "0.08"], // no row of its own: the requested size's
  ];
  for (const [asked, [width, height], cost] of cases) {
    test(`asked ${asked}, delivered ${width}x${height}: size says so, costs ${cost}`, async () => {
      for (const response_format of ["url", "b64_json"]) {
        openai.next({ kind: "dimensions", width, height });
        const response = await generate(dallE3, { size: asked, response_format });
        expect(warningsOf(response)).toBe("size_mismatch");
        expect(costOf(response)).toBe(cost);
        const record = await recordOf(response);
        expect(record).toMatchObject({ warnings: ["size_mismatch"], cost_usd: Number(cost) });
        expect(at(record.data).size).toBe(`${width}x${height}`);
        const answer = await imagesOf(response);
        expect(answer.size).toBe(`${width}x${height}`);
        expect(await pictureOf(await bytesOf(at(answer.data)))).toBe(`${width}x${height} png`);
      }
    });
  }

  test("fewer and of another size: both warnings", async () => {
    const small = picture({ width: 256, height: 256, seed: 3 }).toBase64();
    openai.next({ kind: "answer", status: 200, body: { created: 1, data: [{ b64_json: small }] } });
    const response = await generate(dallE2, { n: 2, size: "512x512" });
    expect(warningsOf(response)?.split(", ").sort()).toEqual(["short_delivery", "size_mismatch"]);
    expect(costOf(response)).toBe("0.016");
    expect((await imagesOf(response)).size).toBe("256x256");
  });
});

describe("something that is not a picture", () => {
  const bodies: Array<[string, Json]> = [
    ["text in base64", { created: 1, data: [{ b64_json: btoa("this is no picture at all, is it?") }] }],
    ["no base64", { created: 1, data: [{ b64_json: "???" }] }],
    ["half an answer", { created: 1 }],
    ["an entry with neither", { created: 1, data: [{ revised_prompt: "x" }] }],
  ];
  for (const [what, body] of bodies) {
    test(`${what} is provider_contract_changed, costs 0 and leaves nothing behind`, async () => {
      openai.next({ kind: "answer", status: 200, body });
      const before = storedPictures().length;
      const response = await generate(dallE2);
      expect(costOf(response)).toBe("0");
      await expectError(response, "provider_contract_changed");
      expect(storedPictures()).toHaveLength(before);
    });
  }

  test("also from the providers that deliver bytes and links", async () => {
    stability.next({ kind: "text", contentType: "image/png", body: "this is no picture at all, is it?" });
    await expectError(await generate(stableDiffusion), "provider_contract_changed");
    replicate.next({ kind: "text", contentType: "image/webp", body: "this is no picture at all" }, { on: "file" });
    await expectError(await generate(flux), "provider_contract_changed");
  });
});

describe("fan-out", () => {
  const square = (seed: number) => picture({ width: 1024, height: 1024, type: "png", seed });

  test("keeps the order of the seeds, whichever call answers first", async () => {
    for (const ms of [120, 80, 40]) stability.next({ kind: "delay", ms });
    const { data } = await imagesOf(await generate(stableDiffusion, { n: 4, seed: 500 }));
    expect(await Promise.all(data.map(bytesOf))).toEqual([500, 501, 502, 503].map(square));
  });

  test("some refused, some failed: 200 with the rest in order, charged for the rest", async () => {
    stability.next(stabilityFault("content_moderation"));
    stability.next({ kind: "delay", ms: 60 });
    stability.next(stabilityFault("internal_error"));
    const response = await generate(stableDiffusion, { n: 5, seed: 700 });
    expect(response.status).toBe(200);
    expect(warningsOf(response)).toBe("short_delivery");
    expect(costOf(response)).toBe("0.195");
    const record = await recordOf(response);
    expect(record).toMatchObject({ status: "succeeded", cost_usd: 0.195, error: null });
    expect(record.attempts.map(({ status }) => status).sort()).toEqual([
      ...["failed", "failed"],
      ...["succeeded", "succeeded", "succeeded"],
    ]);
    const { data } = await imagesOf(response);
    const seeds = await Promise.all(
      data.map(async (image) => {
        const bytes = await bytesOf(image);
        return [700, 701, 702, 703, 704].find((seed) => Bun.deepEquals(square(seed), bytes));
      }),
    );
    expect(seeds).toHaveLength(3);
    expect(seeds).toEqual(seeds.toSorted());
  });

  test("links and jobs, too: the predictions that failed are left out", async () => {
    replicate.next(replicateFault("internal_error"));
    const response = await generate(flux, { n: 3, size: "256x256" });
    expect(warningsOf(response)).toBe("short_delivery");
    expect(costOf(response)).toBe("0.1");
    expect((await imagesOf(response)).data).toHaveLength(2);
  });

  test("all refused: one refusal, charged 0", async () => {
    const response = await generate(stableDiffusion, { n: 3, prompt: "[[moderate]]" });
    expect(costOf(response)).toBe("0");
    await expectError(response, "content_policy_violation", { message: /flagged/ });
  });
});

describe("a refusal costs the client 0", () => {
  const refusals: Array<[what: string, model: string, prompt: string, words: RegExp, billed: number]> = [
    ["OpenAI's", dallE3, "[[moderate]]", /safety system/, 0],
    ["Stability's", stableDiffusion, "[[moderate]]", /flagged by our content moderation/, 0],
    ["Stability's at 200, which it charges for", stableDiffusion, "[[filtered]]", /CONTENT_FILTERED/, 1],
    ["Replicate's in a failed prediction", flux, "[[fail:E005]]", /E005/, 0],
  ];
  for (const [what, model, words, message, billed] of refusals) {
    test(`${what}, with the vendor's words`, async () => {
      const before = upstreams.all.reduce((sum, double) => sum + double.billed, 0);
      const stored = storedPictures().length;
      const response = await generate(model, { prompt: words });
      expect(costOf(response)).toBe("0");
      expect(await recordOf(response)).toMatchObject({ status: "failed", cost_usd: 0, data: [] });
      await expectError(response, "content_policy_violation", { message });
      expect(upstreams.all.reduce((sum, double) => sum + double.billed, 0) - before).toBe(billed);
      expect(storedPictures()).toHaveLength(stored);
    });
  }
});
