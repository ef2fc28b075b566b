/** The unmodified official clients as black boxes: a base URL and a key are all that changes. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateImage } from "ai";
import OpenAI from "openai";
import { type HeldRouter, startHeldRouter } from "../contracts/held-router.ts";
import {
  at,
  bytesOf,
  dallE2,
  dallE3,
  flux,
  pictureOf,
  seedModels,
  stableDiffusion,
  startUpstreams,
  urlOf,
} from "../contracts/support.ts";
import { openAiFault } from "../doubles/openai.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const upstreams = startUpstreams();
const { openai } = upstreams;
let router: HeldRouter;
beforeAll(async () => {
  router = await startHeldRouter({ env: upstreams.env });
});
afterEach(() => upstreams.clear());
afterAll(async () => {
  await router.remove();
  await upstreams.stop();
});

/** A client that also notes the retry count of every request it sends. */
function newClient(apiKey: string, options: { maxRetries?: number } = {}) {
  const sent: string[] = [];
  const client = new OpenAI({
    baseURL: `${router.url}/v1`,
    apiKey,
    ...options,
    fetch: (url, init) => {
      sent.push(new Headers(init?.headers).get("x-stainless-retry-count") ?? "none");
      return fetch(url, init);
    },
  });
  return { client, sent };
}

/** What a call throws; fails when it does not. */
async function thrownBy(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

const prompt = "A futuristic city skyline at sunset, photorealistic";

describe("openai for Node, generating", () => {
  const pictures: Record<string, string> = {
    [dallE3]: "1024x1024 png",
    [dallE2]: "256x256 png",
    [stableDiffusion]: "1024x1024 png",
    [flux]: "512x288 webp",
  };
  const sizes: Record<string, "256x256" | "512x288"> = { [dallE2]: "256x256", [flux]: "512x288" };
  for (const model of seedModels) {
    for (const where of ["sandbox", "provider"] as const) {
      test(`${model} at its ${where}: url, b64_json and nothing asked`, async () => {
        const { client } = newClient(where === "sandbox" ? router.keys.test : router.keys.live);
        for (const response_format of ["url", "b64_json", undefined] as const) {
          const size = sizes[model] as "256x256" | undefined;
          const response = await client.images.generate({
            model,
            prompt,
            ...(size === undefined ? {} : { size }),
            ...(response_format === undefined ? {} : { response_format }),
          });
          const image = at(response.data ?? []);
          expect(response.created).toBeNumber();
          expect(typeof image.url).toBe(response_format === "b64_json" ? "undefined" : "string");
          expect(typeof image.b64_json).toBe(response_format === "b64_json" ? "string" : "undefined");
          expect(await pictureOf(await bytesOf(image))).toBe(pictures[model] ?? "");
        }
      });
    }
  }

  test("the founding page's example, literally", async () => {
    // reference/seed-image-generation.zh-Hant.md, with our address and key.
    const client = new OpenAI({ baseURL: `${router.url}/v1`, apiKey: router.keys.live });
    const response = await client.images.generate({
      model: "openai/dall-e-3",
      prompt: "A futuristic city skyline at sunset, photorealistic",
      n: 1,
      size: "1024x1024",
      quality: "hd",
    });
    const [image] = response.data ?? [];
    expect(image?.url).toStartWith(`${router.url}/v1/images/files/`);
    expect(image?.revised_prompt).toBe(`${prompt}, in rich detail`);
    expect(await pictureOf(await bytesOf({ url: image?.url ?? "" }))).toBe("1024x1024 png");
    expect(openai.lastRequest?.body).toMatchObject({ model: "dall-e-3", quality: "hd", size: "1024x1024" });
  });

  test("several images, a user, and the answer's headers", async () => {
    const { client } = newClient(router.keys.live);
    const { data, response, request_id } = await client.images
      .generate({
        model: "dall-e-2",
        prompt,
        n: 3,
        size: "256x256",
        user: "someone",
        quality: "standard",
      })
      .withResponse();
    expect(data.data).toHaveLength(3);
    expect(request_id).toMatch(/^req-/);
    expect(response.headers.get("x-arouter-cost-usd")).toBe("0.048");
  });
});

describe("openai for Node, failing", () => {
  test("a bad parameter is a BadRequestError with code and param, sent once", async () => {
    const { client, sent } = newClient(router.keys.live);
    const error = await thrownBy(() => client.images.generate({ model: dallE3, prompt, size: "512x512" }));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ status: 400, code: "invalid_value", param: "size", type: "invalid_request_error" });
    expect((error as Error).message).toContain("'1024x1024', '1792x1024', and '1024x1792'");
    expect(sent).toHaveLength(1);
  });

  const kinds: Array<[what: string, model: string, words: string, status: number, code: string, type: unknown]> = [
    ["a refusal", dallE3, "[[moderate]]", 400, "content_policy_violation", OpenAI.BadRequestError],
    ["no such model", "openai/dall-e-9", "x", 404, "model_not_found", OpenAI.NotFoundError],
    ["the router's account", flux, "[[402]]", 503, "provider_quota_exhausted", OpenAI.InternalServerError],
    ["a failing provider", stableDiffusion, "[[500]]", 502, "upstream_error", OpenAI.InternalServerError],
  ];
  for (const [what, model, words, status, code, type] of kinds) {
    test(`${what} is the typed error for ${status}, with its code`, async () => {
      const { client } = newClient(router.keys.live, { maxRetries: 0 });
      const error = await thrownBy(() => client.images.generate({ model, prompt: words }));
      expect(error).toBeInstanceOf(type as typeof OpenAI.APIError);
      expect(error).toMatchObject({ status, code });
      expect((error as InstanceType<typeof OpenAI.APIError>).requestID).toMatch(/^req-/);
    });
  }

  test("a wrong key is an AuthenticationError, a management key a PermissionDeniedError, each sent once", async () => {
    const wrong = newClient("lr_live_wrong");
    const error = await thrownBy(() => wrong.client.images.generate({ model: dallE3, prompt }));
    expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(error).toMatchObject({ code: "invalid_api_key" });
    const manager = newClient(router.keys.management);
    const denied = await thrownBy(() => manager.client.images.generate({ model: dallE3, prompt }));
    expect(denied).toBeInstanceOf(OpenAI.PermissionDeniedError);
    expect([wrong.sent.length, manager.sent.length]).toEqual([1, 1]);
  });

  test("a rate limit without retries is a RateLimitError with the waiting time", async () => {
    const { client, sent } = newClient(router.keys.test, { maxRetries: 0 });
    const error = await thrownBy(() => client.images.generate({ model: dallE3, prompt: "[[rate_limit]]" }));
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    expect((error as InstanceType<typeof OpenAI.APIError>).headers?.get("retry-after-ms")).toBe("1000");
    expect(sent).toEqual(["0"]);
  });

  test("a provider's 429 is retried by the client, after the time that the provider gave", async () => {
    // Longer than the client's own first wait (half a second at most), so that only ours explains it.
    openai.next(openAiFault("rate_limit_exceeded", { "retry-after-ms": "900" }));
    const { client, sent } = newClient(router.keys.live);
    const begun = performance.now();
    const response = await client.images.generate({ model: dallE2, prompt, size: "256x256" });
    expect(performance.now() - begun).toBeGreaterThan(890);
    expect(response.data).toHaveLength(1);
    expect(sent).toEqual(["0", "1"]);
  });

  test("a provider's complete 5xx is retried, twice by default, and then told", async () => {
    openai.always(openAiFault("server_error", { "retry-after-ms": "10" }));
    const { client, sent } = newClient(router.keys.live);
    const before = openai.requestsAt("create").length;
    // Words of its own: the clock stands still here, so an earlier test's picture would be as recent as the failure.
    const request = { model: dallE2, prompt: "fails every time", size: "256x256" } as const;
    const error = await thrownBy(() => client.images.generate(request));
    expect(error).toMatchObject({ status: 502, code: "upstream_error" });
    expect(sent).toEqual(["0", "1", "2"]);
    expect(openai.requestsAt("create").length - before).toBe(3);
  });

  test("an unknown outcome is never retried: the picture may have been made and paid for", async () => {
    for (const fault of [{ kind: "cut" }, { kind: "truncate" }] as const) {
      openai.next(fault);
      const { client, sent } = newClient(router.keys.live);
      const before = openai.requestsAt("create").length;
      const error = await thrownBy(() => client.images.generate({ model: dallE2, prompt, size: "256x256" }));
      expect(error).toMatchObject({ status: 502, code: "upstream_outcome_unknown" });
      expect(sent).toEqual(["0"]);
      expect(openai.requestsAt("create").length - before).toBe(1);
    }
  });
});

describe("openai under Node itself", () => {
  const node = Bun.which("node");
  if (node === null) console.warn("no `node` on PATH: the official client is tested under Bun only");

  test.skipIf(node === null)("generates, fetches and reads a typed error", async () => {
    const script = `
      import OpenAI from "openai";
      const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.KEY });
      const response = await client.images.generate({
        model: "openai/dall-e-3", prompt: "燈塔 lighthouse", n: 1, size: "1024x1024", quality: "hd",
      });
      const picture = await fetch(response.data[0].url);
      const base64 = await client.images.generate({ model: "dall-e-3", prompt: "燈塔 lighthouse", response_format: "b64_json" });
      const error = await client.images.generate({ model: "dall-e-3", prompt: "x", n: 2 }).catch((error) => error);
      console.log(JSON.stringify({
        type: picture.headers.get("content-type"),
        bytes: (await picture.arrayBuffer()).byteLength,
        length: Number(picture.headers.get("content-length")),
        revised: base64.data[0].revised_prompt,
        head: base64.data[0].b64_json.slice(0, 8),
        error: [error.constructor.name, error.status, error.code, error.param],
      }));`;
    const child = Bun.spawn([node ?? "node", "--input-type=module", "-e", script], {
      cwd: `${import.meta.dir}/../..`,
      env: { PATH: process.env.PATH ?? "", BASE_URL: `${router.url}/v1`, KEY: router.keys.live },
      stderr: "pipe",
    });
    const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    expect(errors).toBe("");
    const seen = JSON.parse(output);
    expect(seen).toMatchObject({
      type: "image/png",
      revised: "燈塔 lighthouse, in rich detail",
      head: "iVBORw0K",
      error: ["BadRequestError", 400, "integer_above_max_value", "n"],
    });
    expect(seen.bytes).toBe(seen.length);
  });
});

describe("the AI SDK, through its OpenAI-compatible provider", () => {
  const provider = (apiKey: string) => createOpenAICompatible({ name: "arouter", baseURL: `${router.url}/v1`, apiKey });

  test("generateImage for every model, in the sandbox and at its provider", async () => {
    for (const model of seedModels) {
      for (const key of [router.keys.test, router.keys.live]) {
        const { image, warnings } = await generateImage({ model: provider(key).imageModel(model), prompt });
        expect(await pictureOf(image.uint8Array)).toMatch(/^1024x1024 (png|webp)$/);
        expect(image.mediaType).toMatch(/^image\/(png|webp)$/);
        expect(warnings).toEqual([]);
      }
    }
  });

  test("n and size, and options of the vendor", async () => {
    const model = provider(router.keys.live).imageModel(dallE2);
    const { images } = await generateImage({ model, prompt, n: 3, size: "256x256", providerOptions: {} });
    expect(await Promise.all(images.map(({ uint8Array }) => pictureOf(uint8Array)))).toEqual(
      Array(3).fill("256x256 png"),
    );
    const hd = await generateImage({
      model: provider(router.keys.live).imageModel(dallE3),
      prompt,
      size: "1792x1024",
      providerOptions: { arouter: { quality: "hd", style: "natural", response_format: "b64_json" } },
    });
    expect(await pictureOf(hd.image.uint8Array)).toBe("1792x1024 png");
    expect(openai.lastRequest?.body).toMatchObject({ quality: "hd", style: "natural" });
  });

  test("a refusal is an APICallError that says why and that no retry helps", async () => {
    const model = provider(router.keys.live).imageModel(dallE3);
    const before = openai.requestsAt("create").length;
    const error = await thrownBy(() => generateImage({ model, prompt: "[[moderate]]" }));
    expect(APICallError.isInstance(error)).toBeTrue();
    expect(error).toMatchObject({ statusCode: 400, isRetryable: false });
    expect((error as Error).message).toContain("safety system");
    expect(openai.requestsAt("create").length - before).toBe(1);
  });
});

test("a link is good for any client: no key, no cookie", async () => {
  const { client } = newClient(router.keys.test);
  const { data = [] } = await client.images.generate({ model: dallE2, prompt, size: "256x256" });
  const response = await fetch(urlOf(at(data)), { credentials: "omit" });
  expect(response.headers.get("content-type")).toBe("image/png");
  expect(response.headers.get("set-cookie")).toBeNull();
});
