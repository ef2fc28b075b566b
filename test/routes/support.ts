/** The tests of one provider's routes: every model, every parameter, through the real router to the strict double. */
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Asked, askAll, casesOf, type Outcome, overlayOf } from "./ask.ts";
import { type Case, overlaysAsked } from "./cases.ts";
import {
  asForm,
  costOf,
  type Expected,
  expectedOf,
  pictureFieldsOf,
  ratioAsked,
  sizeAsked,
  typeAsked,
} from "./expected.ts";
import type { Arrived } from "./vendors.ts";

export function testRoutes(provider: string): void {
  // All requests are under way before the first is looked at; a busy machine is slow, not wrong.
  setDefaultTimeout(120_000);
  const cases = casesOf(provider);
  let asked: Asked;
  beforeAll(async () => {
    asked = await askAll(provider, cases, { priced: true });
  });

  test("there are routes, and the ledger agrees with all that was asked of them", () => {
    expect(cases.length).toBeGreaterThan(0);
    expect(asked.deviations).toEqual([]);
  });

  const models = [...new Set(cases.map(({ model }) => model))];
  describe.each(models.map((model) => [model.id, model] as const))(`%s at ${provider}`, (_id, model) => {
    const own = cases.filter((one) => one.model === model);
    test.each(own.map((one) => [one.operation, one.name, one] as const))("%s: %s", (_operation, _name, one) => {
      const outcome = asked.outcomes.get(one);
      if (outcome === undefined) throw new Error("not asked");
      check(one, expectedOf(one, true), outcome);
    });
  });
}

export function check(one: Case, expected: Expected, outcome: Outcome): void {
  const { status, code, param, message, calls } = outcome;
  if (expected.kind === "refused") {
    expect({ status, code, message }).toEqual({
      status: expected.code === "price_unknown" ? 503 : 400,
      code: expected.code,
      message: expect.any(String),
    });
    if (expected.params.length > 0) expect(expected.params).toContain(param ?? "");
    expect(calls).toEqual([]);
    return;
  }
  expect({ status, code, param, message }).toEqual({ status: 200, code: null, param: null, message: "" });
  checkCalls(one, expected, calls);
  checkPictures(one, outcome);
  expect(outcome.pictures).toHaveLength(expected.pictureCount);
  expect(outcome.previews).toBe(one.partialImages ?? 0);
  checkMoney(one, outcome);
  if (outcome.quoted !== null && one.pictures.length === 0)
    expect(asSeen(one, outcome.quoted.sent)).toEqual(asSeen(one, sentOf(calls[0])));
}

const sentOf = (call: Arrived | undefined) => call?.fields ?? {};
const bySeed = (one: { seed?: unknown }, other: { seed?: unknown }) => Number(one.seed ?? 0) - Number(other.seed ?? 0);

/** The vendor got what was asked, under its own names, and nothing else. */
function checkCalls(
  one: Case,
  { model, calls: expected }: Extract<Expected, { kind: "made" }>,
  calls: Arrived[],
): void {
  const prompted = expected.map((sent) => ({ prompt: `${one.model.id} ${one.operation} ${one.name}`, ...sent }));
  const isForm =
    one.route.provider === "stability" ||
    (one.operation === "edit" && ["openai", "azure"].includes(one.route.provider));
  expect(calls.map(({ fields }) => fields).sort(bySeed)).toEqual(isForm ? prompted.map(asForm) : prompted);
  for (const call of calls) {
    expect(call.model).toBe(model);
    expect(call.pictureFields).toEqual(pictureFieldsOf(one));
    const given = [...one.pictures.map(({ bytes }) => bytes), ...overlaysAsked(one).map(() => overlayOf(one))];
    expect(call.pictures.map((bytes) => Bun.hash(bytes))).toEqual(given.map((bytes) => Bun.hash(bytes)));
  }
}

/** The answer has what was asked for, or says that it has not. */
function checkPictures(one: Case, { pictures, warnings }: Outcome): void {
  const size = sizeAsked(one);
  const ratio = ratioAsked(one);
  for (const picture of pictures) {
    expect(picture.type).toBe(typeAsked(one));
    if (size !== null) expect(picture).toMatchObject(size);
    if (ratio !== null)
      expect(Math.abs(picture.width / picture.height / (ratio.width / ratio.height) - 1)).toBeLessThan(0.1);
    // Where the pixels of a shape are of our choice, the shape is exact.
    const ours = one.route.fields.get("aspect_ratio");
    if (ratio !== null && ours !== null && typeof ours === "object" && "expand" in ours)
      expect(picture.width * ratio.height).toBe(picture.height * ratio.width);
  }
  expect(warnings).toBeNull();
}

/** Charged by the fact sheet's rule for what the double says it made, and never above what was held and quoted. */
function checkMoney(one: Case, outcome: Outcome): void {
  const { heldNanos, chargedNanos, cost, quoted, priceRule } = outcome;
  expect(chargedNanos).toBe(costOf(one, outcome));
  expect(Number(chargedNanos)).toBeLessThanOrEqual(Number(heldNanos));
  expect(Math.round(Number(cost) * 1e9)).toBe(Number(chargedNanos));
  expect(priceRule).toStartWith(`${one.model.id}@${one.route.provider} `);
  if (quoted !== null) expect(Math.round(quoted.usd * 1e9)).toBe(Number(heldNanos));
}

/** A quote shows the body as the adapter would send it: with the model in it, and Replicate's input. */
function asSeen(one: Case, sent: Record<string, unknown>): Record<string, unknown> {
  const inner = one.route.provider === "replicate" && "input" in sent ? (sent.input as Record<string, unknown>) : sent;
  const { model: _model, seed: _seed, ...rest } = inner;
  return rest;
}
