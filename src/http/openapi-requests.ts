/** The JSON Schemas of what a client may ask for, one per model, made from the catalogue's rules. */
import { listModel, type Model } from "../catalogue/index.ts";
import { ref, type Schema } from "./openapi-schemas.ts";

type ModelEntry = ReturnType<typeof listModel>;
type ParameterEntry = ModelEntry["parameters"][string];

/** Listing every side of a size rule beyond this many would make the pattern unreadable; the rule in words then has to do. */
const mostListedSides = 64;

/** Component name of a model's request: slashes are not allowed in one. */
export const requestSchemaName = (model: Model): string => `ImageRequest.${model.id.replaceAll("/", ".")}`;

/** Every name under which a client may call the model. */
function namesOf(model: Model): string[] {
  const bare = model.id.startsWith("openai/") ? [model.id.slice("openai/".length)] : [];
  return [model.id, ...bare, ...model.aliases];
}

/** One model's request body, exactly as the catalogue checks it; what a schema cannot say is in the descriptions. */
export function requestSchema(model: Model): Schema {
  const { parameters, default_parameters: defaults, pricing } = listModel(model);
  const properties: Record<string, Schema> = {
    model: { type: "string", enum: namesOf(model), description: `\`${namesOf(model).join("` or `")}\`` },
  };
  const conflicts: Schema[] = [];
  for (const [name, parameter] of Object.entries(parameters)) {
    const fallback = defaults[name];
    properties[name] = {
      ...valueSchema(parameter),
      description:
        parameter.rule === "string" ? parameter.description : `${parameter.description} ${capital(parameter.rule)}.`,
      ...(fallback === undefined ? {} : { default: fallback }),
    };
    for (const other of parameter.conflicts_with ?? []) conflicts.push(notBoth(name, other));
  }
  return {
    title: model.id,
    description: `${model.description} ${priceInWords(pricing.rows)}`,
    type: "object",
    properties,
    required: ["model", "prompt"],
    additionalProperties: false,
    ...(conflicts.length === 0 ? {} : { allOf: conflicts }),
  };
}

function priceInWords(rows: ModelEntry["pricing"]["rows"]): string {
  const prices = rows.map(({ size, quality, usd }) => {
    const only = [size, quality].filter((word) => word !== undefined).join(" ");
    return `$${usd}${only === "" ? "" : ` (${only})`}`;
  });
  return `Price per image: ${prices.join(", ")}.`;
}

/** The value of a parameter. Null is the same as leaving it out, but for a required one. */
function valueSchema(parameter: ParameterEntry): Schema {
  const optional = !parameter.required;
  const type = (name: string): Schema => ({ type: optional ? [name, "null"] : name });
  switch (parameter.type) {
    case "enum":
    case "format":
    case "size":
    case "aspect_ratio":
      return { ...type("string"), enum: [...parameter.values, ...(optional ? [null] : [])] };
    case "integer":
      return { ...type("integer"), minimum: parameter.minimum, maximum: parameter.maximum };
    case "number":
      return { ...type("number"), minimum: parameter.minimum, maximum: parameter.maximum };
    case "seed":
      return { ...type("integer"), minimum: 0, maximum: parameter.maximum };
    case "boolean":
      return type("boolean");
    case "image_url":
      return { ...type("string"), format: "uri" };
    case "string": {
      // JSON Schema counts Unicode code points, as the catalogue does.
      const longest = parameter.max_length === undefined ? {} : { maxLength: parameter.max_length };
      return { ...type("string"), ...(parameter.required ? { minLength: 1 } : {}), ...longest };
    }
    case "size_rule":
      return { ...type("string"), pattern: sizePattern(parameter), examples: [parameter.example] };
  }
}

function sizePattern(rule: Extract<ParameterEntry, { type: "size_rule" }>): string {
  const sides: number[] = [];
  const first = Math.ceil(rule.min_side / rule.divisible_by) * rule.divisible_by;
  for (let side = first; side <= rule.max_side; side += rule.divisible_by) sides.push(side);
  if (sides.length > mostListedSides) return "^[1-9]\\d*x[1-9]\\d*$";
  const either = `(?:${sides.join("|")})`;
  return `^${either}x${either}$`;
}

function notBoth(one: string, other: string): Schema {
  const given = { not: { type: "null" } };
  return { not: { type: "object", properties: { [one]: given, [other]: given }, required: [one, other] } };
}

const capital = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1);

/** The one body of `POST /v1/images/generations`: a request to one of the models. */
export function anyRequestSchema(models: readonly Model[]): Schema {
  const mapping = models.flatMap((model) =>
    namesOf(model).map((name) => [name, ref(requestSchemaName(model)).$ref] as const),
  );
  return {
    description:
      "Parameters are exactly those that the model lists; an unknown one is refused, and so is a value outside its rule. Null means omitted, except for `model` and `prompt`.",
    oneOf: models.map((model) => ref(requestSchemaName(model))),
    discriminator: { propertyName: "model", mapping: Object.fromEntries(mapping) },
  };
}
