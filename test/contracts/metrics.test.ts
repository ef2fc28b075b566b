/** `GET /metrics`: who may read it, what it counts, and what must never be in it. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createKey } from "../../src/accounts/keys.ts";
import { readConfig } from "../../src/config.ts";
import { createApp } from "../../src/http/app.ts";
import { createLinks } from "../../src/images/links.ts";
import { createLogger } from "../../src/observe/log.ts";
import { createMetrics } from "../../src/observe/metrics.ts";
import { openParts, type Parts } from "../../src/parts.ts";
import type { Watched } from "../../src/ports.ts";
import { startRouter, type TestRouter } from "../router.ts";
import { dallE2, expectError, imagesOf, startUpstreams, type Upstreams } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

/** One line of the text format: its name and labels, and its figure. */
function readFigures(text: string): Map<string, number> {
  const figures = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const [, name = "", labels = "", value = ""] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    expect(name, line).not.toBe("");
    const sorted = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([pair]) => pair).sort();
    figures.set(sorted.length === 0 ? name : `${name}{${sorted.join(",")}}`, Number(value));
  }
  return figures;
}

const figuresOf = async (response: Response) => {
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
  expect(response.headers.get("cache-control")).toBe("no-store");
  return readFigures(await response.text());
};

describe("who may read them", () => {
  const token = "a-token-of-the-operator";
  const folder = mkdtempSync(join(tmpdir(), "arouter-metrics-"));
  const keys = { live: "", test: "", management: "" };
  let parts: Parts;
  let app: ReturnType<typeof createApp>;
  beforeAll(async () => {
    parts = await openParts(readConfig({ AROUTER_DATA: folder, AROUTER_METRICS_TOKEN: token }), {
      logger: createLogger("silent"),
    });
    for (const kind of ["live", "test", "management"] as const) {
      keys[kind] = (await createKey(parts.database, { name: kind, kind, expiresAt: null }, "test", parts)).secret;
    }
    app = createApp({ ...parts, links: createLinks(["secret"]), version: "1", isDraining: () => false });
  });
  afterAll(async () => {
    await parts.close();
    rmSync(folder, { recursive: true });
  });

  const ask = (address: string | null, headers: Record<string, string> = {}, url = "http://127.0.0.1:8787/metrics") =>
    app.fetch(new Request(url, { headers }), { keepOpen: () => {}, address: () => address });
  const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });

  test.each(["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])("anybody on this machine: %s", async (address) => {
    await figuresOf(await ask(address));
    await figuresOf(await ask(address, {}, "http://localhost:8787/metrics"));
    await figuresOf(await ask(address, {}, "http://[::1]:8787/metrics"));
  });

  test.each(["10.0.0.7", "203.0.113.9", "::ffff:10.0.0.7", "2001:db8::1", "1127.0.0.1", "127.0.0.1.example", null])(
    "nobody from elsewhere without a credential: %s",
    async (address) => {
      const { error } = await expectError(await ask(address), "invalid_api_key");
      expect(error.message).not.toContain(token);
    },
  );

  test.each(["forwarded", "via", "x-forwarded-for", "X-Forwarded-Host", "x-forwarded-proto", "x-real-ip"])(
    "what a proxy on this machine passes on is from elsewhere: %s",
    async (name) => {
      await expectError(await ask("127.0.0.1", { [name]: "127.0.0.1" }), "invalid_api_key");
      await figuresOf(await ask("127.0.0.1", { [name]: "127.0.0.1", ...bearer(token) }));
    },
  );

  test("a page of another site whose name leads here is from elsewhere", async () => {
    for (const host of ["rebinding.example", "127.0.0.1.example", "images.example:8787"]) {
      await expectError(await ask("127.0.0.1", {}, `http://${host}/metrics`), "invalid_api_key");
    }
  });

  test("from elsewhere the operator's token or a management key opens them, and nothing else", async () => {
    const there = "203.0.113.9";
    for (const secret of [token, keys.management]) await figuresOf(await ask(there, bearer(secret)));
    await figuresOf(await ask(there, { "x-api-key": keys.management }));
    for (const wrong of [`${token}x`, token.slice(1), "lr_mgmt_0", "-"]) {
      await expectError(await ask(there, bearer(wrong)), "invalid_api_key");
    }
    // As everywhere else: the key is good, only not for this.
    for (const secret of [keys.live, keys.test]) await expectError(await ask(there, bearer(secret)), "wrong_key_type");
    const posted = new Request("http://127.0.0.1/metrics", { method: "POST" });
    const answer = await app.fetch(posted, { keepOpen: () => {}, address: () => "127.0.0.1" });
    await expectError(answer, "method_not_allowed");
  });

  test("no token is set: an empty one opens nothing", async () => {
    const without = { ...parts, config: { ...parts.config, metricsToken: undefined } };
    app = createApp({ ...without, links: createLinks(["secret"]), version: "1", isDraining: () => false });
    for (const headers of [{}, bearer(""), bearer("undefined"), bearer(token)]) {
      await expectError(await ask("203.0.113.9", headers), "invalid_api_key");
    }
    await figuresOf(await ask("203.0.113.9", bearer(keys.management)));
  });
});

describe("the port", () => {
  const credential = { provider: "openai", credential: "0f0f0f0f", running: 2, waiting: 5, parked: null, routes: [] };
  const watchedOf = (changes: Partial<Watched> = {}): Watched => ({
    version: "9.9.9",
    clock: { now: () => 1_000_000, sleep: () => Promise.resolve() },
    credentials: () => [credential],
    generationsRunning: () => 3,
    heldNanos: () => Promise.resolve(1_500_000_000n),
    webhooksPending: () => Promise.resolve(4),
    ...changes,
  });
  const read = async (metrics: ReturnType<typeof createMetrics>) => readFigures((await metrics.read()).text);

  test("counts what it is told", async () => {
    const metrics = createMetrics(watchedOf());
    const request = { method: "POST", route: "/v1/images/generations", status: 429, code: "rate_limit_exceeded" };
    metrics.requestEnded({ ...request, durationMs: 30 });
    metrics.requestEnded({ ...request, durationMs: 30 });
    metrics.requestEnded({ ...request, method: "BREW", status: 200, code: null, durationMs: 1 });
    const ended = { model: "a/b", provider: "openai", operation: "edit", status: "succeeded", code: null };
    metrics.generationEnded({ ...ended, durationMs: 7_000, images: 3, costNanos: 120_000_000n });
    metrics.generationEnded({ ...ended, durationMs: 1_000, images: 1, costNanos: 40_000_000n });
    const route = { provider: "openai", model: "a/b" };
    metrics.attemptEnded({ ...route, outcome: "delivered", durationMs: 6_000, queuedMs: 2_000 });
    metrics.attemptEnded({ ...route, outcome: "quota", durationMs: 10, queuedMs: 0 });
    metrics.retried(route);
    metrics.fellBack({ fromProvider: "openai", toProvider: "azure", toModel: "a/b" });
    const [one, other] = [metrics.streamOpened(), metrics.streamOpened()];
    one();
    one();
    const figures = await read(metrics);
    const expected: Record<string, number> = {
      'arouter_http_requests_total{code="rate_limit_exceeded",method="POST",route="/v1/images/generations",status="429"}': 2,
      'arouter_http_requests_total{code="",method="other",route="/v1/images/generations",status="200"}': 1,
      'arouter_http_request_seconds_bucket{le="0.01",route="/v1/images/generations"}': 1,
      'arouter_http_request_seconds_bucket{le="0.05",route="/v1/images/generations"}': 3,
      'arouter_generations_total{code="",model="a/b",operation="edit",provider="openai",status="succeeded"}': 2,
      'arouter_generation_seconds_sum{model="a/b",provider="openai"}': 8,
      'arouter_images_total{model="a/b",provider="openai"}': 4,
      'arouter_upstream_attempts_total{model="a/b",outcome="delivered",provider="openai"}': 1,
      'arouter_upstream_attempts_total{model="a/b",outcome="quota",provider="openai"}': 1,
      'arouter_upstream_attempt_seconds_sum{model="a/b",provider="openai"}': 6.01,
      'arouter_upstream_queue_seconds_sum{provider="openai"}': 2,
      'arouter_retries_total{model="a/b",provider="openai"}': 1,
      'arouter_fallbacks_total{from_provider="openai",to_model="a/b",to_provider="azure"}': 1,
      arouter_streams_open: 1,
      arouter_generations_running: 3,
      arouter_held_usd: 1.5,
      arouter_webhooks_pending: 4,
      'arouter_build_info{version="9.9.9"}': 1,
      'arouter_credential_running{credential="0f0f0f0f",provider="openai"}': 2,
      'arouter_credential_waiting{credential="0f0f0f0f",provider="openai"}': 5,
    };
    for (const [name, value] of Object.entries(expected)) expect([name, figures.get(name)]).toEqual([name, value]);
    expect(figures.get('arouter_cost_usd_total{model="a/b",provider="openai"}')).toBeCloseTo(0.16, 9);
    other();
    expect((await read(metrics)).get("arouter_streams_open")).toBe(0);
  });

  test("looks states up when it is read; what is over is not shown", async () => {
    let now: ReturnType<Watched["credentials"]> = [
      {
        ...credential,
        credential: "",
        parked: { reason: "quota", untilMs: 1_090_000 },
        routes: [
          { model: "m", state: "open" },
          { model: "n", state: "closed" },
        ],
      },
    ];
    const metrics = createMetrics(watchedOf({ credentials: () => now }));
    const parked = 'arouter_credential_parked_seconds{credential="none",provider="openai",reason="quota"}';
    const breaker = (model: string, state: string) =>
      `arouter_breaker_state{credential="none",model="${model}",provider="openai",state="${state}"}`;
    const before = await read(metrics);
    expect([parked, breaker("m", "open"), breaker("n", "closed")].map((name) => before.get(name))).toEqual([90, 1, 1]);
    now = [{ ...credential, credential: "", routes: [{ model: "m", state: "half_open" }] }];
    const after = await read(metrics);
    expect([parked, breaker("m", "open"), breaker("n", "closed")].map((name) => after.has(name))).toEqual([
      false,
      false,
      false,
    ]);
    expect(after.get(breaker("m", "half_open"))).toBe(1);
  });

  test("a database that does not answer takes only its own figures away", async () => {
    const silent = { heldNanos: () => Promise.resolve(null), webhooksPending: () => Promise.resolve(null) };
    const figures = await read(createMetrics(watchedOf(silent)));
    expect(figures.has("arouter_held_usd")).toBe(false);
    expect(figures.has("arouter_webhooks_pending")).toBe(false);
    expect(figures.get("arouter_generations_running")).toBe(3);
  });

  test("the process itself: memory and the event loop's lag", async () => {
    const metrics = createMetrics(watchedOf());
    const begun = performance.now();
    await Bun.sleep(20);
    while (performance.now() - begun < 250) {}
    await Bun.sleep(20);
    const figures = await read(metrics);
    expect(figures.get("process_resident_memory_bytes")).toBeGreaterThan(10_000_000);
    expect(figures.get("nodejs_eventloop_lag_max_seconds")).toBeGreaterThan(0.15);
    const hollow = [...figures.keys()].filter((name) => /heap_space|nodejs_active/.test(name));
    expect(hollow).toEqual([]);
  });
});

describe("of a running router", () => {
  let router: TestRouter;
  let upstreams: Upstreams;
  beforeAll(async () => {
    upstreams = startUpstreams();
    router = await startRouter({ env: { ...upstreams.env, AROUTER_UPSTREAM_RETRIES: "1" } });
  });
  afterAll(async () => {
    await router.remove();
    await upstreams.stop();
  });

  const look = async () => figuresOf(await fetch(`${router.url}/metrics`));
  const secret = "canary-in-the-prompt";

  test("from loopback without a credential; what a proxy passes on needs one", async () => {
    await look();
    const proxied = { "x-forwarded-for": "203.0.113.9" };
    await expectError(await fetch(`${router.url}/metrics`, { headers: proxied }), "invalid_api_key");
    const management = { authorization: `Bearer ${router.keys.management}` };
    await figuresOf(await fetch(`${router.url}/metrics`, { headers: { ...proxied, ...management } }));
  });

  test("generations, calls, images, money and requests are counted as they end", async () => {
    const body = { model: dallE2, prompt: `a lighthouse ${secret}`, size: "256x256", n: 2 };
    await imagesOf(await router.generate(body));
    await imagesOf(await router.generate(body, { key: router.keys.test }));
    const refused = { ...body, prompt: `${body.prompt} [[refuse]]` };
    await expectError(await router.generate(refused, { key: router.keys.test }), "content_policy_violation");
    await expectError(await router.generate({ ...body, size: secret }), "invalid_value");
    await expectError(await router.get(`/v1/${secret}`), "not_found");
    const figures = await look();
    const generation = (provider: string, status: string, code: string) =>
      `arouter_generations_total{code="${code}",model="${dallE2}",operation="generate",provider="${provider}",status="${status}"}`;
    const of = (provider: string) => `{model="${dallE2}",provider="${provider}"}`;
    // Of an upstream, the model is what the upstream calls it.
    const calls = (outcome: string, provider: string, model = dallE2) =>
      `arouter_upstream_attempts_total{model="${model}",outcome="${outcome}",provider="${provider}"}`;
    const requests = (route: string, status: number, code: string, method = "POST") =>
      `arouter_http_requests_total{code="${code}",method="${method}",route="${route}",status="${status}"}`;
    const expected: Record<string, number> = {
      [generation("openai", "succeeded", "")]: 1,
      [generation("sandbox", "succeeded", "")]: 1,
      [generation("sandbox", "failed", "content_policy_violation")]: 1,
      [`arouter_images_total${of("openai")}`]: 2,
      [`arouter_images_total${of("sandbox")}`]: 2,
      // The founding page's price of the smallest size, twice.
      [`arouter_cost_usd_total${of("openai")}`]: 0.032,
      [`arouter_cost_usd_total${of("sandbox")}`]: 0,
      [`arouter_generation_seconds_count${of("openai")}`]: 1,
      [calls("delivered", "openai", "dall-e-2")]: 1,
      [calls("delivered", "sandbox")]: 2,
      [calls("refused", "sandbox")]: 2,
      [requests("/v1/images/generations", 200, "")]: 2,
      [requests("/v1/images/generations", 400, "content_policy_violation")]: 1,
      [requests("/v1/images/generations", 400, "invalid_value")]: 1,
      [requests("/*", 404, "not_found", "GET")]: 1,
      arouter_generations_running: 0,
      arouter_held_usd: 0,
    };
    for (const [name, value] of Object.entries(expected)) {
      expect({ name, value: figures.get(name)?.toFixed(9) }).toEqual({ name, value: value.toFixed(9) });
    }
  });

  test("a retry is counted, and a credential that is out of money is shown as parked", async () => {
    upstreams.openai.next({ kind: "answer", status: 500, body: { error: { message: "oops", type: "server_error" } } });
    await imagesOf(await router.generate({ model: dallE2, prompt: secret, size: "256x256" }));
    const out = { error: { message: "no money", type: "insufficient_quota", code: "insufficient_quota" } };
    upstreams.openai.next({ kind: "answer", status: 429, body: out });
    await expectError(
      await router.generate({ model: dallE2, prompt: secret, size: "256x256" }),
      "provider_quota_exhausted",
    );
    const figures = await look();
    expect(figures.get('arouter_retries_total{model="dall-e-2",provider="openai"}')).toBe(1);
    const named = (start: string) => [...figures].filter(([name]) => name.startsWith(start));
    const [[name, left] = ["", 0]] = named("arouter_credential_parked_seconds{");
    expect(name).toMatch(/^\w+\{credential="[0-9a-f]{8}",provider="openai",reason="quota"\}$/);
    expect(left).toBeWithin(200, 301);
    expect(named("arouter_breaker_state{").map(([state]) => state)).toContainEqual(
      expect.stringMatching(/model="dall-e-2",provider="openai",state="closed"\}$/),
    );
  });

  test("neither keys nor a client's words are in it", async () => {
    const text = await (await fetch(`${router.url}/metrics`)).text();
    const secrets = [...Object.values(router.keys), "lr_", secret, upstreams.openai.key, upstreams.stability.key];
    for (const canary of secrets) expect(text).not.toContain(canary);
    expect(text).toContain("arouter_upstream_attempts_total{");
  });
});
