/** Every price of the founding page and of service-facts.md, from the request to the header, the record and the report. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type HeldRouter, startHeldRouter } from "./held-router.ts";
import {
  dallE2,
  dallE3,
  flux,
  type GenerationObject,
  type Json,
  jsonOf,
  seedModels,
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
afterAll(async () => {
  await router.remove();
  await upstreams.stop();
});

/** Copied by hand from seed-image-generation.zh-Hant.md and service-facts.md. */
const prices: Array<[model: string, body: Json, usd: string]> = [
  [dallE3, {}, "0.04"],
  [dallE3, { size: "1024x1024" }, "0.04"],
  [dallE3, { size: "1024x1024", quality: "standard" }, "0.04"],
  [dallE3, { size: "1024x1792" }, "0.08"],
  [dallE3, { size: "1792x1024" }, "0.08"],
  [dallE3, { size: "1024x1024", quality: "hd" }, "0.08"],
  [dallE3, { size: "1024x1792", quality: "hd" }, "0.12"],
  [dallE3, { size: "1792x1024", quality: "hd", style: "natural" }, "0.12"],
  [dallE2, {}, "0.02"],
  [dallE2, { size: "1024x1024", n: 10 }, "0.2"],
  [dallE2, { size: "512x512" }, "0.018"],
  [dallE2, { size: "256x256" }, "0.016"],
  [dallE2, { size: "256x256", n: 3, quality: "standard" }, "0.048"],
  [stableDiffusion, {}, "0.065"],
  [stableDiffusion, { aspect_ratio: "21:9", n: 2 }, "0.13"],
  [flux, {}, "0.05"],
  [flux, { size: "1440x1440", n: 3 }, "0.15"],
];

async function figuresOf(response: Response, key: string) {
  const id = response.headers.get("x-arouter-generation-id") ?? "";
  const record = await jsonOf<GenerationObject>(await router.get(`/v1/images/generations/${id}`, key));
  const report = await jsonOf<{ usage: { cost: number; images: number } }>(
    await router.get(`/api/v1/generation?id=${id}`, key),
  );
  return {
    header: response.headers.get("x-arouter-cost-usd"),
    record: record.cost_usd,
    report: report.usage.cost,
    images: report.usage.images,
  };
}

describe("a live generation costs", () => {
  for (const [model, body, usd] of prices) {
    test(`${model} ${JSON.stringify(body)}: ${usd}`, async () => {
      const response = await router.generate({ model, prompt: "a lighthouse", ...body });
      expect(response.status).toBe(200);
      const images = typeof body.n === "number" ? body.n : 1;
      const expected = { header: usd, record: Number(usd), report: Number(usd), images };
      expect(await figuresOf(response, router.keys.live)).toEqual(expected);
    });
  }
});

describe("nothing is charged", () => {
  test("in the sandbox, for any model", async () => {
    for (const model of seedModels) {
      const response = await router.generate({ model, prompt: "a lighthouse" }, { key: router.keys.test });
      expect(response.status).toBe(200);
      const figures = await figuresOf(response, router.keys.test);
      expect(figures).toEqual({ header: "0", record: 0, report: 0, images: 1 });
    }
  });

  test("for any kind of failure", async () => {
    for (const model of seedModels) {
      for (const words of ["[[moderate]]", "[[429]]", "[[402]]", "[[500]]"]) {
        const response = await router.generate({ model, prompt: words });
        upstreams.clear();
        expect(response.ok).toBeFalse();
        const figures = await figuresOf(response, router.keys.live);
        expect(figures).toEqual({ header: "0", record: 0, report: 0, images: 0 });
      }
    }
  });
});
