/** The request schemas of the OpenAPI description take what the catalogue takes, and nothing else. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { checkRequest } from "../../src/catalogue/index.ts";
import { PublicError } from "../../src/errors.ts";
import { ajv, catalogue, made, validator } from "./openapi-document.ts";

describe("request schemas", () => {
  const strange = fc.constantFrom<unknown>(
    null,
    true,
    "",
    "x",
    "01x1",
    "1000x1000",
    "ftp://a",
    {},
    [],
    -1,
    1.5,
    2 ** 31,
  );

  /** What a parameter of this name takes in some model, and what lies just outside. */
  function edges(name: string): unknown[] {
    return catalogue.models.flatMap((model): readonly unknown[] => {
      const parameter = model.parameters.find((one) => one.name === name);
      if (parameter === undefined) return [];
      if ("values" in parameter) return parameter.values;
      if ("minimum" in parameter) {
        return [parameter.minimum - 1, parameter.minimum, parameter.maximum, parameter.maximum + 1];
      }
      switch (parameter.type) {
        case "seed":
          return [0, 7, parameter.maximum, parameter.maximum + 1];
        case "boolean":
          return [true, false];
        case "size_rule":
          return [parameter.example, `${parameter.max_side + parameter.divisible_by}x${parameter.min_side}`];
        case "image_url":
          return ["https://pictures.example/a.png"];
        default:
          return ["words", "文".repeat(10_000), "x".repeat(10_001)];
      }
    });
  }
  const names = [...new Set(catalogue.models.flatMap((model) => model.parameters.map(({ name }) => name)))];
  const valuesOf = (name: string) =>
    fc.oneof({ arbitrary: fc.constantFrom<unknown>(...edges(name)), weight: 8 }, { arbitrary: strange, weight: 1 });
  const given = fc
    .uniqueArray(fc.constantFrom(...names, "unheard_of"), { maxLength: 3 })
    .chain((some) =>
      fc.record(Object.fromEntries(some.map((name) => [name, edges(name).length === 0 ? strange : valuesOf(name)]))),
    );
  const prompt = fc.oneof(
    { arbitrary: fc.constantFrom<unknown>("a cat", "一隻貓"), weight: 9 },
    { arbitrary: strange, weight: 1 },
  );
  const model = fc.constantFrom(...catalogue.models.map(({ id }) => id), "dall-e-3", "no/such-model");
  const bodies = fc.record({ model, prompt, given }, { requiredKeys: ["model", "given"] });

  test("take exactly what the catalogue takes", () => {
    const validate = validator("/components/schemas/ImageRequest");
    let accepted = 0;
    fc.assert(
      fc.property(bodies, ({ given, ...named }) => {
        const body: Record<string, unknown> = { ...given, ...named };
        const refusal = refusalOf(body);
        accepted += refusal === null ? 1 : 0;
        const valid = validate(body) === true;
        // What a schema cannot say: a seed that n images would count past its end, and whether a text is a URL.
        if (refusal?.code === "integer_above_max_value" && refusal.param === "seed") return;
        if (refusal?.param === "image_prompt" && typeof body.image_prompt === "string") return;
        expect({ body, valid }).toEqual({ body, valid: refusal === null });
      }),
      { numRuns: 3_000 },
    );
    expect(accepted).toBeGreaterThan(200);
  });

  test("take what every model's own listing gives as its default", () => {
    for (const model of catalogue.models) {
      const schema = made.components.schemas[`ImageRequest.${model.id.replace("/", ".")}`];
      expect(Object.keys(schema?.properties ?? {}).sort()).toEqual([...model.supportedParameters].sort());
      for (const [name, property] of Object.entries(schema?.properties ?? {})) {
        if (property.default === undefined) continue;
        const { description: _, ...rules } = property;
        expect({ name, valid: ajv.validate(rules, property.default) }).toEqual({ name, valid: true });
      }
    }
  });
});

function refusalOf(body: unknown): PublicError | null {
  try {
    checkRequest(catalogue, body);
    return null;
  } catch (error) {
    if (error instanceof PublicError) return error;
    throw error;
  }
}
