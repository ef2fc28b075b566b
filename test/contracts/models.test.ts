/** The catalogue as clients see it: lists, one entry, its routes. CONTRACT.md, service-facts.md "Models". */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import OpenAI from "openai";
import { type HeldRouter, startHeldRouter } from "./held-router.ts";
import { dallE2, dallE3, expectError, flux, type Json, jsonOf, seedModels, stableDiffusion } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

interface Entry {
  id: string;
  object: string;
  created: number;
  owned_by: string;
  canonical_slug: string;
  name: string;
  description: string;
  architecture: { input_modalities: string[]; output_modalities: string[] };
  pricing: { rows: Array<{ size?: string; quality?: string; usd: string }> };
  supported_parameters: string[];
  default_parameters: Json;
  expiration_date: string | null;
}

let router: HeldRouter;
beforeAll(async () => {
  router = await startHeldRouter();
});
afterAll(() => router.remove());

const list = async (query = "") =>
  jsonOf<{ object: string; data: Entry[] }>(await router.get(`/v1/models${query}`, router.keys.test));
const entry = async (path: string) => jsonOf<Entry>(await router.get(`/v1/models/${path}`, router.keys.test));

describe("/v1/models", () => {
  test("lists the four models of the founding page, each a superset of OpenAI's entry", async () => {
    const { object, data } = await list();
    expect(object).toBe("list");
    const ids = data.map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining(seedModels));
    for (const model of data) {
      expect(model).toMatchObject({
        id: expect.stringMatching(/^[^/]+\/[^/]+$/),
        object: "model",
        created: expect.any(Number),
        owned_by: expect.any(String),
        canonical_slug: model.id,
        name: expect.any(String),
        description: expect.any(String),
        architecture: { input_modalities: expect.arrayContaining(["text"]), output_modalities: ["image"] },
      });
      expect(model.supported_parameters).toEqual(expect.arrayContaining(["model", "prompt", "n", "response_format"]));
      // What has no price yet has no rows, and is refused when it is asked for.
      expect(model.pricing).toMatchObject({
        currency: "USD",
        unit: expect.stringMatching(/^(image|megapixel|token)$/),
      });
      if (seedModels.includes(model.id)) expect(model.pricing.rows.length).toBeGreaterThan(0);
      expect(model.default_parameters).toBeObject();
      expect("expiration_date" in model).toBeTrue();
    }
  });

  test("says prices, parameters, defaults and end dates as they are", async () => {
    const byId = new Map((await list()).data.map((model) => [model.id, model]));
    const usd = (id: string) =>
      byId
        .get(id)
        ?.pricing.rows.map((row) => row.usd)
        .sort();
    expect(usd(dallE3)).toEqual(["0.04", "0.08", "0.08", "0.08", "0.12", "0.12"]);
    expect(usd(dallE2)).toEqual(["0.016", "0.018", "0.02"]);
    expect(usd(stableDiffusion)).toEqual(["0.065"]);
    expect(usd(flux)).toEqual(["0.05"]);
    expect(byId.get(dallE3)?.supported_parameters).toEqual(
      expect.arrayContaining(["size", "quality", "style", "user"]),
    );
    expect(byId.get(dallE2)?.supported_parameters).not.toContain("style");
    expect(byId.get(stableDiffusion)?.supported_parameters).toEqual(
      expect.arrayContaining(["aspect_ratio", "seed", "negative_prompt", "output_format", "size"]),
    );
    expect(byId.get(dallE3)?.default_parameters).toMatchObject({ size: "1024x1024", quality: "standard", n: 1 });
    expect(byId.get(dallE3)?.expiration_date).toBe("2026-05-12");
    expect(byId.get(dallE2)?.expiration_date).toBe("2026-05-12");
    expect(byId.get(flux)?.expiration_date).toBeNull();
  });

  test("filters by what comes out", async () => {
    const all = await list();
    expect(await list("?output_modalities=image")).toEqual(all);
    expect(await list("?output_modalities=all")).toEqual(all);
    const response = await router.get("/v1/models?output_modalities=smell", router.keys.test);
    await expectError(response, "invalid_value", { param: "output_modalities" });
  });

  test("is the same for every kind of key", async () => {
    const all = await list();
    for (const key of [router.keys.live, router.keys.management]) {
      expect(await jsonOf<typeof all>(await router.get("/v1/models", key))).toEqual(all);
    }
  });

  test("reads well with the official client", async () => {
    const client = new OpenAI({ baseURL: `${router.url}/v1`, apiKey: router.keys.test });
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids).toEqual(expect.arrayContaining(seedModels));
    // The client encodes the slash.
    expect((await client.models.retrieve(flux)).id).toBe(flux);
  });
});

describe("/v1/models/{id}", () => {
  for (const id of seedModels) {
    test(`${id}: plain, and with an encoded slash`, async () => {
      const listed = (await list()).data.find((model) => model.id === id);
      for (const path of [id, id.replace("/", "%2F"), id.replace("/", "%2f")]) {
        expect<Entry | undefined>(await entry(path)).toEqual(listed);
      }
    });
  }

  test("a bare id is OpenAI's", async () => {
    expect((await entry("dall-e-3")).id).toBe(dallE3);
    expect((await entry("dall-e-2")).id).toBe(dallE2);
    const response = await router.get("/v1/models/flux-1-pro", router.keys.test);
    await expectError(response, "model_not_found", { param: "model" });
  });

  test("one that does not exist is 404", async () => {
    for (const path of ["openai/dall-e-9", "dall-e-9", "openai%2Fdall-e-9", "OpenAI/dall-e-3", "a/b/c/d"]) {
      const response = await router.get(`/v1/models/${path}`, router.keys.test);
      await expectError(response, path === "a/b/c/d" ? "not_found" : "model_not_found");
    }
  });
});

describe("/v1/models/{id}/endpoints", () => {
  const routes: Record<string, [provider: string, model: string]> = {
    [dallE3]: ["openai", "dall-e-3"],
    [dallE2]: ["openai", "dall-e-2"],
    [stableDiffusion]: ["stability", "sd3.5-large"],
    [flux]: ["replicate", "black-forest-labs/flux-pro"],
  };
  for (const [id, [provider, model]] of Object.entries(routes)) {
    test(id, async () => {
      const plain = await jsonOf<{ data: Json[] }>(await router.get(`/v1/models/${id}/endpoints`, router.keys.test));
      expect(plain.data).toHaveLength(1);
      expect(plain.data[0]).toMatchObject({
        provider_id: provider,
        provider_name: expect.any(String),
        model,
        pricing: (await entry(id)).pricing as unknown as Json,
        supported_parameters: (await entry(id)).supported_parameters,
      });
      const encoded = await router.get(`/v1/models/${id.replace("/", "%2F")}/endpoints`, router.keys.test);
      expect(await jsonOf<typeof plain>(encoded)).toEqual(plain);
    });
  }

  test("of a model that does not exist is 404; of a bare id it is OpenAI's", async () => {
    const nothing = await router.get("/v1/models/openai/dall-e-9/endpoints", router.keys.test);
    await expectError(nothing, "model_not_found");
    const bare = await jsonOf<{ data: Json[] }>(await router.get("/v1/models/dall-e-3/endpoints", router.keys.test));
    expect(bare.data[0]).toMatchObject({ provider_id: "openai" });
  });
});
