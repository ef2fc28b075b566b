/** The OpenAPI description: a valid document, the registered routes and no others, real answers. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { readConfig } from "../../src/config.ts";
import { type ErrorCode, errorTable } from "../../src/errors.ts";
import { createApp } from "../../src/http/app.ts";
import { createLinks } from "../../src/images/links.ts";
import { createLogger } from "../../src/observe/log.ts";
import { openParts } from "../../src/parts.ts";
import { startRouter, type TestRouter } from "../router.ts";
import { escaped, made, operations, validator } from "./openapi-document.ts";

/** Of an answer's headers, those that have to be described; the others are HTTP's own. */
const documentedHeaders =
  /^(x-(request|should|arouter|ratelimit)|retry|deprecation|sunset|etag|content-range|accept-ranges)/;

describe("the document", () => {
  test("is valid OpenAPI 3.1", async () => {
    const { valid, errors } = await new Validator().validate(
      structuredClone(made) as unknown as Record<string, unknown>,
    );
    expect(errors ?? []).toEqual([]);
    expect(valid).toBe(true);
  });

  test("holds only schemas that compile", () => {
    for (const name of Object.keys(made.components.schemas)) {
      expect(() => validator(`/components/schemas/${escaped(name)}`)).not.toThrow();
    }
  });

  test("names every operation once, each with a summary and a tag that exists", () => {
    const ids = operations(made).map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    const tags = made.tags.map(({ name }) => name);
    for (const { operation } of operations(made)) {
      expect(operation.summary).not.toBe("");
      expect(operation.tags.every((tag) => tags.includes(tag))).toBe(true);
    }
  });

  test("declares the variables of every path", () => {
    for (const { path, operation } of operations(made)) {
      const declared = (operation.parameters ?? [])
        .filter((parameter) => parameter.in === "path")
        .map(({ name }) => name);
      expect(declared).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? ""));
    }
  });

  test("lists every error code, and each only under its own status", () => {
    expect(made.components.schemas.ErrorCode?.enum).toEqual(Object.keys(errorTable));
    expect(made["x-arouter-errors"]).toEqual(errorTable);
    for (const { operation } of operations(made)) {
      for (const [status, { description }] of Object.entries(operation.responses)) {
        if (!/^`\w+`(, `\w+`)*$/.test(description)) continue;
        for (const [, code] of description.matchAll(/`(\w+)`/g)) {
          expect(String(errorTable[code as ErrorCode].status)).toBe(status);
        }
      }
    }
  });

  test("describes every registered route and method, and nothing else", async () => {
    const folder = mkdtempSync(join(tmpdir(), "arouter-openapi-"));
    const parts = await openParts(readConfig({ AROUTER_DATA: folder }), { logger: createLogger("silent") });
    const app = createApp({ ...parts, links: createLinks(["secret"]), version: "1.2.3", isDraining: () => false });
    await parts.close();
    rmSync(folder, { recursive: true });
    const registered = app.routes
      .filter(({ method }) => method !== "ALL")
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
    // HEAD is answered through GET; where it is worth describing, there has to be a GET.
    const described = operations(made).map(({ method, path }) => `${method === "HEAD" ? "GET" : method} ${path}`);
    expect(registered.length).toBeGreaterThan(10);
    expect([...new Set(described)].sort()).toEqual([...new Set(registered)].sort());
  });
});

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
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
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
    const text = await response.text();
    if (text !== "") expect(Object.keys(answer?.content ?? {})).toContain(type);
    if (type !== "application/json") return {};
    const validate = validator(
      `/paths/${escaped(template)}/${method.toLowerCase()}/responses/${status}/content/${escaped(type)}/schema`,
    );
    const value = JSON.parse(text);
    expect({ at, valid: validate(value), errors: validate.errors ?? [] }).toEqual({ at, valid: true, errors: [] });
    return value;
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

  test("were looked at for every operation", () => {
    expect([...exercised].sort()).toEqual(
      operations(made)
        .map(({ operation }) => operation.operationId)
        .sort(),
    );
  });
});
