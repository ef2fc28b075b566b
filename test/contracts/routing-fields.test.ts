/** The fields of routing through the HTTP face: who is asked, who answers, who is paid (CONTRACT.md "Generating"). */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { startAzure } from "../doubles/azure.ts";
import { openAiFault } from "../doubles/openai.ts";
import { startRouter, type TestRouter } from "../router.ts";
import {
  at,
  dallE2,
  dallE3,
  expectError,
  flux,
  type GenerationObject,
  type Json,
  jsonOf,
  makeKey,
  stableDiffusion,
  startUpstreams,
  until,
} from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const gpt = "openai/gpt-image-2";
const prompt = "a lighthouse";
const upstreams = startUpstreams();
const { openai, stability, replicate } = upstreams;
const azure = startAzure();
let router: TestRouter;
const start = () =>
  startRouter({
    env: {
      ...upstreams.env,
      AZURE_OPENAI_API_KEY: azure.key,
      AZURE_OPENAI_ENDPOINT: azure.origin,
      AROUTER_UPSTREAM_RETRIES: "0",
    },
  });
beforeAll(async () => {
  router = await start();
});
afterEach(() => {
  upstreams.clear();
  azure.clear();
});
afterAll(async () => {
  await router.remove();
  await Promise.all([upstreams.stop(), azure.stop()]);
});

const calls = () => ({
  openai: openai.requestsAt("create").length,
  azure: azure.requestsAt("create").length,
  stability: stability.requestsAt("create").length,
  replicate: replicate.requestsAt("create").length,
});
/** What a request costs each provider in calls. */
async function callsOf(work: () => Promise<unknown>): Promise<Partial<ReturnType<typeof calls>>> {
  const before = calls();
  await work();
  const made = Object.entries(calls()).map(([name, count]) => [name, count - before[name as keyof typeof before]]);
  return Object.fromEntries(made.filter(([, count]) => count !== 0));
}
const served = (response: Response) => [
  response.status,
  response.headers.get("x-arouter-model"),
  response.headers.get("x-arouter-provider"),
];
const recordOf = async (response: Response) => {
  const id = response.headers.get("x-arouter-generation-id") ?? "";
  return jsonOf<GenerationObject>(await router.get(`/v1/images/generations/${id}`));
};

describe("models and route", () => {
  test("the first is asked, `model` may be absent, and `route` is implied", async () => {
    for (const extra of [{ models: [dallE2, dallE3] }, { model: dallE2, models: [dallE3], route: "fallback" }]) {
      const response = await router.generate({ prompt, size: "1024x1024", ...extra });
      expect(served(response)).toEqual([200, dallE2, "openai"]);
    }
  });

  test("the next where nothing billable can exist: it answers, and it alone is paid", async () => {
    openai.next(openAiFault("server_error"));
    const before = upstreams.all.map(({ billed }) => billed);
    let response = new Response();
    const made = await callsOf(async () => {
      response = await router.generate({ models: [dallE3, stableDiffusion], prompt, size: "1024x1024" });
    });
    expect(made).toEqual({ openai: 1, stability: 1 });
    expect(served(response)).toEqual([200, stableDiffusion, "stability"]);
    expect(response.headers.get("x-arouter-cost-usd")).toBe("0.065");
    expect(upstreams.all.map(({ billed }, index) => billed - (before[index] ?? 0))).toEqual([0, 1, 0]);
    const record = await recordOf(response);
    expect(record).toMatchObject({ model: stableDiffusion, cost_usd: 0.065 });
    expect(record.attempts).toMatchObject([
      { provider: "openai", round: 0, status: "failed" },
      { provider: "stability", round: 1, status: "succeeded" },
    ]);
    // What was sent is what the one sent that answered.
    expect(record.sent).toEqual(at(record.attempts as unknown as Json[], 1).sent as Json);
  });

  test("the same in a stream and in the background", async () => {
    openai.next(openAiFault("server_error"));
    const streamed = await router.generate({
      models: [dallE3, stableDiffusion],
      prompt,
      size: "1024x1024",
      stream: true,
    });
    expect(await streamed.text()).toContain(`"model":"${stableDiffusion}"`);
    openai.next(openAiFault("server_error"));
    const later = await router.generate(
      { models: [dallE3, stableDiffusion], prompt, size: "1024x1024" },
      { headers: { prefer: "respond-async" } },
    );
    const ended = await until(async () => {
      const record = await recordOf(later);
      return record.finished === null ? undefined : record;
    });
    expect(ended).toMatchObject({ status: "succeeded", model: stableDiffusion });
  });

  test("never after a refusal, unless the client opts in", async () => {
    const body = { models: [dallE3, stableDiffusion], prompt: "[[moderate]] a cat", size: "1024x1024" };
    expect(await callsOf(async () => expectError(await router.generate(body), "content_policy_violation"))).toEqual({
      openai: 1,
    });
    const opted = { ...body, provider: { fallback_on_refusal: true } };
    const made = await callsOf(() => router.generate(opted));
    expect(made).toEqual({ openai: 1, stability: 1 });
  });

  test("never where a billable result may exist", async () => {
    openai.next({ kind: "cut" });
    const made = await callsOf(async () => {
      const response = await router.generate({ models: [dallE3, stableDiffusion], prompt, size: "1024x1024" });
      await expectError(response, "upstream_outcome_unknown");
    });
    expect(made).toEqual({ openai: 1 });
  });

  test("a model that cannot honour the request is no candidate; where none can, the first one's reason", async () => {
    const response = await router.generate({ models: [dallE3, flux], prompt, size: "512x512" });
    expect(served(response)).toEqual([200, flux, "replicate"]);
    await expectError(await router.generate({ models: [dallE3, dallE2], prompt, size: "77x77" }), "invalid_value", {
      param: "size",
      message: /1792x1024/,
    });
  });

  test("all fail: the last error, nothing charged", async () => {
    openai.next(openAiFault("server_error"));
    stability.always({ kind: "htmlBadGateway" });
    const response = await router.generate({ models: [dallE3, stableDiffusion], prompt, size: "1024x1024" });
    expect(response.headers.get("x-arouter-cost-usd")).toBe("0");
    await expectError(response, "upstream_error", { message: /stability/ });
  });

  test("`response_format` omitted: the first candidate's default", async () => {
    const links = await router.generate({ models: [dallE2, gpt], prompt, size: "1024x1024" });
    expect(await links.text()).toContain('"url":');
    const base64 = await router.generate({ models: [gpt, dallE2], prompt, size: "1024x1024" });
    expect(await base64.text()).toContain('"b64_json":');
  });
});

describe("provider", () => {
  test("order, only and ignore decide who is asked", async () => {
    const cases: Array<[provider: Json, asked: string]> = [
      [{ order: ["azure"] }, "azure"],
      [{ order: ["openai", "azure"] }, "openai"],
      [{ only: ["azure"] }, "azure"],
      [{ ignore: ["azure"] }, "openai"],
      [{ only: ["openai"], order: ["azure"] }, "openai"],
    ];
    for (const [provider, asked] of cases) {
      const made = await callsOf(async () => {
        const response = await router.generate({ model: gpt, prompt, size: "1024x1024", quality: "low", provider });
        expect(served(response)).toEqual([200, gpt, asked]);
      });
      expect(made).toEqual({ [asked]: 1 });
    }
  });

  test("a failing route is followed by the model's next, unless fallbacks are not allowed", async () => {
    azure.always({ kind: "htmlBadGateway" });
    const body = { model: gpt, prompt, size: "1024x1024", quality: "low" };
    const response = await router.generate({ ...body, provider: { order: ["azure"] } });
    expect(served(response)).toEqual([200, gpt, "openai"]);
    const alone = await router.generate({ ...body, provider: { order: ["azure"], allow_fallbacks: false } });
    await expectError(alone, "upstream_error");
  });

  test("max_price: dearer routes are none, and where none is left it says so", async () => {
    const body = { models: [dallE3, dallE2], prompt, size: "1024x1024", provider: { max_price: "0.03" } };
    expect(served(await router.generate(body))).toEqual([200, dallE2, "openai"]);
    await expectError(
      await router.generate({ model: dallE3, prompt, provider: { max_price: 0.01 } }),
      "invalid_value",
      { param: "provider.max_price" },
    );
  });

  test("`:floor` and `:nitro` are no part of the name", async () => {
    for (const suffix of [":floor", ":nitro"]) {
      const response = await router.generate({ model: `${dallE2}${suffix}`, prompt, size: "256x256" });
      expect(served(response)).toEqual([200, dallE2, "openai"]);
    }
  });

  const wrong: Array<[extra: Json, code: string, param: string]> = [
    [{ route: "other" }, "invalid_value", "route"],
    [{ route: 1 }, "invalid_type", "route"],
    [{ models: "x" }, "invalid_type", "models"],
    [{ models: [] }, "invalid_value", "models"],
    [{ models: [1] }, "invalid_type", "models[0]"],
    [{ provider: "openai" }, "invalid_type", "provider"],
    [{ provider: { sort: "fast" } }, "invalid_value", "provider.sort"],
    [{ provider: { order: "openai" } }, "invalid_type", "provider.order"],
    [{ provider: { speed: 1 } }, "unknown_parameter", "provider.speed"],
    [{ provider: { allow_fallbacks: "no" } }, "invalid_type", "provider.allow_fallbacks"],
    [{ provider: { max_price: "cheap" } }, "invalid_value", "provider.max_price"],
  ];
  for (const [extra, code, param] of wrong) {
    test(`${JSON.stringify(extra)}: ${code}`, async () => {
      const made = await callsOf(async () => {
        await expectError(await router.generate({ model: dallE2, prompt, ...extra }), code, { param });
      });
      expect(made).toEqual({});
    });
  }

  test("a key's own list of providers holds whatever the request prefers", async () => {
    const response = await fetch(`${router.url}/api/v1/keys`, {
      method: "POST",
      headers: { authorization: `Bearer ${router.keys.management}`, "content-type": "application/json" },
      body: JSON.stringify({ name: "azure only", allowed_providers: ["azure"] }),
    });
    const { key } = await jsonOf<{ key: string }>(response);
    const body = { model: gpt, prompt, size: "1024x1024", quality: "low", provider: { order: ["openai"] } };
    expect(served(await router.generate(body, { key }))).toEqual([200, gpt, "azure"]);
    const only = { ...body, provider: { only: ["openai"] } };
    const made = await callsOf(async () => {
      await expectError(await router.generate(only, { key }), "invalid_value", { param: "provider" });
    });
    expect(made).toEqual({});
  });
});

describe("a model with an end date", () => {
  test("says so on every view of it, and names its successor", async () => {
    const views: Array<[extra: Json, headers: Record<string, string>, status: number]> = [
      [{}, {}, 200],
      [{}, { accept: "image/*" }, 200],
      [{ stream: true }, {}, 200],
      [{}, { prefer: "respond-async" }, 202],
      [{ prompt: "[[moderate]]" }, {}, 400],
    ];
    for (const [extra, headers, status] of views) {
      const response = await router.generate({ model: dallE3, prompt, ...extra }, { headers });
      expect(response.status).toBe(status);
      await response.arrayBuffer();
      expect(response.headers.get("link")).toBe('</v1/models/openai/gpt-image-2>; rel="successor-version"');
      expect(response.headers.get("sunset")).toBe("Tue, 12 May 2026 00:00:00 GMT");
      expect(response.headers.get("deprecation")).toBe("@1778544000");
    }
    const led = await router.get("/v1/models/openai/gpt-image-2");
    expect(led.status).toBe(200);
  });

  test("without one, nothing is said", async () => {
    const response = await router.generate({ model: flux, prompt, size: "512x512" });
    expect(["link", "sunset", "deprecation"].map((name) => response.headers.get(name))).toEqual([null, null, null]);
  });
});

describe("GET /api/v1/providers", () => {
  interface ProviderView {
    id: string;
    name: string;
    configured: boolean;
    base_url: string | null;
    credentials: Array<{
      credential: string;
      running: number;
      waiting: number;
      parked: { reason: string; until: string } | null;
      routes: Array<{ model: string; state: string }>;
    }>;
    latencies: Array<{ model: string; base_url: string; mean_ms: number }>;
  }
  const look = async (from = router): Promise<Map<string, ProviderView>> => {
    const response = await from.get("/api/v1/providers", from.keys.management);
    expect(response.status).toBe(200);
    const text = await response.text();
    for (const secret of [openai.key, azure.key, replicate.key, stability.key]) expect(text).not.toContain(secret);
    const { data } = JSON.parse(text) as { data: ProviderView[] };
    return new Map(data.map((provider) => [provider.id, provider]));
  };

  test("is the operator's alone", async () => {
    for (const key of [router.keys.live, router.keys.test, await makeKey(router.dataFolder, "live")]) {
      await expectError(await router.get("/api/v1/providers", key), "wrong_key_type");
    }
  });

  test("who is configured, where, and every credential of the pool, used or not", async () => {
    const env = { OPENAI_API_KEY: "sk-first,sk-second", OPENAI_BASE_URL: "http://name:secret@127.0.0.1:9/v1" };
    const fresh = await startRouter({ env });
    try {
      const providers = await look(fresh);
      const idle = { running: 0, waiting: 0, parked: null, routes: [] };
      expect(providers.get("openai")).toEqual({
        id: "openai",
        name: "OpenAI",
        configured: true,
        base_url: "http://127.0.0.1:9/v1",
        credentials: ["sk-first", "sk-second"].map((secret) => ({
          credential: createHash("sha256").update(secret).digest("hex").slice(0, 8),
          ...idle,
        })),
        latencies: [],
      });
      expect(providers.get("replicate")).toMatchObject({ configured: false, credentials: [] });
      expect(providers.get("sandbox")).toMatchObject({ configured: true, base_url: null });
    } finally {
      await fresh.remove();
    }
  });

  test("what runs now, and how long calls take", async () => {
    const fresh = await start();
    try {
      openai.latencyMs = 300;
      const running = fresh.generate({ model: dallE2, prompt, size: "256x256" });
      await until(async () => ((await look(fresh)).get("openai")?.credentials[0]?.running === 1 ? true : undefined));
      await running;
      const after = (await look(fresh)).get("openai");
      expect(after?.credentials).toMatchObject([
        { running: 0, waiting: 0, routes: [{ model: "dall-e-2", state: "closed" }] },
      ]);
      expect(after?.latencies).toEqual([{ model: "dall-e-2", base_url: openai.url, mean_ms: expect.any(Number) }]);
      expect((await look(fresh)).get("openai")?.latencies[0]?.mean_ms).toBeGreaterThanOrEqual(300);
    } finally {
      openai.latencyMs = 0;
      await fresh.remove();
    }
  });

  test("what parks a credential is named, with its end", async () => {
    const fresh = await start();
    try {
      openai.next(openAiFault("insufficient_quota"));
      await fresh.generate({ model: dallE2, prompt, size: "256x256" });
      const [credential] = (await look(fresh)).get("openai")?.credentials ?? [];
      expect(credential?.parked?.reason).toBe("quota");
      expect(Date.parse(credential?.parked?.until ?? "")).toBeGreaterThan(Date.now());
      expect(credential?.routes).toEqual([{ model: "dall-e-2", state: "closed" }]);
    } finally {
      await fresh.remove();
    }
  });
});
