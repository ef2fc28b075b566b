/** Every adapter against replies and events that nobody has documented. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { adapters } from "../../src/providers/index.ts";
import {
  type Adapter,
  type FailureClass,
  InlineImage,
  type ProviderJob,
  type Reply,
  type ServerEvent,
  type Step,
} from "../../src/providers/provider.ts";
import { freeze, load, type ReadFixture, withHandles } from "./fixtures.ts";

const networkAdapters = adapters.filter((adapter) => adapter.settings !== null);
const baseUrlOf = (adapter: Adapter) => adapter.settings?.defaultBaseUrl ?? "https://upstream.example/v1";
const readFixtures = (adapter: Adapter) =>
  load(adapter).flatMap(({ fixture }) => ("reply" in fixture ? [fixture] : []));

const openaiSuccess = ({ status, body }: Reply) =>
  [200, 201].includes(status) &&
  body.kind === "json" &&
  listOf(body.value, "data").every(
    (item) => field(item, "b64_json") instanceof InlineImage || isLink(field(item, "url")),
  );
const is2xx = (status: number) => status >= 200 && status < 300;

/** What the documents call a success, written a second time and in another way than in the adapters. */
const documentedSuccess: Record<string, (reply: Reply) => boolean> = {
  openai: openaiSuccess,
  azure: openaiSuccess,
  localai: openaiSuccess,
  vllm: openaiSuccess,
  sglang: openaiSuccess,
  "sd-server": openaiSuccess,
  bfl: ({ status, body }) =>
    is2xx(status) &&
    body.kind === "json" &&
    field(body.value, "status") === "Ready" &&
    isLink(field(field(body.value, "result"), "sample")),
  fal: ({ status, body }) =>
    is2xx(status) &&
    body.kind === "json" &&
    (isLink(field(field(body.value, "image"), "url")) ||
      listOf(body.value, "images").every((item) => isLink(field(item, "url")))),
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
const job: ProviderJob = freeze({
  operation: "generate",
  model: "sd3.5-large",
  parameters: { prompt: canaries.prompt },
  count: 2,
});

/** Words that mean something to one adapter or another. */
const telling = `SUCCESS CONTENT_FILTERED succeeded failed starting canceled aborted Ready Pending COMPLETED IN_QUEUE
  invalid_value model moderation_blocked insufficient_quota rate_limit_exceeded content_moderation bad_request null
  Forbidden DeploymentNotFound ResponsibleAIPolicyViolation content_policy_violation ~30s
  https://replicate.delivery/a.png http://127.0.0.1/x data:image/png;base64,AAAA`;
const words = fc.constantFrom(...telling.split(/\s+/), "", "try again in 12s", "Not Found", ...Object.values(canaries));
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

/** §2.5: the name stands in the `event:` line or in the document. */
const isDocumentedFinal = ({ name, data }: ServerEvent) =>
  [name, field(data, "type")].some(
    (text) => text === "image_generation.completed" || text === "image_edit.completed",
  ) && field(data, "b64_json") instanceof InlineImage;

const eventNames = fc.constantFrom(
  ...["image_generation.partial_image", "image_generation.completed", "image_edit.partial_image"],
  ...["image_edit.completed", "image_generation.progress", "image_other.completed", "error", "ping", ""],
);
const arbitraryEvent = (adapter: Adapter): fc.Arbitrary<ServerEvent> =>
  fc.record({
    name: eventNames,
    headers,
    data: fc.oneof(
      leaf,
      fc
        .record(
          {
            type: fc.oneof(eventNames, leaf),
            b64_json: leaf,
            partial_image_index: leaf,
            error: leaf,
            data: leaf,
            size: leaf,
          },
          { requiredKeys: [] },
        )
        .map((value) => withHandles(value, adapter.inlineImageFields)),
    ),
  });

function mutatedEvent(adapter: Adapter): fc.Arbitrary<ServerEvent> {
  const events = load(adapter).flatMap(({ fixture }) => ("events" in fixture ? fixture.events : []));
  return fc
    .tuple(fc.constantFrom(...events), fc.array(fc.nat(), { maxLength: 3 }), leaf, headers, fc.boolean())
    .map(([event, path, value, moreHeaders, remove]) => ({
      name: event.name,
      headers: moreHeaders,
      data: withHandles(replaced(event.data, path, value, remove), adapter.inlineImageFields),
    }));
}

/** Where the credential may go: the base URL's origin, and what the adapter declares. */
const isOwnOrigin = (adapter: Adapter, url: URL) =>
  url.origin === new URL(baseUrlOf(adapter)).origin ||
  (adapter.ownOrigins ?? []).some((pattern) =>
    pattern.includes("*.")
      ? url.protocol === "https:" && url.port === "" && url.hostname.endsWith(pattern.replace("https://*", ""))
      : url.origin === pattern,
  );

/** `outcome_unknown` is an adapter's to say only of what was made and deleted again, which Replicate tells. */
const transportClasses = (adapter: Adapter): FailureClass[] =>
  adapter.id === "replicate" ? ["unreachable", "timeout"] : ["unreachable", "outcome_unknown", "timeout"];

/** What holds for every step, whatever the reply. */
function checkStep(adapter: Adapter, step: Step, isDocumentedSuccess: () => boolean | undefined) {
  if (step.kind === "done") {
    if (!isDocumentedSuccess()) throw new Error("done without the documented shape");
    for (const { source } of step.images) expect(source instanceof InlineImage || isLink(source.url)).toBe(true);
    for (const value of Object.values(step.echoed ?? {})) expect(typeof value).toBe("string");
  } else if (step.kind === "pending") {
    const calls = step.cancel ? [step.poll, step.cancel] : [step.poll];
    for (const { url } of calls) {
      expect(isOwnOrigin(adapter, new URL(url, baseUrlOf(adapter)))).toBe(true);
      expect(url).not.toContain("..");
    }
    expect(step.upstreamId).toMatch(/^[\w-]+$/);
  } else {
    const { class: failureClass, message, retryAfterMs, categories, param } = step.failure;
    expect(transportClasses(adapter)).not.toContain(failureClass);
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
    const { readEvent } = adapter;
    const context = freeze({ baseUrl: baseUrlOf(adapter) });
    const holds = (reply: Reply) => {
      const step = adapter.read(freeze(reply), job, context);
      checkStep(adapter, step, () => documentedSuccess[adapter.id]?.(reply));
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
      const credential = Object.keys(adapter.authorize("secret"));
      expect(Object.keys(call.headers ?? {}).filter((name) => credential.includes(name))).toEqual([]);
    });
    if (readEvent !== undefined) {
      test("any event is read without throwing; it ends the stream only in the documented shape", () => {
        const holdsForEvents = (event: ServerEvent) => {
          const step = readEvent(freeze(event), job);
          if (step.kind === "ignored") return;
          if (step.kind === "partial") {
            expect(step.image).toBe(field(event.data, "b64_json") as InlineImage);
            expect(Number.isSafeInteger(step.index) && step.index >= 0).toBe(true);
            expect(Object.keys(step.facts)).not.toContain("b64_json");
          } else checkStep(adapter, step, () => isDocumentedFinal(event));
          expect(readEvent(event, job)).toStrictEqual(step);
        };
        fc.assert(fc.property(arbitraryEvent(adapter), holdsForEvents), { numRuns: 1500 });
        fc.assert(fc.property(mutatedEvent(adapter), holdsForEvents), { numRuns: 1500 });
      });
    }
  });
}
