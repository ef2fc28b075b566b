/** What the OpenAPI description says of answers, held against real ones. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer } from "node:http";
import { startRouter, type TestRouter } from "../router.ts";
import { readEvents } from "./events.ts";
import { escaped, made, operations, undescribed, validator } from "./openapi-document.ts";

/** Of an answer's headers, those that have to be described; the others are HTTP's own. */
const documentedHeaders =
  /^(x-(request|should|arouter|ratelimit)|retry|deprecation|sunset|link|location|preference|etag|content-range|accept-ranges)/;

describe("real answers", () => {
  let router: TestRouter;
  const exercised = new Set<string>();
  beforeAll(async () => {
    router = await startRouter({ env: { AROUTER_UPSTREAM_TIMEOUT_MS: "1500" } });
  });
  afterAll(() => router.remove());

  /** Calls a path and holds the answer against what its operation says. @returns the parsed body, when it is JSON */
  async function call(
    method: string,
    template: string,
    status: number,
    init: Init = {},
  ): Promise<Record<string, unknown>> {
    const { key = router.keys.test, headers = {}, body, at = template } = init;
    const response = await fetch(router.url + at, {
      method,
      redirect: "manual",
      headers: { ...(key === "" ? {} : { authorization: `Bearer ${key}` }), ...headers },
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" || body instanceof FormData ? body : JSON.stringify(body) }),
    });
    const operation = operations(made).find((one) => one.method === method && one.path === template)?.operation;
    exercised.add(operation?.operationId ?? "");
    const answer = operation?.responses[status];
    expect({ at, status: response.status, described: answer !== undefined }).toEqual({ at, status, described: true });
    for (const name of response.headers.keys()) {
      if (documentedHeaders.test(name)) expect(Object.keys(answer?.headers ?? {})).toContain(name);
    }
    expect(response.headers.get("x-request-id")).toMatch(/^req-/);
    if (answer?.headers?.["x-should-retry"] !== undefined)
      expect(response.headers.get("x-should-retry")).toMatch(/^(true|false)$/);
    const type = response.headers.get("content-type")?.split(";")[0] ?? "";
    if (type === "text/event-stream") {
      await checkEvents(at, response);
      return {};
    }
    const text = await response.text();
    if (text !== "") expect(Object.keys(answer?.content ?? {})).toContain(type);
    if (type !== "application/json") return {};
    const validate = validator(
      `/paths/${escaped(template)}/${method.toLowerCase()}/responses/${status}/content/${escaped(type)}/schema`,
    );
    const value = JSON.parse(text);
    expect({ at, valid: validate(value), errors: validate.errors ?? [] }).toEqual({ at, valid: true, errors: [] });
    expect({ at, undescribed: undescribed(answer?.content?.[type]?.schema ?? {}, value) }).toEqual({
      at,
      undescribed: [],
    });
    return value;
  }
  /** Every event has the fields of its kind. */
  async function checkEvents(at: string, response: Response): Promise<void> {
    const { events } = await readEvents(response);
    expect(events.length).toBeGreaterThan(0);
    for (const { name, data } of events) {
      const kind = name === "error" ? "ErrorEvent" : /completed$/.test(name) ? "CompletedEvent" : "PartialImageEvent";
      const validate = validator(`/components/schemas/${kind}`);
      expect({ at, name, valid: validate(data), errors: validate.errors ?? [] }).toEqual({
        ...{ at, name, valid: true, errors: [] },
      });
      expect(undescribed({ $ref: `#/components/schemas/${kind}` }, data)).toEqual([]);
      expect(data.type).toBe(name);
    }
  }
  interface Init {
    key?: string;
    headers?: Record<string, string>;
    body?: unknown;
    /** The path really called. */
    at?: string;
  }

  const images = "/v1/images/generations";
  const cat = (prompt = "a cat", more = {}) => ({ model: "openai/dall-e-2", size: "256x256", prompt, ...more });

  test("to a generation that succeeds", async () => {
    await call("POST", images, 200, { body: cat() });
    await call("POST", images, 200, { body: cat("two", { n: 2, response_format: "b64_json" }) });
    await call("POST", images, 200, { body: cat(), headers: { accept: "image/*" } });
    await call("POST", images, 200, { body: cat("a cat [[short]]", { n: 2 }) });
  });

  test("to a generation that fails", async () => {
    await call("POST", images, 400, { body: cat("[[refuse]]") });
    await call("POST", images, 429, { body: cat("[[rate_limit]]") });
    await call("POST", images, 502, { body: cat("[[error]]") });
    await call("POST", images, 504, { body: cat("[[timeout]]") });
    await call("POST", images, 503, { body: cat(), key: router.keys.live });
    await call("POST", images, 403, { body: cat(), key: router.keys.management });
    await call("POST", images, 401, { body: cat(), key: "" });
    await call("POST", images, 404, { body: cat("x", { model: "no/such-model" }) });
    await call("POST", images, 400, { body: cat("x", { unheard_of: 1 }) });
    await call("POST", images, 400, { body: "{" });
    await call("POST", images, 415, { body: "x", headers: { "content-type": "text/plain" } });
    await call("POST", images, 413, { body: `"${"x".repeat(10 << 20)}"` });
  });

  test("in an event stream", async () => {
    const gpt = { model: "openai/gpt-image-2", size: "1024x1024", stream: true };
    await call("POST", images, 200, { body: { ...gpt, prompt: "a cat", partial_images: 2 } });
    await call("POST", images, 200, { body: cat("a cat", { stream: true }) });
    await call("POST", images, 200, { body: { ...gpt, prompt: "a cat [[error]]", partial_images: 1 } });
    await call("POST", images, 400, { body: { ...gpt, prompt: "a cat", n: 2 } });
  });

  test("to come back to", async () => {
    const later = { prefer: "respond-async" };
    const running = await call("POST", images, 202, { body: cat("a cat [[slow:1]]"), headers: later });
    expect(running).toMatchObject({ object: "image.generation", status: "running", operation: "generate" });
    await call("GET", `${images}/{id}`, 200, { at: `${images}/${running.id}` });
    await call("POST", images, 400, { body: cat("a cat", { stream: true }), headers: later });
  });

  test("to edits, and to what is left of variations", async () => {
    const edits = "/v1/images/edits";
    const picture = await router.generate(cat("a cat", { response_format: "b64_json" }), { key: router.keys.test });
    const base64 = ((await picture.json()) as { data: [{ b64_json: string }] }).data[0].b64_json;
    const file = new Blob([Buffer.from(base64, "base64")], { type: "image/png" });
    const form = (fields: Record<string, string | Blob>) => {
      const data = new FormData();
      for (const [name, value] of Object.entries({ model: "gpt-image-2", prompt: "a hat", ...fields }))
        data.append(name, value);
      return data;
    };
    const images = [{ image_url: `data:image/png;base64,${base64}` }];
    const json = { model: "gpt-image-2", prompt: "a hat", images };
    const headers = { "content-type": "application/json" };
    await call("POST", edits, 200, { body: form({ image: file }) });
    await call("POST", edits, 200, { body: form({ image: file, stream: "true", partial_images: "1" }) });
    await call("POST", edits, 200, { body: form({ image: file }), headers: { accept: "image/*" } });
    await call("POST", edits, 200, { body: { ...json, response_format: "url" }, headers });
    const accepted = await call("POST", edits, 202, { body: json, headers: { ...headers, prefer: "respond-async" } });
    expect(accepted).toMatchObject({ operation: "edit" });
    await call("POST", edits, 400, { body: form({ image: new Blob(["no picture"]) }) });
    await call("POST", edits, 400, { body: form({}) });
    await call("POST", edits, 400, { body: { ...json, images: [] }, headers });
    await call("POST", edits, 400, { body: { ...json, model: "dall-e-3" }, headers });
    await call("POST", edits, 401, { body: json, headers, key: "" });
    await call("POST", edits, 415, { body: "x", headers: { "content-type": "text/plain" } });
    const variations = "/v1/images/variations";
    await call("POST", variations, 404, { body: form({ image: file }) });
    await call("POST", variations, 401, { key: "" });
  });

  test("to a quote", async () => {
    const quote = "/v1/images/quote";
    await call("POST", quote, 200, { body: cat() });
    const asked = { body: { model: "gpt-image-2", prompt: "x", images: [{ image_url: "https://a.example/a.png" }] } };
    expect(await call("POST", quote, 200, asked)).toMatchObject({ operation: "edit", unseen_images: 1 });
    await call("POST", quote, 503, { body: cat(), key: router.keys.live });
    await call("POST", quote, 400, { body: cat("x", { unheard_of: 1 }) });
    await call("POST", quote, 403, { body: cat(), key: router.keys.management });
    await call("POST", quote, 404, { body: cat("x", { model: "no/such-model" }) });
  });

  test("about the providers", async () => {
    await router.generate(cat(), { key: router.keys.test });
    await call("GET", "/api/v1/providers", 200, { key: router.keys.management });
    await call("GET", "/api/v1/providers", 403);
    await call("GET", "/metrics", 200, { key: "" });
    await call("GET", "/metrics", 401, { key: "", headers: { "x-forwarded-for": "192.0.2.1" } });
  });

  test("about a generation and its file", async () => {
    const ok = await router.generate(cat(), { key: router.keys.test });
    const id = ok.headers.get("x-arouter-generation-id") ?? "";
    const made = (await ok.json()) as { data: [{ url: string }] };
    const url = new URL(made.data[0].url);
    const failed = await router.generate(cat("[[refuse]]"), { key: router.keys.test });
    const failedId = failed.headers.get("x-arouter-generation-id") ?? "";
    const [one, flat, file] = [`${images}/{id}`, "/api/v1/generation", "/v1/images/files/{file}"];
    for (const known of [id, failedId]) {
      await call("GET", one, 200, { at: `${images}/${known}` });
      await call("GET", flat, 200, { at: `${flat}?id=${known}` });
    }
    await call("GET", one, 404, { at: `${images}/gen-none` });
    await call("GET", flat, 400);
    await call("GET", flat, 404, { at: `${flat}?id=gen-none` });
    await call("GET", flat, 401, { at: `${flat}?id=${id}`, key: "lr_test_nobody" });

    const link = url.pathname + url.search;
    await call("GET", file, 200, { at: link, key: "" });
    await call("HEAD", file, 200, { at: link, key: "" });
    await call("OPTIONS", file, 204, { at: link, key: "" });
    await call("GET", file, 206, { at: link, key: "", headers: { range: "bytes=0-9" } });
    await call("GET", file, 416, { at: link, key: "", headers: { range: "bytes=99999999-" } });
    await call("GET", file, 304, { at: link, key: "", headers: { "if-none-match": "*" } });
    await call("GET", file, 403, { at: `${url.pathname}?expires=1&signature=x`, key: "" });
    await call("DELETE", file, 404, { at: url.pathname, key: router.keys.live });
    await call("DELETE", file, 200, { at: url.pathname });
    await call("GET", file, 410, { at: link, key: "" });
    await call("DELETE", file, 410, { at: url.pathname });
    await call("GET", one, 200, { at: `${images}/${id}` });
  });

  test("to a repeat, and to a key at its limits", async () => {
    const repeat = { body: cat("again"), headers: { "idempotency-key": "one" } };
    await call("POST", images, 200, repeat);
    await call("POST", images, 200, repeat);
    await call("POST", images, 409, { ...repeat, body: cat("another") });
    await call("POST", images, 400, { ...repeat, headers: { "idempotency-key": "" } });
    const make = async (more: object) => {
      const made = await call("POST", "/api/v1/keys", 201, {
        key: router.keys.management,
        body: { name: "k", ...more },
      });
      return String(made.key);
    };
    const one = await make({ type: "test", rate_limit: { requests_per_minute: 1 } });
    await call("POST", images, 200, { body: cat(), key: one });
    await call("POST", images, 429, { body: cat(), key: one });
    const other = await make({ type: "test", allowed_models: ["dall-e-3"] });
    await call("POST", images, 403, { body: cat(), key: other });
  });

  test("to a cancellation", async () => {
    const one = `${images}/{id}`;
    const slow = router.generate(cat("a cat [[slow:30]]"), { key: router.keys.test });
    let id = "";
    for (let tries = 0; id === "" && tries < 100; tries += 1) {
      const { data } = await call("GET", "/api/v1/generations", 200, { at: "/api/v1/generations?status=running" });
      id = (data as { id: string }[])[0]?.id ?? "";
    }
    const canceled = await call("DELETE", one, 200, { at: `${images}/${id}` });
    expect(canceled).toMatchObject({ id, status: "canceled", cost_usd: 0, data: [] });
    expect((await slow).status).toBe(410);
    await call("DELETE", one, 200, { at: `${images}/${id}` });
    await call("DELETE", one, 404, { at: `${images}/gen-none` });
    await call("DELETE", one, 401, { at: `${images}/${id}`, key: "" });
  });

  test("about keys", async () => {
    const [all, one] = ["/api/v1/keys", "/api/v1/keys/{hash}"];
    const key = router.keys.management;
    const limits = {
      limit: 5,
      limit_reset: "daily",
      rate_limit: { requests_per_day: 3 },
      allowed_models: ["dall-e-2"],
    };
    const body = { name: "shop", ...limits, expires_at: "2099-01-31T00:00:00Z", allowed_providers: ["openai"] };
    const { data, key: secret } = await call("POST", all, 201, { key, body });
    const at = `${all}/${(data as { hash: string }).hash}`;
    await call("POST", all, 400, { key, body: { name: "shop", limits: 5 } });
    await call("POST", all, 403, { body });
    await call("GET", all, 200, { key, at: `${all}?page_size=1&include_disabled=true` });
    await call("GET", all, 400, { key, at: `${all}?page_size=0` });
    await call("GET", all, 403);
    await call("GET", one, 200, { key, at });
    await call("GET", one, 404, { key, at: `${all}/none` });
    for (const path of ["/v1/key", "/api/v1/key"]) {
      await call("GET", path, 200, { key: String(secret) });
      await call("GET", path, 200);
      await call("GET", path, 401, { key: "" });
    }
    await call("PATCH", one, 200, { key, at, body: { disabled: true, limit: null } });
    await call("PATCH", one, 400, { key, at, body: {} });
    await call("PATCH", one, 415, { key, at, body: "x", headers: { "content-type": "text/plain" } });
    await call("GET", "/v1/key", 401, { key: String(secret) });
    await call("DELETE", one, 200, { key, at });
    await call("DELETE", one, 404, { key, at });
  });

  test("in reports", async () => {
    for (const path of ["/api/v1/generations", "/api/v1/transactions", "/api/usage/timeseries"]) {
      await call("GET", path, 200, { headers: { accept: "text/csv" } });
    }
    for (const path of ["/api/v1/generations", "/api/v1/transactions", "/api/usage/summary", "/api/usage/timeseries"]) {
      await call("GET", path, 200);
      await call("GET", path, 200, { key: router.keys.management });
      await call("GET", path, 400, { at: `${path}?start_time=yesterday` });
      await call("GET", path, 404, { at: `${path}?key_id=${"0".repeat(64)}` });
    }
    const { next_page_token: next } = await call("GET", "/api/v1/generations", 200, {
      at: "/api/v1/generations?limit=1",
    });
    expect(next).toBeString();
    const balance = "/api/v1/balance";
    for (const key of [router.keys.management, router.keys.test]) await call("GET", balance, 200, { key });
    await call("GET", balance, 400, { at: `${balance}?of=me` });
    await call("GET", balance, 401, { key: "" });
  });

  test("about models", async () => {
    const { data } = await call("GET", "/v1/models", 200);
    for (const { id } of data as Array<{ id: string }>) {
      await call("GET", "/v1/models/{author}/{slug}", 200, { at: `/v1/models/${id}` });
      await call("GET", "/v1/models/{author}/{slug}/endpoints", 200, { at: `/v1/models/${id}/endpoints` });
      await call("GET", "/v1/models/{id}", 200, { at: `/v1/models/${encodeURIComponent(id)}` });
    }
    await call("GET", "/v1/models/{author}/{slug}", 200, { at: "/v1/models/dall-e-3/endpoints" });
    await call("GET", "/v1/models", 400, { at: "/v1/models?output_modalities=smell" });
    await call("GET", "/v1/models/{author}/{slug}", 404, { at: "/v1/models/no/such-model" });
    await call("GET", "/v1/models/{author}/{slug}/endpoints", 401, {
      at: "/v1/models/openai/dall-e-3/endpoints",
      key: "",
    });
  });

  test("about the router itself, without a key", async () => {
    await call("GET", "/healthz", 200, { key: "" });
    await call("GET", "/readyz", 200, { key: "" });
    await call("GET", "/", 200, { key: "" });
    await call("GET", "/", 200, { key: "", headers: { accept: "text/html,*/*" } });
    await call("GET", "/docs", 200, { key: "" });
    expect(await call("GET", "/openapi.json", 200, { key: "" })).toMatchObject({ openapi: "3.1.0", paths: made.paths });
  });

  test("about webhooks", async () => {
    const [secret, rotate, deliveries] = ["secret", "secret/rotate", "deliveries"].map(
      (end) => `/api/v1/webhooks/${end}`,
    ) as [string, string, string];
    await call("GET", secret, 200);
    await call("GET", secret, 400, { key: router.keys.management });
    await call("GET", secret, 404, { at: `${secret}?key_hash=${"0".repeat(64)}` });
    await call("POST", rotate, 200);
    await call("POST", rotate, 400, { body: { key_hash: "x" }, headers: { "content-type": "application/json" } });
    await router.generate(cat("a cat", { webhook_url: "https://hooks.invalid/" }), { key: router.keys.test });
    await call("GET", deliveries, 200, { key: router.keys.management });
    await call("GET", deliveries, 400, { at: `${deliveries}?status=lost` });
    await call("GET", deliveries, 401, { key: "" });
  });

  test("are what a webhook's recipient gets", async () => {
    const events: unknown[] = [];
    const recipient = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        events.push(JSON.parse(Buffer.concat(chunks).toString("utf8")));
        response.writeHead(204).end();
      });
    });
    await new Promise<void>((resolve) => recipient.listen(0, "127.0.0.1", resolve));
    const { port } = recipient.address() as { port: number };
    const origin = `http://127.0.0.1:${port}`;
    const sender = await startRouter({ env: { AROUTER_WEBHOOK_ORIGINS: origin } });
    for (const prompt of ["a cat", "a cat [[refuse]]"]) {
      await sender.generate(cat(prompt, { webhook_url: `${origin}/events` }), { key: sender.keys.test });
    }
    for (let tries = 0; events.length < 2 && tries < 100; tries += 1) await Bun.sleep(50);
    await sender.remove();
    recipient.close();
    expect(events.length).toBe(2);
    const validate = validator("/components/schemas/WebhookEvent");
    for (const event of events) {
      expect({ valid: validate(event), errors: validate.errors ?? [] }).toEqual({ valid: true, errors: [] });
      expect(undescribed({ $ref: "#/components/schemas/WebhookEvent" }, event)).toEqual([]);
    }
  });

  test("were looked at for every operation", () => {
    expect([...exercised].sort()).toEqual(
      operations(made)
        .map(({ operation }) => operation.operationId)
        .sort(),
    );
  });
});
