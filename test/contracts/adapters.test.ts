/** Every adapter against its golden fixtures, and against replies that nobody has documented. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { adapters } from "../../src/providers/index.ts";
import {
  type Adapter,
  type FailureClass,
  InlineImage,
  type ProviderJob,
  type Reply,
  type Step,
} from "../../src/providers/provider.ts";
import { safeText } from "../../src/providers/replies.ts";
import { freeze, load, matrix, type ReadFixture, withHandles } from "./fixtures.ts";

/** Those with a wire; the sandbox answers in this process and has tests of its own. */
const networkAdapters = adapters.filter((adapter) => adapter.settings !== null);
const baseUrlOf = (adapter: Adapter) => adapter.settings?.defaultBaseUrl ?? "";
const readFixtures = (adapter: Adapter) =>
  load(adapter).flatMap(({ fixture }) => ("reply" in fixture ? [fixture] : []));

for (const adapter of networkAdapters) {
  const fixtures = load(adapter);

  describe(`${adapter.id}: fixtures`, () => {
    for (const { file, fixture } of fixtures) {
      test(file, () => {
        if ("expectCall" in fixture) {
          const context = freeze({ baseUrl: baseUrlOf(adapter) });
          const call = adapter.submit(freeze(fixture.job), context);
          expect(call).toStrictEqual(fixture.expectCall);
          expect(adapter.submit(fixture.job, context)).toStrictEqual(call);
        } else if ("reply" in fixture) {
          const context = freeze({ baseUrl: fixture.baseUrl ?? baseUrlOf(adapter) });
          const step: unknown = adapter.read(freeze(fixture.reply), freeze(fixture.job), context);
          expect(step).toStrictEqual(fixture.expect);
          expect<unknown>(adapter.read(fixture.reply, fixture.job, context)).toStrictEqual(step);
        } else if ("transport" in fixture) {
          expect(["outcome_unknown", "timeout"]).toContain(fixture.expect.failure.class);
        } else {
          expect(fixture.not_applicable.length).toBeGreaterThan(10);
        }
      });
    }
  });

  describe(`${adapter.id}: matrix`, () => {
    test("every cell is filled or says why not", () => {
      const cells = fixtures.map(({ fixture }) => fixture.cell);
      expect(matrix.filter((cell) => !cells.includes(cell))).toEqual([]);
      const known: readonly (string | undefined)[] = [undefined, ...matrix];
      expect(cells.filter((cell) => !known.includes(cell))).toEqual([]);
    });

    test("every fixture is named after its file and says how far to trust it", () => {
      for (const { file, fixture } of fixtures) {
        expect(fixture.case).toBe(file);
        expect(fixture.source).toMatch(/^upstream-apis\.md §\d/);
        expect(["S", "M", "U"]).toContain(fixture.confidence);
      }
    });

    test("a cell's fixture shows what the cell is about", () => {
      const expectedClass: Record<string, FailureClass> = {
        refused: "refused",
        refused_output: "refused",
        unauthorized: "auth",
        quota: "quota",
        forbidden: "auth",
        invalid_parameter: "invalid_request",
        rate_limited: "rate_limited",
        server_error: "upstream_error",
        html_502: "upstream_error",
        unavailable_model: "model_unavailable",
        unknown_status: "contract_changed",
        malformed: "contract_changed",
        truncated: "outcome_unknown",
        timeout: "timeout",
      };
      for (const { fixture } of fixtures) {
        if (fixture.cell === undefined || !("expect" in fixture)) continue;
        const kind = fixture.cell === "pending" ? "pending" : "done";
        const failureClass = expectedClass[fixture.cell];
        expect(fixture.expect).toMatchObject(
          failureClass ? { kind: "failed", failure: { class: failureClass } } : { kind },
        );
      }
    });
  });
}

/** What §2.4, §3 and §4.1 call a success, written a second time and in another way than in the adapters. */
const documentedSuccess: Record<string, (reply: Reply) => boolean> = {
  openai: ({ status, body }) =>
    [200, 201].includes(status) &&
    body.kind === "json" &&
    listOf(body.value, "data").every(
      (item) => field(item, "b64_json") instanceof InlineImage || isLink(field(item, "url")),
    ),
  stability: ({ status, headers, body }) =>
    status === 200 &&
    ["SUCCESS", ""].includes((headers["finish-reason"] ?? "").trim()) &&
    (body.kind === "image" ||
      (body.kind === "json" &&
        field(body.value, "image") instanceof InlineImage &&
        ["SUCCESS", "", null, undefined].includes(trimmed(field(body.value, "finish_reason"))))),
  replicate: ({ status, body }) => {
    if (![200, 201, 202].includes(status) || body.kind !== "json") return false;
    const output = field(body.value, "output");
    const links = Array.isArray(output) ? output : [output ?? ""];
    return (
      field(body.value, "status") === "succeeded" &&
      typeof field(body.value, "id") === "string" &&
      (links.every(isLink) || (links.length === 1 && links[0] === "" && !Array.isArray(output)))
    );
  },
};
const field = (value: unknown, name: string): unknown =>
  value !== null && typeof value === "object" ? Reflect.get(value, name) : undefined;
const listOf = (value: unknown, name: string): unknown[] => {
  const list = field(value, name);
  return Array.isArray(list) ? list : [undefined];
};
const isLink = (value: unknown) => typeof value === "string" && /^https?:/i.test(value) && URL.canParse(value);
const trimmed = (value: unknown) => (typeof value === "string" ? value.trim() : (value as null | undefined));

/** Strings that no message may repeat: a prompt, picture bytes, a key. */
const canaries = {
  prompt: "a canary named 7261",
  picture: `${"iVBORw0KGgoCANARY".repeat(8)}`,
  key: "sk-canary-5839abcd",
};
const job: ProviderJob = freeze({ model: "sd3.5-large", parameters: { prompt: canaries.prompt }, count: 2 });

const words = fc.constantFrom(
  ...[
    "SUCCESS",
    "CONTENT_FILTERED",
    "succeeded",
    "failed",
    "starting",
    "canceled",
    "aborted",
    "invalid_value",
    "model",
  ],
  ...[
    "moderation_blocked",
    "insufficient_quota",
    "rate_limit_exceeded",
    "content_moderation",
    "bad_request",
    "null",
    "",
  ],
  ...[
    "https://replicate.delivery/a.png",
    "http://127.0.0.1/x",
    "data:image/png;base64,AAAA",
    "try again in 12s",
    "~30s",
  ],
  ...Object.values(canaries),
);
const leaf = fc.oneof(words, fc.jsonValue({ maxDepth: 2 }), fc.string(), fc.constant(null), fc.double(), fc.boolean());
const statuses = fc.oneof(
  fc.constantFrom(200, 201, 202, 204, 302, 400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 529),
  fc.integer({ min: 100, max: 999 }),
);
const headers = fc.dictionary(
  fc.constantFrom(
    ...["retry-after", "retry-after-ms", "finish-reason", "x-request-id", "content-type"],
    ...["x-ratelimit-reset-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-tokens"],
  ),
  fc.oneof(words, fc.string(), fc.constantFrom("12", "0.5", "1e300", "-1", "6m0s", "99999999999", "NaN")),
);

/** A reply of the fixtures with one part replaced, added or taken away: near the protocol, where mistakes are. */
function mutated(adapter: Adapter): fc.Arbitrary<Reply> {
  const replies = readFixtures(adapter).map((fixture: ReadFixture) => fixture.reply);
  const picks = fc.array(fc.nat(), { maxLength: 5 });
  return fc
    .tuple(fc.constantFrom(...replies), picks, leaf, fc.option(statuses), headers, fc.boolean())
    .map(([reply, path, value, status, moreHeaders, remove]) => ({
      ...reply,
      status: status ?? reply.status,
      headers: { ...reply.headers, ...moreHeaders },
      body:
        reply.body.kind === "json"
          ? {
              kind: "json",
              value: withHandles(replaced(reply.body.value, path, value, remove), adapter.inlineImageFields),
            }
          : reply.body,
    }));
}

/** Walks `path` (each number picks a child) and replaces or removes what it finds there. */
function replaced(node: unknown, path: number[], value: unknown, remove: boolean): unknown {
  const [pick, ...rest] = path;
  if (pick === undefined || node === null || typeof node !== "object" || node instanceof InlineImage) return value;
  const entries = Object.entries(node);
  if (entries.length === 0) return value;
  const chosen = pick % entries.length;
  const next = entries.flatMap(([key, item], index): [string, unknown][] => {
    if (index !== chosen) return [[key, item]];
    return rest.length === 0 && remove ? [] : [[key, replaced(item, rest, value, remove)]];
  });
  return Array.isArray(node) ? next.map(([, item]) => item) : Object.fromEntries(next);
}

const arbitrary = (adapter: Adapter): fc.Arbitrary<Reply> =>
  fc.record({
    purpose: fc.constantFrom<Reply["purpose"][]>("submit", "poll"),
    status: statuses,
    headers,
    body: fc.oneof(
      leaf.map((value) => ({ kind: "json" as const, value: withHandles(value, adapter.inlineImageFields) })),
      fc
        .dictionary(
          fc.constantFrom("data", "error", "image", "id", "status", "output", "urls", "errors", "detail"),
          leaf,
        )
        .map((value) => ({ kind: "json" as const, value: withHandles(value, adapter.inlineImageFields) })),
      fc.oneof(fc.string(), words).map((text) => ({ kind: "text" as const, text })),
      fc.constant({ kind: "image" as const, image: new InlineImage(0) }),
    ),
  });

const transportClasses: FailureClass[] = ["unreachable", "outcome_unknown", "timeout"];

/** What holds for every step, whatever the reply. */
function checkStep(adapter: Adapter, reply: Reply, step: Step) {
  if (step.kind === "done") {
    if (!documentedSuccess[adapter.id]?.(reply)) throw new Error("done without the documented shape");
    for (const { source } of step.images) expect(source instanceof InlineImage || isLink(source.url)).toBe(true);
  } else if (step.kind === "pending") {
    const calls = step.cancel ? [step.poll, step.cancel] : [step.poll];
    for (const { url } of calls) {
      expect(new URL(url, baseUrlOf(adapter)).origin).toBe(new URL(baseUrlOf(adapter)).origin);
      expect(url).not.toContain("..");
    }
    expect(step.upstreamId).toMatch(/^[\w-]+$/);
  } else {
    const { class: failureClass, message, retryAfterMs, categories, param } = step.failure;
    expect(transportClasses).not.toContain(failureClass);
    expect(message.length).toBeWithin(1, 501);
    for (const text of [message, param ?? "", ...(categories ?? [])]) {
      expect(text).not.toContain(canaries.picture);
      expect(text).not.toContain(canaries.key);
    }
    // A changed contract is told in our own words, which name shapes and never contents.
    if (failureClass === "contract_changed") expect(message).not.toContain(canaries.prompt);
    if (retryAfterMs !== undefined) expect(Number.isSafeInteger(retryAfterMs) && retryAfterMs >= 0).toBe(true);
  }
}

for (const adapter of networkAdapters) {
  describe(`${adapter.id}: undocumented replies`, () => {
    const context = freeze({ baseUrl: baseUrlOf(adapter) });
    const holds = (reply: Reply) => {
      const step = adapter.read(freeze(reply), job, context);
      checkStep(adapter, reply, step);
      expect(adapter.read(reply, job, context)).toStrictEqual(step);
    };
    test("any reply is read without throwing, and is done only in the documented shape", () => {
      fc.assert(fc.property(arbitrary(adapter), holds), { numRuns: 1500 });
    });
    test("so is a documented reply with one part changed", () => {
      fc.assert(fc.property(mutated(adapter), holds), { numRuns: 1500 });
    });
    test("a status outside the vendor's documents is a changed contract, with or without a body", () => {
      for (const status of [100, 204, 206, 301, 302, 304, 307, 405, 406, 410, 415, 418, 431, 451, 600, 999]) {
        const reply: Reply = { purpose: "submit", status, headers: {}, body: { kind: "text", text: "" } };
        const step = adapter.read(reply, job, context);
        expect(step).toMatchObject({ kind: "failed", failure: { class: "contract_changed" } });
      }
    });
    test("submit leaves the job alone and the credential out", () => {
      const call = adapter.submit(job, context);
      expect(adapter.submit(job, context)).toStrictEqual(call);
      expect(Object.keys(call.headers ?? {})).not.toContain("authorization");
      expect(adapter.authorize("secret")).toEqual({ authorization: "Bearer secret" });
    });
  });
}

describe("safeText", () => {
  test.each([
    ["Incorrect API key provided: my-own-key-without-prefix. You can", "Incorrect API key provided: [key]. You can"],
    ["key sk-proj-****abcd is dead", "key [key] is dead"],
    ["token r8_abcDEF0123 revoked", "token [key] revoked"],
    ["in organization org-Ab12Cd34 on", "in organization [organization] on"],
    [`got ${"QUJD".repeat(40)}== instead`, "got […] instead"],
    ["two\r\nlines\u0000 here", "two lines here"],
    ["request 0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0", "request 0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"],
    ["Unknown parameter: 'task-force'.", "Unknown parameter: 'task-force'."],
  ])("%j", (text, safe) => {
    expect(safeText(text)).toBe(safe);
  });
  test("keeps to 500 characters and never leaves half a character", () => {
    const text = safeText("a 🦊 ".repeat(400));
    expect(text.length).toBe(500);
    expect(text.isWellFormed()).toBe(true);
  });
});
