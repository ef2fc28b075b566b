/** Failures after which nothing is called again, however often the operator allows it. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { sql } from "kysely";
import type { Parts } from "../../src/parts.ts";
import type { Fault } from "../doubles/faults.ts";
import { failure } from "./keyed-upstream.ts";
import { withoutJitter } from "./short-pauses.ts";
import { type Routing, startRouting } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

let routing: Routing;
afterEach(() => routing.stop());

interface Recorded {
  attempts: Array<{ round: number; status: string; error: { class: string } | null }>;
}

const twice = { AROUTER_UPSTREAM_RETRIES: "2" };
const on = (provider: string, more: Record<string, unknown> = {}) =>
  routing.router.generate({ model: "test/three-routes", prompt: "a cup", provider: { only: [provider] }, ...more });
const recordOf = async (answer: Response) => (await routing.generation(answer)) as unknown as Recorded;
const roundsOf = ({ attempts }: Recorded) => attempts.map(({ round, status }) => `${round} ${status}`);
const codeOf = async (answer: Response) => ((await answer.json()) as { code?: string }).code;
const status = (code: number, headers: Record<string, string> = {}): Fault => ({
  kind: "answer",
  status: code,
  body: { error: { message: "no", type: "server_error" } },
  headers,
});

const quick = { env: twice, opened: withoutJitter };

describe("a call is not made again", () => {
  test.each<[string, Fault, number, string]>([
    ["a cut connection", { kind: "cut" }, 502, "upstream_outcome_unknown"],
    ["a truncated body", { kind: "truncate" }, 502, "upstream_outcome_unknown"],
    ["half of the JSON under an honest length", { kind: "malformed" }, 502, "provider_contract_changed"],
    ["a good answer without a picture", { kind: "emptyData" }, 502, "upstream_error"],
    ["something that is no JSON", { kind: "text" }, 502, "provider_contract_changed"],
    [
      "a refusal",
      { kind: "answer", status: 400, body: { error: { message: "no", code: "content_policy_violation" } } },
      400,
      "content_policy_violation",
    ],
    [
      "a rejected parameter",
      { kind: "answer", status: 400, body: { error: { message: "no", code: "invalid_value", param: "size" } } },
      400,
      "invalid_value",
    ],
    ["a credential that is not accepted", { kind: "answer", ...failure(401) }, 502, "provider_auth_failed"],
    ["an empty account", { kind: "answer", ...failure(402) }, 503, "provider_quota_exhausted"],
    [
      "a model that is not there",
      { kind: "answer", status: 404, body: { error: { message: "no", code: "model_not_found" } } },
      404,
      "model_unavailable",
    ],
  ])("after %s", async (_name, fault, httpStatus, code) => {
    routing = await startRouting(quick);
    routing.openai.always(fault);
    const answer = await on("openai");
    expect([answer.status, await codeOf(answer)]).toEqual([httpStatus, code]);
    expect(routing.calls()).toEqual([1, 0, 0]);
    expect(answer.headers.get("x-arouter-cost-usd")).toBe("0");
  });

  test("after the whole life of an attempt", async () => {
    routing = await startRouting({ ...quick, env: { ...twice, AROUTER_UPSTREAM_TIMEOUT_MS: "300" } });
    routing.openai.always({ kind: "hang" });
    const answer = await on("openai");
    expect([answer.status, await codeOf(answer)]).toEqual([504, "upstream_timeout"]);
    expect(routing.calls()).toEqual([1, 0, 0]);
  });

  test("when what failed took as long as one attempt may", async () => {
    routing = await startRouting(quick);
    routing.openai.latencyMs = 200;
    routing.openai.always(status(500));
    const asked = on("openai");
    await routing.openai.arrived();
    routing.router.advance(300_000);
    const answer = await asked;
    expect([answer.status, await codeOf(answer)]).toEqual([502, "upstream_error"]);
    expect(routing.calls()).toEqual([1, 0, 0]);
  });

  test("in a fan-out for what may have been billed, while its sibling is", async () => {
    routing = await startRouting(quick);
    routing.stability.next({ kind: "cut" });
    routing.stability.next(status(500));
    const answer = await on("stability", { n: 2 });
    expect([answer.status, answer.headers.get("x-arouter-warnings")]).toEqual([200, "short_delivery"]);
    const { attempts } = await recordOf(answer);
    expect(attempts.map(({ error }) => error?.class ?? null).sort()).toEqual([
      null,
      "outcome_unknown",
      "upstream_error",
    ]);
  });

  test("when the database cannot take it: the end is truthful and nothing is held", async () => {
    let parts: Parts | undefined;
    routing = await startRouting({
      env: twice,
      opened: (opened) => {
        parts = opened;
        withoutJitter(opened);
      },
    });
    const { database } = parts as unknown as Parts;
    const readOnly = (isOn: boolean) => sql.raw(`PRAGMA query_only = ${isOn ? "ON" : "OFF"}`).execute(database);
    routing.openai.latencyMs = 300;
    routing.openai.next(status(500));
    const asked = on("openai");
    await routing.openai.arrived();
    await readOnly(true);
    await Bun.sleep(700);
    await readOnly(false);
    const answer = await asked;
    // The second call would have been good: it was not made, for it was not on record.
    expect([answer.status, await codeOf(answer), answer.headers.get("x-should-retry")]).toEqual([
      502,
      "upstream_error",
      "true",
    ]);
    expect(routing.calls()).toEqual([1, 0, 0]);
    expect(roundsOf(await recordOf(answer))).toEqual(["0 failed"]);
    expect(routing.sql("select kind from movements order by rowid")).toEqual([{ kind: "hold" }, { kind: "release" }]);
    routing.openai.latencyMs = 0;
    expect((await on("openai")).status).toBe(200);
  });
});
