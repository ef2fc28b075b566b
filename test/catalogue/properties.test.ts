/** What holds for every request, not only for those somebody thought of. */

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type CheckedRequest,
  cannotHonour,
  checkRequest,
  type FieldMapping,
  mapParameters,
  quote,
  routerParameters,
} from "../../src/catalogue/index.ts";
import { PublicError } from "../../src/errors.ts";
import { catalogue, delivered, today } from "./support.ts";

const names = [...new Set(catalogue.models.flatMap((model) => [...model.supportedParameters]))];

/** Values near the rules, so that a good part of the bodies is accepted. */
const likely = fc.constantFrom<unknown>(
  ...catalogue.models.flatMap((model) =>
    model.parameters.flatMap((parameter) => ("values" in parameter ? [...parameter.values] : [])),
  ),
  ...["1024x768", "256x1440", "1000x1000", "https://example.com/a.png", "http://example.com", "x"],
  ...[-1, 0, 1, 2, 3, 5, 10, 2.5, 4294967294, 2147483647, true, false, null, undefined],
);

/** A body with a real model and prompt, and a few of its parameters. */
const likelyBody = fc
  .constantFrom(...catalogue.models)
  .chain((model) =>
    fc
      .array(fc.tuple(fc.constantFrom(...model.supportedParameters), likely), { maxLength: 4 })
      .map((pairs) => ({ ...Object.fromEntries(pairs), model: model.id, prompt: "p" })),
  );

const anyKey = fc.oneof(
  fc.constantFrom(...names),
  fc.constantFrom("__proto__", "constructor", "toString"),
  fc.string(),
);

/** Anything: other keys, other types, numbers that JSON has not. */
const anyBody = fc
  .tuple(
    fc.array(fc.tuple(anyKey, fc.oneof(likely, fc.anything())), { maxLength: 6 }),
    fc.oneof(fc.constantFrom(...catalogue.models.map(({ id }) => id)), fc.anything()),
    fc.oneof(fc.string({ unit: "binary" }), fc.anything()),
  )
  .map(([pairs, model, prompt]) => ({ model, prompt, ...Object.fromEntries(pairs) }));

function accept(body: unknown): CheckedRequest | PublicError {
  try {
    return checkRequest(catalogue, body);
  } catch (error) {
    if (error instanceof PublicError) return error;
    throw error;
  }
}

/** Where a value has to be found among what is sent. */
function fieldsOf(mapping: FieldMapping | undefined, value: unknown): string[] {
  if (mapping === undefined || mapping === false) throw new Error("not mapped");
  if (mapping === null) return [];
  if (typeof mapping === "string") return [mapping];
  if ("expand" in mapping) return Object.keys(mapping.expand[String(value)] ?? {});
  if ("object" in mapping) return [mapping.object];
  if ("width" in mapping) return [mapping.width, mapping.height];
  return "omit" in mapping && mapping.omit?.includes(value as string) ? [] : [mapping.field];
}

describe("whatever the body", () => {
  test("only a PublicError is thrown, and it names a parameter", () => {
    fc.assert(
      fc.property(fc.oneof(anyBody, likelyBody, fc.anything()), (body) => {
        const result = accept(body);
        if (!(result instanceof PublicError)) return;
        expect(result.status).toBeGreaterThanOrEqual(400);
        expect(result.status).toBeLessThan(500);
        // One of the vendor's recorded messages has no full stop.
        if (!result.message.startsWith("Transparent background")) expect(result.message).toMatch(/\.$/);
        if (typeof body === "object" && body !== null && !Array.isArray(body)) expect(result.param).not.toBeNull();
      }),
      { numRuns: 3000 },
    );
  });

  test("what is accepted is supported, expected of the route, and within its price", () => {
    let accepted = 0;
    let honoured = 0;
    fc.assert(
      fc.property(
        fc.oneof(likelyBody, anyBody),
        fc.array(
          fc.record({ width: fc.constantFrom(256, 512, 1024, 1792), height: fc.constantFrom(256, 512, 1024, 1792) }),
        ),
        (body, images) => {
          const checked = accept(body);
          if (checked instanceof PublicError) return;
          accepted += 1;
          const known = [...checked.model.supportedParameters, ...routerParameters];
          for (const key of Object.keys(body)) expect(known).toContain(key);
          expect(Object.values(checked.requested)).not.toContain(null);
          expect(checked.size === null || checked.aspectRatio === null).toBe(true);
          for (const route of checked.model.routes) {
            const quoted = quote(route, checked, today);
            if (quoted !== null) {
              expect(quoted.totalNanos).toBe(quoted.unitNanos * BigInt(checked.n));
              const charged = quoted.charge(delivered(images));
              expect(charged >= 0n && charged <= quoted.totalNanos).toBe(true);
            }
            if (cannotHonour(route, checked) !== null) continue;
            honoured += 1;
            const sent = mapParameters(route, checked, checked.n - 1, 1);
            expect(sent.prompt).toBe(checked.prompt);
            expect(Object.values(sent)).not.toContain(undefined);
            // Nothing asked for is dropped in silence: it is sent, or the file says null, or says it by sending nothing.
            const fields = Object.entries(checked.parameters).flatMap(([name, value]) =>
              fieldsOf(route.fields.get(name), value),
            );
            expect(Object.keys(sent)).toEqual(expect.arrayContaining(fields));
          }
        },
      ),
      { numRuns: 3000 },
    );
    // Else the property says little.
    expect(accepted).toBeGreaterThan(300);
    expect(honoured).toBeGreaterThan(300);
  });

  test("seeds of one generation differ, and none is beyond the maximum", () => {
    const seeded = catalogue.models.flatMap((model) => {
      const seed = model.parameters.find((parameter) => parameter.type === "seed");
      return seed?.type === "seed" ? [{ model, seed }] : [];
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...seeded),
        fc.nat(),
        fc.integer({ min: 1, max: 10 }),
        ({ model, seed }, below, n) => {
          const checked = accept({ model: model.id, prompt: "p", n, seed: seed.maximum - (below % 20) });
          if (checked instanceof PublicError) {
            expect(checked.param).toBe("seed");
            expect(below % 20).toBeLessThan(n - 1);
            return;
          }
          const seeds = Array.from(
            { length: n },
            (_, i) => mapParameters(model.routes[0], checked, i, 1).seed as number,
          );
          expect(new Set(seeds).size).toBe(n);
          expect(Math.max(...seeds)).toBeLessThanOrEqual(seed.maximum);
        },
      ),
    );
  });
});
