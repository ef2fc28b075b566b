/** Which failures lead to another route, and what every upstream was called for and bills. */
import { afterEach, describe, expect, test } from "bun:test";
import type { Fault } from "../doubles/faults.ts";
import { openAiFault } from "../doubles/openai.ts";
import { type Routing, startRouting } from "./support.ts";

let routing: Routing;
afterEach(() => routing.stop());

const inOrder = { model: "test/three-routes", provider: { order: ["openai", "stability", "replicate"] } };
const ask = (more: Record<string, unknown> = {}) => routing.router.generate({ ...inOrder, prompt: "a cup", ...more });
const status = (code: number, body: unknown = { error: { message: "no", type: "server_error" } }): Fault => ({
  kind: "answer",
  status: code,
  body,
});
const refusal = status(400, { error: { message: "no", code: "content_policy_violation" } });

describe("another route is tried where nothing billable can exist", () => {
  test.each<[string, Fault]>([
    ["500", status(500)],
    ["503", status(503)],
    ["an HTML 502", { kind: "htmlBadGateway" }],
    ["429", openAiFault("rate_limit_exceeded")],
    ["no quota", openAiFault("insufficient_quota")],
    ["a spending limit as 400", openAiFault("billing_hard_limit_reached")],
    ["a key that is not accepted", status(401, { error: { message: "no", code: "invalid_api_key" } })],
    ["a model that is gone", status(400, { error: { message: "no", code: "invalid_value", param: "model" } })],
  ])("%s", async (_name, fault) => {
    routing = await startRouting();
    routing.openai.always(fault);
    const answer = await ask();
    expect(answer.status).toBe(200);
    expect(answer.headers.get("x-arouter-provider")).toBe("stability");
    expect(answer.headers.get("x-arouter-model")).toBe("test/three-routes");
    expect(answer.headers.get("x-arouter-cost-usd")).toBe("0.03");
    expect(routing.calls()).toEqual([1, 1, 0]);
    expect(routing.billed()).toEqual([0, 1, 0]);
    const generation = await routing.generation(answer);
    expect(generation).toMatchObject({
      status: "succeeded",
      provider: "stability",
      cost_usd: 0.03,
      attempts: [
        { provider: "openai", status: "failed" },
        { provider: "stability", status: "succeeded", error: null },
      ],
    });
    expect(generation.price_rule).toContain("@stability");
  });

  test("a provider that is not there", async () => {
    routing = await startRouting({ env: { OPENAI_BASE_URL: "http://127.0.0.1:9/v1" } });
    const answer = await ask();
    expect([answer.status, answer.headers.get("x-arouter-provider")]).toEqual([200, "stability"]);
    expect((await routing.generation(answer)).attempts[0]?.error?.class).toBe("unreachable");
  });

  test("down to the last one, whose error is the answer when it fails as well", async () => {
    routing = await startRouting();
    routing.openai.always(status(500));
    routing.stability.always(status(500));
    const third = await ask();
    expect([third.status, third.headers.get("x-arouter-provider")]).toEqual([200, "replicate"]);
    routing.replicate.always(status(401, { title: "Unauthenticated", detail: "no", status: 401 }));
    const none = await ask();
    expect([none.status, ((await none.json()) as { code: string }).code]).toEqual([502, "provider_auth_failed"]);
    expect(none.headers.get("x-arouter-provider")).toBe("replicate");
    expect(none.headers.get("x-arouter-cost-usd")).toBe("0");
    expect(routing.billed()).toEqual([0, 0, 1]);
  });

  test("the hold covers the dearest candidate, and what is left of it goes back", async () => {
    routing = await startRouting();
    expect((await ask()).headers.get("x-arouter-cost-usd")).toBe("0.02");
    const movements = routing.sql<{ kind: string; amount_nanos: number; provider: string }>(
      "select kind, amount_nanos, provider from movements order by rowid",
    );
    expect(movements.map(({ kind, amount_nanos }) => [kind, amount_nanos])).toEqual([
      ["hold", 50_000_000],
      ["charge", 20_000_000],
      ["release", 30_000_000],
    ]);
  });
});

describe("no other route is tried", () => {
  test.each<[string, Fault, number, string]>([
    ["a refusal", refusal, 400, "content_policy_violation"],
    [
      "a rejected parameter",
      status(400, { error: { message: "no", code: "invalid_value", param: "size" } }),
      400,
      "invalid_value",
    ],
    ["a cut connection", { kind: "cut" }, 502, "upstream_outcome_unknown"],
    ["a truncated body", { kind: "truncate" }, 502, "upstream_outcome_unknown"],
    ["half of the JSON under an honest length", { kind: "malformed" }, 502, "provider_contract_changed"],
    ["no picture", { kind: "emptyData" }, 502, "upstream_error"],
  ])("after %s", async (_name, fault, httpStatus, code) => {
    routing = await startRouting();
    routing.openai.always(fault);
    const answer = await ask();
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([httpStatus, code]);
    expect(routing.calls()).toEqual([1, 0, 0]);
    expect(answer.headers.get("x-arouter-cost-usd")).toBe("0");
  });

  test("after the whole life of an attempt", async () => {
    routing = await startRouting({ env: { AROUTER_UPSTREAM_TIMEOUT_MS: "300" } });
    routing.openai.always({ kind: "hang" });
    const answer = await ask();
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([504, "upstream_timeout"]);
    expect(routing.calls()).toEqual([1, 0, 0]);
  });

  test("where the client says so", async () => {
    routing = await startRouting();
    routing.openai.always(status(500));
    const answer = await ask({ provider: { ...inOrder.provider, allow_fallbacks: false } });
    expect([answer.status, answer.headers.get("x-arouter-provider")]).toEqual([502, "openai"]);
    expect(routing.calls()).toEqual([1, 0, 0]);
  });

  test("once a part has been delivered", async () => {
    routing = await startRouting();
    // Four calls at Stability, of which two fail.
    routing.stability.next(status(500), { times: 2 });
    const answer = await ask({ n: 4, provider: { order: ["stability", "openai", "replicate"] } });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("x-arouter-warnings")).toBe("short_delivery");
    expect(((await answer.json()) as { data: unknown[] }).data).toHaveLength(2);
    expect(routing.calls()).toEqual([0, 4, 0]);
    expect(answer.headers.get("x-arouter-cost-usd")).toBe("0.06");
  });
});

describe("after a refusal", () => {
  test("another route is tried only where the client opted in", async () => {
    routing = await startRouting();
    routing.openai.always(refusal);
    const provider = { ...inOrder.provider, fallback_on_refusal: true };
    const answer = await ask({ provider });
    expect([answer.status, answer.headers.get("x-arouter-provider")]).toEqual([200, "stability"]);
    expect(routing.calls()).toEqual([1, 1, 0]);
    expect(routing.billed()).toEqual([0, 1, 0]);
  });
});

describe("several models", () => {
  test("are tried in the client's order, and the one that answers is named and billed", async () => {
    routing = await startRouting();
    routing.openai.always(status(500));
    const answer = await routing.router.generate({
      model: "openai/dall-e-2",
      models: ["dall-e-3", "stability/stable-diffusion-3-large"],
      route: "fallback",
      prompt: "a cup",
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("x-arouter-model")).toBe("stability/stable-diffusion-3-large");
    expect(answer.headers.get("x-arouter-cost-usd")).toBe("0.065");
    expect(routing.calls()).toEqual([2, 1, 0]);
    const generation = await routing.generation(answer);
    expect(generation.attempts.map(({ provider }) => provider)).toEqual(["openai", "openai", "stability"]);
    expect(routing.sql("select model, provider from movements where kind = 'charge'")).toEqual([
      { model: "stability/stable-diffusion-3-large", provider: "stability" },
    ]);
  });

  test("may come without `model`; one that cannot honour the request is skipped", async () => {
    routing = await startRouting();
    const body = { models: ["openai/dall-e-3", "openai/dall-e-2"], prompt: "a cup", n: 2, size: "256x256" };
    const answer = await routing.router.generate(body);
    expect([answer.status, answer.headers.get("x-arouter-model")]).toEqual([200, "openai/dall-e-2"]);
  });

  test("where none can, the first one's objection is the answer; an unknown name is always one", async () => {
    routing = await startRouting();
    const ask = (models: string[]) => routing.router.generate({ models, prompt: "a cup", size: "1x1" });
    const refused = (await (await ask(["openai/dall-e-3", "openai/dall-e-2"])).json()) as {
      error: { message: string };
    };
    expect(refused.error.message).toContain("1792x1024");
    const unknown = await ask(["openai/dall-e-3", "nobody/nothing"]);
    expect([unknown.status, ((await unknown.json()) as { code: string }).code]).toEqual([404, "model_not_found"]);
    expect(routing.calls()).toEqual([0, 0, 0]);
  });

  test("the first one's default of response_format holds for all", async () => {
    routing = await startRouting();
    routing.openai.always(status(500));
    const models = ["openai/gpt-image-2", "stability/stable-diffusion-3-large"];
    const answer = await routing.router.generate({ models, prompt: "a cup" });
    expect(answer.headers.get("x-arouter-model")).toBe("stability/stable-diffusion-3-large");
    expect(Object.keys(((await answer.json()) as { data: object[] }).data[0] ?? {})).toEqual(["b64_json"]);
  });
});

describe("the sandbox", () => {
  test("answers for every candidate of a test key, and nobody is called", async () => {
    routing = await startRouting();
    const answer = await routing.router.generate({ ...inOrder, prompt: "a cup" }, { key: routing.router.keys.test });
    expect([answer.status, answer.headers.get("x-arouter-provider")]).toEqual([200, "sandbox"]);
    expect(routing.calls()).toEqual([0, 0, 0]);
  });
});
