/** The sandbox: pictures of exactly the size asked, the same for the same request, and every failure on demand. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type HeldRouter, startHeldRouter } from "./held-router.ts";
import {
  at,
  bytesOf,
  dallE2,
  dallE3,
  expectError,
  flux,
  imagesOf,
  type Json,
  pictureOf,
  seedModels,
  stableDiffusion,
} from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

let router: HeldRouter;
beforeAll(async () => {
  router = await startHeldRouter();
});
afterAll(() => router.remove());

const generate = (model: string, extra: Json = {}) =>
  router.generate({ model, prompt: "a lighthouse", ...extra }, { key: router.keys.test });
const picturesOf = async (response: Response) => Promise.all((await imagesOf(response)).data.map(bytesOf));

describe("pictures", () => {
  const sizes: Array<[model: string, extra: Json, picture: string]> = [
    [dallE3, {}, "1024x1024 png"],
    [dallE3, { size: "1792x1024", quality: "hd" }, "1792x1024 png"],
    [dallE3, { size: "1024x1792", style: "natural" }, "1024x1792 png"],
    [dallE2, { size: "256x256" }, "256x256 png"],
    [dallE2, { size: "512x512" }, "512x512 png"],
    [dallE2, {}, "1024x1024 png"],
    [stableDiffusion, {}, "1024x1024 png"],
    [stableDiffusion, { output_format: "jpeg" }, "1024x1024 jpeg"],
    [stableDiffusion, { output_format: "webp" }, "1024x1024 webp"],
    [flux, { size: "256x1440", output_format: "png" }, "256x1440 png"],
    [flux, { size: "992x288", output_format: "jpg" }, "992x288 jpeg"],
    [flux, { size: "256x256" }, "256x256 webp"],
  ];
  for (const [model, extra, picture] of sizes) {
    test(`${model} ${JSON.stringify(extra)} is ${picture}`, async () => {
      const response = await generate(model, extra);
      expect(response.headers.get("x-arouter-warnings")).toBeNull();
      expect(await pictureOf(at(await picturesOf(response)))).toBe(picture);
    });
  }

  test("of a ratio have that shape", async () => {
    for (const model of [stableDiffusion, flux]) {
      for (const ratio of ["16:9", "9:16", "2:3", "5:4"]) {
        const response = await generate(model, { aspect_ratio: ratio });
        expect(response.headers.get("x-arouter-warnings")).toBeNull();
        const [width = 0, height = 0] = (await pictureOf(at(await picturesOf(response)))).split(/\D/).map(Number);
        const [across = 0, down = 0] = ratio.split(":").map(Number);
        expect(width * down).toBe(height * across);
      }
    }
  });

  test("are the same bytes for the same request, on another router, too", async () => {
    const other = await startHeldRouter();
    for (const model of seedModels) {
      const extra = { prompt: "燈塔 lighthouse", ...(model === dallE3 ? {} : { n: 2 }) };
      const size = model === dallE2 || model === flux ? { size: "256x256" } : {};
      const first = await picturesOf(await generate(model, { ...extra, ...size }));
      const again = await picturesOf(await generate(model, { ...extra, ...size, user: "somebody else" }));
      expect(again).toEqual(first);
      const elsewhere = await other.generate({ model, ...extra, ...size }, { key: other.keys.test });
      expect(await picturesOf(elsewhere)).toEqual(first);
    }
    await other.remove();
  });

  test("differ for another prompt, size, model or seed, and within one request", async () => {
    const requests: Array<[string, Json]> = [
      [dallE2, { size: "256x256", n: 3 }],
      [dallE2, { size: "256x256", prompt: "a windmill" }],
      [flux, { size: "256x256", output_format: "png" }],
      [flux, { size: "256x256", output_format: "png", seed: 1 }],
      [flux, { size: "256x256", output_format: "png", seed: 2 }],
      [flux, { size: "288x256", output_format: "png" }],
    ];
    const seen = new Set<string>();
    for (const [model, extra] of requests) {
      for (const bytes of await picturesOf(await generate(model, extra))) seen.add(bytes.toHex());
    }
    expect(seen.size).toBe(8);
  });
});

describe("tokens in a prompt", () => {
  const small: Record<string, Json> = { [dallE2]: { size: "256x256" }, [flux]: { size: "256x256" } };
  const withToken = (model: string, token: string, extra: Json = {}) =>
    generate(model, { ...small[model], prompt: `a lighthouse ${token} at night`, ...extra });

  const failures: Array<[token: string, code: string]> = [
    ["[[refuse]]", "content_policy_violation"],
    ["[[rate_limit]]", "provider_rate_limited"],
    ["[[error]]", "upstream_error"],
  ];
  for (const [token, code] of failures) {
    test(`${token} is ${code}, for every model, costs 0 and leaves no picture`, async () => {
      const responses = await Promise.all(seedModels.map((model) => withToken(model, token)));
      for (const response of responses) {
        expect(response.headers.get("x-arouter-cost-usd")).toBe("0");
        expect(response.headers.get("x-arouter-provider")).toBe("sandbox");
        await expectError(response, code);
      }
    });
  }

  test("[[rate_limit]] says how long to wait", async () => {
    const response = await withToken(dallE2, "[[rate_limit]]");
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
  });

  test("[[slow:SECONDS]] takes its time and then delivers", async () => {
    const begun = performance.now();
    const response = await withToken(dallE2, "[[slow:1]]");
    expect(performance.now() - begun).toBeGreaterThan(990);
    expect((await imagesOf(response)).data).toHaveLength(1);
  });

  test("[[timeout]], and [[slow:SECONDS]] beyond the router's patience, are upstream_timeout", async () => {
    const hasty = await startHeldRouter({ env: { AROUTER_UPSTREAM_TIMEOUT_MS: "200" } });
    const bodies = [
      ...seedModels.map((model) => ({ model, prompt: "a [[timeout]]" })),
      { model: flux, prompt: "a [[slow:60]]", n: 3 },
    ];
    const responses = await Promise.all(bodies.map((body) => hasty.generate(body, { key: hasty.keys.test })));
    for (const response of responses) {
      expect(response.headers.get("x-arouter-cost-usd")).toBe("0");
      await expectError(response, "upstream_timeout");
    }
    await hasty.remove();
  });

  test("[[short]] is one image fewer than asked, with a warning", async () => {
    for (const model of [dallE2, stableDiffusion, flux]) {
      const response = await withToken(model, "[[short]]", { n: 3 });
      expect(response.headers.get("x-arouter-warnings")).toBe("short_delivery");
      expect((await imagesOf(response)).data).toHaveLength(2);
    }
  });

  test("[[short]] of one image is none: an error", async () => {
    await expectError(await withToken(dallE3, "[[short]]"), "upstream_error");
    await expectError(await withToken(dallE2, "[[short]]"), "upstream_error");
  });

  test("what only looks like a token is a prompt", async () => {
    for (const token of ["[refuse]", "[[ refuse ]]", "[[Refuse]]", "[[slow:]]", "[[slow:x]]", "[[unknown]]"]) {
      expect((await imagesOf(await withToken(dallE2, token))).data).toHaveLength(1);
    }
  });
});
