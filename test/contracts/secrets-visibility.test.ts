/** What belongs to a key, and where a key may not reach, through everything that edits, streams and routing have added. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startAzure } from "../doubles/azure.ts";
import { startBfl } from "../doubles/bfl.ts";
import { startOpenAi } from "../doubles/openai.ts";
import { picture } from "../doubles/picture.ts";
import { startRouter, type TestRouter } from "../router.ts";
import {
  at,
  dallE2,
  dallE3,
  expectError,
  type GenerationObject,
  imagesOf,
  type Json,
  jsonOf,
  makeKey,
  until,
} from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const openai = startOpenAi();
const azure = startAzure();
const bfl = startBfl({ fileOrigin: "same" });
const doubles = [openai, azure, bfl];
const env = {
  AROUTER_LEGACY: "successor",
  OPENAI_API_KEY: openai.key,
  OPENAI_BASE_URL: openai.url,
  AZURE_OPENAI_API_KEY: azure.key,
  AZURE_OPENAI_ENDPOINT: azure.origin,
  BFL_API_KEY: bfl.key,
  BFL_BASE_URL: bfl.url,
};
const gpt = "openai/gpt-image-2";
const kontext = "black-forest-labs/flux-1-kontext-pro";
const low = { model: gpt, prompt: "a lighthouse", size: "1024x1024", quality: "low" };
const small = { model: dallE2, prompt: "a lighthouse", size: "256x256" };
const images = [{ image_url: `data:image/png;base64,${picture({ width: 64, height: 64 }).toBase64()}` }];

let router: TestRouter;
let stranger: string;
beforeAll(async () => {
  router = await startRouter({ env });
  stranger = await makeKey(router.dataFolder, "live");
});
afterEach(() => {
  for (const double of doubles) double.clear();
});
afterAll(async () => {
  await router.remove();
  for (const double of doubles) await double.stop();
});

const call = (method: string, path: string, key: string, body?: Json, headers: Record<string, string> = {}) =>
  fetch(router.url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
const post = (path: string, body: Json, key: string, headers?: Record<string, string>) =>
  call("POST", path, key, body, headers);
const asked = () => doubles.map((double) => double.requests.length);
async function restricted(limits: Json): Promise<string> {
  const made = await post("/api/v1/keys", { name: "restricted", ...limits }, router.keys.management);
  expect(made.status).toBe(201);
  return (await jsonOf<{ key: string }>(made)).key;
}

describe("another key's generation", () => {
  let id: string;
  let hash: string;
  let link: string;
  beforeAll(async () => {
    const webhook_url = "https://hooks.example/secret-path";
    const accepted = await post("/v1/images/edits", { ...low, images, webhook_url }, router.keys.live, {
      prefer: "respond-async",
    });
    expect(accepted.status).toBe(202);
    id = (await jsonOf<GenerationObject>(accepted)).id;
    const record = await until(async () => {
      const found = await jsonOf<GenerationObject>(await router.get(`/v1/images/generations/${id}`));
      return found.status === "succeeded" ? found : undefined;
    });
    link = at(record.data).url ?? "";
    const secret = await router.get("/api/v1/webhooks/secret");
    hash = (await jsonOf<{ data: { key_hash: string } }>(secret)).data.key_hash;
  });

  test("does not exist for it: not to look at, not to cancel, not to delete", async () => {
    for (const key of [stranger, router.keys.test]) {
      const { pathname } = new URL(link);
      for (const [method, path] of [
        ["GET", `/v1/images/generations/${id}`],
        ["DELETE", `/v1/images/generations/${id}`],
        ["GET", `/api/v1/generation?id=${id}`],
        ["DELETE", pathname],
        ["GET", `/api/v1/webhooks/secret?key_hash=${hash}`],
        ["POST", `/api/v1/webhooks/secret/rotate?key_hash=${hash}`],
        ["GET", `/api/v1/webhooks/deliveries?key_hash=${hash}`],
      ] as const) {
        await expectError(await call(method, path, key), "not_found");
      }
      // The very words that a generation gets which never was.
      const never = await router.get("/v1/images/generations/gen-00000000000000000000000000", key);
      const theirs = await router.get(`/v1/images/generations/${id}`, key);
      expect(await theirs.json()).toEqual(await never.json());
      const log = await router.get(`/api/v1/webhooks/deliveries?generation=${id}`, key);
      expect(await log.json()).toMatchObject({ data: [] });
    }
    expect((await fetch(link)).status).toBe(200);
  });

  test("is not joined by its idempotency key or its retry", async () => {
    const headers = { "idempotency-key": "order-of-the-first", "x-stainless-retry-count": "1" };
    const ids: (string | null)[] = [];
    for (const key of [router.keys.live, stranger, router.keys.live]) {
      const answer = await post("/v1/images/edits", { ...low, images }, key, headers);
      await imagesOf(answer);
      ids.push(answer.headers.get("x-arouter-generation-id"));
    }
    expect(ids[2]).toBe(at(ids));
    expect(ids[1]).not.toBe(at(ids));
  });

  test("is its owner's and the operator's", async () => {
    for (const key of [router.keys.live, router.keys.management]) {
      expect((await router.get(`/v1/images/generations/${id}`, key)).status).toBe(200);
      const log = await router.get(`/api/v1/webhooks/deliveries?generation=${id}`, key);
      expect((await jsonOf<{ data: Json[] }>(log)).data).toHaveLength(1);
    }
  });
});

/** Every way to name a provider, a model, or a way around. */
const ways: Array<[what: string, body: Json]> = [
  ["models", { ...low, models: [kontext, gpt], model: undefined, size: undefined, quality: undefined }],
  ["provider.only", { ...low, provider: { only: ["openai"] } }],
  ["provider.order", { ...low, provider: { order: ["azure", "openai"], allow_fallbacks: true } }],
  ["provider.ignore", { ...low, provider: { ignore: ["sandbox"] } }],
  [":floor", { ...low, model: `${gpt}:floor` }],
  [":nitro", { ...low, model: `${gpt}:nitro` }],
  ["an ended model", { ...small, model: dallE3, size: "1024x1024" }],
  ["an ended model with a successor's size", small],
];

describe("a test key reaches the sandbox alone", () => {
  for (const [what, body] of ways) {
    test(what, async () => {
      const before = asked();
      const { test: key } = router.keys;
      const answer = await post("/v1/images/generations", body, key);
      await imagesOf(answer);
      expect(answer.headers.get("x-arouter-provider")).toBe("sandbox");
      expect(answer.headers.get("x-arouter-cost-usd")).toBe("0");
      const quote = await jsonOf<{ quote_usd: number; routes: { provider: string }[] }>(
        await post("/v1/images/quote", body, key),
      );
      expect(quote.quote_usd).toBe(0);
      expect(new Set(quote.routes.map(({ provider }) => provider))).toEqual(new Set(["sandbox"]));
      const streamed = await post("/v1/images/generations", { ...body, stream: true }, key);
      expect([streamed.status, streamed.headers.get("x-arouter-provider")]).toEqual([200, "sandbox"]);
      await streamed.arrayBuffer();
      const later = await post("/v1/images/generations", body, key, { prefer: "respond-async" });
      expect((await jsonOf<GenerationObject>(later)).provider).toBe("sandbox");
      expect(asked()).toEqual(before);
    });
  }

  test("edits as well", async () => {
    const before = asked();
    for (const extra of [{}, { provider: { only: ["openai"] } }, { models: [kontext] }, { stream: true }]) {
      const answer = await post("/v1/images/edits", { ...low, images, ...extra }, router.keys.test);
      await answer.arrayBuffer();
      expect([answer.status, answer.headers.get("x-arouter-provider")]).toEqual([200, "sandbox"]);
    }
    expect(asked()).toEqual(before);
  });
});

test("a management key makes nothing and prices nothing, whichever view it asks for", async () => {
  const before = asked();
  const { management } = router.keys;
  const form = new FormData();
  form.append("image", new File(["x"], "a.png"));
  for (const [path, body, headers] of [
    ["/v1/images/generations", low],
    ["/v1/images/generations", { ...low, stream: true }],
    ["/v1/images/generations", low, { prefer: "respond-async" }],
    ["/v1/images/generations", low, { accept: "image/*" }],
    ["/v1/images/edits", { ...low, images }],
    ["/v1/images/quote", low],
    ["/v1/images/quote", { ...low, images }],
    ["/v1/images/variations", {}],
  ] as Array<[string, Json, Record<string, string>?]>) {
    await expectError(await post(path, body, management, headers), "wrong_key_type");
  }
  const headers = { authorization: `Bearer ${management}` };
  await expectError(
    await fetch(`${router.url}/v1/images/edits`, { method: "POST", headers, body: form }),
    "wrong_key_type",
  );
  expect(asked()).toEqual(before);
});

describe("a key's own lists hold", () => {
  const served = async (answer: Response): Promise<unknown[]> => {
    await answer.arrayBuffer();
    return [answer.status, answer.headers.get("x-arouter-model"), answer.headers.get("x-arouter-provider")];
  };
  const creates = () => doubles.map((double) => double.requestsAt("create").length);
  const during = async (work: () => Promise<unknown>): Promise<number[]> => {
    const before = creates();
    await work();
    return creates().map((count, index) => count - at(before, index));
  };

  test("models: over candidates, suffixes, aliases, edits and the quote", async () => {
    const key = await restricted({ allowed_models: [kontext] });
    const body = { prompt: "a hat", models: [gpt, kontext] };
    expect(
      await during(async () =>
        expect(await served(await post("/v1/images/generations", body, key))).toEqual([200, kontext, "bfl"]),
      ),
    ).toEqual([0, 0, 1]);
    const quote = await jsonOf<{ routes: { model: string }[] }>(await post("/v1/images/quote", body, key));
    expect(new Set(quote.routes.map(({ model }) => model))).toEqual(new Set([kontext]));
    // What may not be used is no way out either.
    bfl.always({ kind: "answer", status: 500, body: { detail: "no" } });
    expect(
      await during(async () =>
        expectError(await post("/v1/images/edits", { ...body, models: [kontext, gpt], images }, key), "upstream_error"),
      ),
    ).toEqual([0, 0, 1]);
    for (const model of [gpt, "gpt-image-2", `${gpt}:floor`, `${gpt}:nitro`, dallE3]) {
      for (const path of ["/v1/images/generations", "/v1/images/quote"])
        await expectError(await post(path, { model, prompt: "a hat" }, key), "model_not_allowed");
    }
  });

  test("providers: over candidates and over a successor's routes", async () => {
    const key = await restricted({ allowed_providers: ["azure"] });
    azure.always({ kind: "answer", status: 500, body: { error: { message: "no" } } });
    const wish = { ...low, provider: { order: ["openai"], fallback_on_refusal: true } };
    expect(
      await during(async () => expectError(await post("/v1/images/generations", wish, key), "upstream_error")),
    ).toEqual([0, 1, 0]);
    azure.clear();
    const ended = { model: dallE3, prompt: "a lighthouse", size: "1024x1024" };
    expect(
      await during(async () =>
        expect(await served(await post("/v1/images/generations", ended, key))).toEqual([200, gpt, "azure"]),
      ),
    ).toEqual([0, 1, 0]);
    const quote = await jsonOf<{ routes: { provider: string }[] }>(await post("/v1/images/quote", low, key));
    expect(quote.routes.map(({ provider }) => provider)).toEqual(["azure"]);
    await expectError(
      await post("/v1/images/generations", { model: kontext, prompt: "a hat" }, key),
      "provider_not_allowed",
    );
  });

  test("models: an ended model's name does not open its successor, nor the successor's the ended one", async () => {
    const key = await restricted({ allowed_models: [gpt] });
    await expectError(
      await post("/v1/images/generations", { model: dallE3, prompt: "a hat" }, key),
      "model_not_allowed",
    );
  });
});
