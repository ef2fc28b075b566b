/**
 * Every adapter against its golden fixtures (their form: `fixtures.ts`), and the matrix of cases that each must have. What
 * a protocol cannot have stands in `cannotHave`, with the reason; nothing else may be missing. Replies that nobody has
 * documented are in `adapters-undocumented.test.ts`.
 */
import { describe, expect, test } from "bun:test";
import { adapters } from "../../src/providers/index.ts";
import { InputFile } from "../../src/providers/input.ts";
import type { Adapter, FailureClass } from "../../src/providers/provider.ts";
import { safeText } from "../../src/providers/replies.ts";
import { type Cell, type Fixture, freeze, load, matrix, type StreamFixture, type SubmitFixture } from "./fixtures.ts";

/** Those with a wire; the sandbox answers in this process and has tests of its own. */
const networkAdapters = adapters.filter((adapter) => adapter.settings !== null);

const synchronous = "answers at once; there is no job to look at again";
const noStream = "has no event streams of pictures";
const noFilter = "has no content filter";
const noMoney = "is the operator's own server; there is no account to run empty";
const oneModel = "serves the model it was started with and ignores the name in the request";
const selfHosted = {
  pending: synchronous,
  stream: noStream,
  stream_error: noStream,
  refused: noFilter,
  refused_output: noFilter,
  quota: noMoney,
};
const onePicture = "makes one picture a call";

/** Cells that a protocol cannot have. */
const cannotHave: Record<string, Partial<Record<Cell, string>>> = {
  openai: { pending: synchronous },
  azure: { pending: synchronous },
  stability: {
    pending: synchronous,
    stream: noStream,
    stream_error: noStream,
    several: onePicture,
    partial_delivery: onePicture,
  },
  replicate: { stream: noStream, stream_error: noStream },
  bfl: { stream: noStream, stream_error: noStream, several: onePicture, partial_delivery: onePicture },
  fal: { stream: noStream, stream_error: noStream },
  localai: { ...selfHosted, edits: "has no /images/edits route (§7)" },
  vllm: selfHosted,
  sglang: { ...selfHosted, unavailable_model: oneModel },
  "sd-server": { ...selfHosted, unavailable_model: oneModel },
};

/** How each adapter carries the credential `secret`. */
const credentialHeaders: Record<string, Record<string, string>> = {
  azure: { "api-key": "secret" },
  bfl: { "x-key": "secret" },
  fal: { authorization: "Key secret" },
};

const readEventOf = (adapter: Adapter) => {
  if (adapter.readEvent === undefined) throw new Error(`${adapter.id} has no event streams`);
  return adapter.readEvent;
};

function checkFixture(adapter: Adapter, fixture: Fixture) {
  const ownBaseUrl = adapter.settings?.defaultBaseUrl ?? "https://upstream.example/v1";
  if ("expectCall" in fixture) {
    const context = freeze({ baseUrl: fixture.baseUrl ?? ownBaseUrl });
    const call = adapter.submit(freeze(fixture.job), context);
    expect(call).toStrictEqual(fixture.expectCall);
    expect(adapter.submit(fixture.job, context)).toStrictEqual(call);
  } else if ("reply" in fixture) {
    const context = freeze({ baseUrl: fixture.baseUrl ?? ownBaseUrl });
    const step: unknown = adapter.read(freeze(fixture.reply), freeze(fixture.job), context);
    expect(step).toStrictEqual(fixture.expect);
    expect<unknown>(adapter.read(fixture.reply, fixture.job, context)).toStrictEqual(step);
  } else if ("events" in fixture) {
    const steps: unknown[] = fixture.events.map((event) =>
      readEventOf(adapter)(freeze({ ...event, headers: fixture.headers }), freeze(fixture.job)),
    );
    expect(steps).toStrictEqual(fixture.expect);
  } else if ("transport" in fixture) {
    expect(["outcome_unknown", "timeout"]).toContain(fixture.expect.failure.class);
  } else {
    expect(fixture.not_applicable.length).toBeGreaterThan(10);
  }
}

const failureClassOf: Partial<Record<Cell, FailureClass>> = {
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

/** A cell's fixture shows what the cell is about. */
function checkCell(cell: Cell, fixture: Fixture) {
  if ("not_applicable" in fixture) return;
  if (cell === "submit") expect((fixture as SubmitFixture).job.operation).toBe("generate");
  else if (cell === "edits") {
    const { job, expectCall } = fixture as SubmitFixture;
    expect(job.operation).toBe("edit");
    expect(filesIn(expectCall)).toEqual(filesIn(job));
    expect(filesIn(expectCall).length).toBeGreaterThan(0);
  } else if (cell === "stream" || cell === "stream_error") {
    const { job, expect: steps } = fixture as StreamFixture;
    expect(job.stream?.partialImages).toBeGreaterThan(0);
    expect(steps[0]).toMatchObject({ kind: "partial", index: 0 });
    expect(steps.at(-1)).toMatchObject({ kind: cell === "stream" ? "done" : "failed" });
  } else {
    const kind = cell === "pending" ? "pending" : "done";
    const failureClass = failureClassOf[cell];
    expect(fixture).toMatchObject({
      expect: failureClass ? { kind: "failed", failure: { class: failureClass } } : { kind },
    });
  }
}

function filesIn(value: unknown): InputFile[] {
  if (value instanceof InputFile) return [value];
  return value !== null && typeof value === "object" ? Object.values(value).flatMap(filesIn) : [];
}

const isCell = (name: string | undefined): name is Cell => matrix.some((cell) => cell === name);

test("the table of cells that cannot be names providers that are", () => {
  const ids = networkAdapters.map(({ id }) => id);
  expect(Object.keys(cannotHave).filter((id) => !ids.includes(id))).toEqual([]);
  expect(Object.keys(credentialHeaders).filter((id) => !ids.includes(id))).toEqual([]);
});

for (const adapter of networkAdapters) {
  const fixtures = load(adapter);

  describe(`${adapter.id}: fixtures`, () => {
    for (const { file, fixture } of fixtures) test(file, () => checkFixture(adapter, fixture));
  });

  describe(`${adapter.id}: matrix`, () => {
    const excused = cannotHave[adapter.id] ?? {};
    const filled = fixtures.flatMap(({ fixture }) => ("not_applicable" in fixture ? [] : (fixture.cell ?? [])));
    const declared = fixtures.flatMap(({ fixture }) => ("not_applicable" in fixture ? (fixture.cell ?? []) : []));

    test("every cell is filled or says why not", () => {
      const missing = matrix.filter((cell) => !filled.includes(cell) && !declared.includes(cell) && !(cell in excused));
      expect(missing).toEqual([]);
      expect([...filled, ...declared].filter((cell) => !isCell(cell))).toEqual([]);
    });

    test("what is excused is not there", () => {
      expect(filled.filter((cell) => cell in excused || declared.includes(cell))).toEqual([]);
      // Event streams are one fact, told by the adapter and by the table.
      expect("stream" in excused).toBe(adapter.readEvent === undefined);
    });

    test("every fixture is named after its file and says how far to trust it", () => {
      for (const { file, fixture } of fixtures) {
        expect(fixture.case).toBe(file);
        expect(fixture.source).toMatch(/^upstream-apis\.md §\d/);
        expect(["S", "M", "U"]).toContain(fixture.confidence);
      }
    });

    test("a cell's fixture shows what the cell is about", () => {
      for (const { fixture } of fixtures) if (isCell(fixture.cell)) checkCell(fixture.cell, fixture);
    });
  });

  test(`${adapter.id}: the credential is in its header, and an empty one is nowhere`, () => {
    expect(adapter.authorize("secret")).toEqual(credentialHeaders[adapter.id] ?? { authorization: "Bearer secret" });
    if (adapter.settings?.keyIsOptional) expect(adapter.authorize("")).toEqual({});
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
