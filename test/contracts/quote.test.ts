/** `POST /v1/images/quote`: the request checked and priced, the routes in their order, and nothing done. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { startAzure } from "../doubles/azure.ts";
import { picture } from "../doubles/picture.ts";
import { startRouter, type TestRouter } from "../router.ts";
import { dallE2, dallE3, expectError, flux, type Json, jsonOf, rowsOf, startUpstreams } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const gpt = "openai/gpt-image-2";
const prompt = "a lighthouse";
const upstreams = startUpstreams();
const azure = startAzure();
let router: TestRouter;
beforeAll(async () => {
  router = await startRouter({
    env: { ...upstreams.env, AZURE_OPENAI_API_KEY: azure.key, AZURE_OPENAI_ENDPOINT: azure.origin },
  });
});
afterAll(async () => {
  // Whatever was quoted, nobody was asked and nothing was kept.
  expect(upstreams.all.flatMap(({ requests }) => requests)).toEqual([]);
  expect(azure.requests).toEqual([]);
  for (const table of ["generations", "attempts", "movements", "recent_requests"]) {
    expect(rowsOf(router.dataFolder, `select * from ${table}`)).toEqual([]);
  }
  await router.remove();
  await Promise.all([upstreams.stop(), azure.stop()]);
});

interface QuoteBody {
  object: string;
  operation: string;
  model: string;
  n: number;
  quote_usd: number;
  unseen_images: number;
  routes: Array<{
    provider: string;
    model: string;
    upstream_model: string;
    quote_usd: number;
    price_rule: string;
    calls: number;
    sent: Json;
  }>;
}

const ask = (body: unknown, key = router.keys.live) =>
  fetch(`${router.url}/v1/images/quote`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
async function quoteOf(body: unknown, key?: string): Promise<QuoteBody> {
  const response = await ask(body, key);
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  return jsonOf<QuoteBody>(response);
}
const dataUrl = (seed: number, width = 64, height = 64) =>
  `data:image/png;base64,${picture({ width, height, seed }).toBase64()}`;
const inputsLeft = () => readdirSync(join(router.dataFolder, "inputs"));

describe("a generation", () => {
  test("the most it can cost, the price rule, and the body that would be sent", async () => {
    const quoted = await quoteOf({ model: "dall-e-3", prompt, size: "1792x1024", quality: "hd" });
    expect(quoted).toEqual({
      object: "image.quote",
      operation: "generate",
      model: dallE3,
      n: 1,
      quote_usd: 0.12,
      unseen_images: 0,
      routes: [
        {
          provider: "openai",
          model: dallE3,
          upstream_model: "dall-e-3",
          quote_usd: 0.12,
          price_rule: expect.stringContaining("openai/dall-e-3"),
          calls: 1,
          sent: expect.objectContaining({ model: "dall-e-3", prompt, size: "1792x1024", quality: "hd", n: 1 }),
        },
      ],
    });
  });

  test("of several calls: how many, and the first one's body", async () => {
    const { routes, quote_usd, n } = await quoteOf({ model: flux, prompt, n: 3, size: "512x512" });
    expect(n).toBe(3);
    const replicate = routes.find(({ provider }) => provider === "replicate");
    expect(replicate).toMatchObject({ calls: 3, sent: { input: { width: 512, height: 512 } } });
    expect(quote_usd).toBe(Math.max(...routes.map((route) => route.quote_usd)));
  });

  test("several routes, in the order that the client wants", async () => {
    for (const order of [
      ["azure", "openai"],
      ["openai", "azure"],
    ]) {
      const { routes } = await quoteOf({ model: gpt, prompt, provider: { order } });
      expect(routes.map(({ provider }) => provider)).toEqual(order);
    }
    const { routes } = await quoteOf({ model: gpt, prompt, provider: { order: ["azure"], allow_fallbacks: false } });
    expect(routes.map(({ provider }) => provider)).toEqual(["azure"]);
  });

  test("several models: the hold covers the dearest", async () => {
    const { routes, quote_usd } = await quoteOf({ models: [dallE2, dallE3], prompt, size: "1024x1024" });
    expect(routes.map(({ model }) => model)).toEqual([dallE2, dallE3]);
    expect(quote_usd).toBe(Math.max(...routes.map((route) => route.quote_usd)));
  });

  test("in the sandbox: one route, for nothing", async () => {
    const { routes, quote_usd } = await quoteOf({ model: dallE3, prompt }, router.keys.test);
    expect(quote_usd).toBe(0);
    expect(routes).toMatchObject([{ provider: "sandbox", quote_usd: 0 }]);
  });

  test("what would be streamed is quoted as such", async () => {
    const { routes } = await quoteOf({
      model: gpt,
      prompt,
      stream: true,
      partial_images: 2,
      provider: { only: ["openai"] },
    });
    expect(routes[0]?.sent).toMatchObject({ stream: true, partial_images: 2 });
  });

  test("the quote is what a request really holds", async () => {
    const one = await quoteOf({ model: dallE2, prompt, size: "256x256" });
    const four = await quoteOf({ model: dallE2, prompt, size: "256x256", n: 4 });
    expect([one.quote_usd, four.quote_usd]).toEqual([0.016, 0.064]);
  });
});

describe("an edit", () => {
  test("by its pictures: data URLs are looked at, and gone afterwards", async () => {
    const { operation, unseen_images, routes } = await quoteOf({
      model: gpt,
      prompt,
      images: [{ image_url: dataUrl(1) }, { image_url: dataUrl(2) }],
      mask: { image_url: dataUrl(3) },
      provider: { only: ["openai"] },
    });
    expect({ operation, unseen_images }).toEqual({ operation: "edit", unseen_images: 0 });
    expect(routes[0]?.sent).toMatchObject({
      prompt,
      "image[]": [{ content_type: "image/png" }, { content_type: "image/png" }],
    });
    expect(JSON.stringify(routes[0]?.sent)).not.toContain("base64");
    expect(inputsLeft()).toEqual([]);
  });

  test("links are not followed, and counted", async () => {
    const images = [{ image_url: "https://nowhere.invalid/cat.png" }, { image_url: dataUrl(1) }];
    const { unseen_images } = await quoteOf({ model: gpt, prompt, images, mask: { image_url: dataUrl(2, 32, 48) } });
    expect(unseen_images).toBe(1);
  });

  test("more pictures never cost less", async () => {
    const cost = async (count: number) => {
      const images = Array.from({ length: count }, (_, seed) => ({ image_url: dataUrl(seed) }));
      return (await quoteOf({ model: gpt, prompt, images, provider: { only: ["openai"] } })).quote_usd;
    };
    expect(await cost(3)).toBeGreaterThan(await cost(1));
  });

  test("wrong pictures are refused as by the edit itself", async () => {
    const notPicture = { image_url: `data:image/png;base64,${btoa("no picture at all")}` };
    await expectError(await ask({ model: gpt, prompt, images: [notPicture] }), "invalid_image_file");
    await expectError(await ask({ model: gpt, prompt, images: [] }), "invalid_value", { param: "images" });
    await expectError(await ask({ model: gpt, prompt, images: ["x"] }), "invalid_type", { param: "images[0]" });
    const other = { image_url: dataUrl(1, 32, 32) };
    const images = [{ image_url: dataUrl(1) }];
    await expectError(await ask({ model: gpt, prompt, images, mask: other }), "invalid_image_file", { param: "mask" });
    await expectError(await ask({ model: dallE3, prompt, images }), "invalid_value", { param: "model" });
    expect(inputsLeft()).toEqual([]);
  });
});

describe("refusals are those of the request", () => {
  const cases: Array<[body: Json, code: string, param: string | null]> = [
    [{ prompt }, "missing_required_parameter", "model"],
    [{ model: dallE3 }, "missing_required_parameter", "prompt"],
    [{ model: dallE3, prompt, size: "3x3" }, "invalid_value", "size"],
    [{ model: dallE3, prompt, fancy: 1 }, "unknown_parameter", "fancy"],
    [{ model: "openai/none", prompt }, "model_not_found", "model"],
    [{ model: dallE3, prompt, provider: { only: ["nobody"] } }, "invalid_value", "provider"],
    [{ model: dallE3, prompt, provider: { max_price: 0.001 } }, "invalid_value", "provider.max_price"],
    [{ model: dallE3, prompt, webhook_url: "http://x.example" }, "invalid_value", "webhook_url"],
  ];
  for (const [body, code, param] of cases) {
    test(`${JSON.stringify(body)}: ${code}`, async () => {
      const quoted = await expectError(await ask(body), code, { param });
      expect(await jsonOf(await router.generate(body))).toEqual(quoted as unknown as Json);
    });
  }

  test("keys, content types and sizes", async () => {
    await expectError(await ask({ model: dallE3, prompt }, router.keys.management), "wrong_key_type");
    await expectError(await ask({ model: dallE3, prompt }, "lr_live_none"), "invalid_api_key");
    const form = new FormData();
    form.append("prompt", prompt);
    const response = await fetch(`${router.url}/v1/images/quote`, {
      method: "POST",
      headers: { authorization: `Bearer ${router.keys.live}` },
      body: form,
    });
    await expectError(response, "unsupported_media_type");
  });
});
