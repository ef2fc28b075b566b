/** The JSON Schemas of what a client may ask of one model, made from the catalogue's rules. */
import { listModel, type Model, type ModelEntry, type Operation, type Parameter } from "../catalogue/index.ts";
import { priceInWords } from "./openapi-prices.ts";
import { routingProperties } from "./openapi-routing.ts";
import { ref, type Schema } from "./openapi-schemas.ts";

type ParameterEntry = ModelEntry["parameters"][string];
type ObjectEntry = Extract<ParameterEntry, { type: "object" }>;
type ObjectField = ObjectEntry["fields"][string];

/** Listing every side of a size rule beyond this many would make the pattern unreadable; the rule in words then has to do. */
const mostListedSides = 64;
/** Of a data URL (upstream-apis.md §2.1). */
const maxUrlChars = 20_971_520;

const schemaNames = { generate: "ImageRequest", edit: "EditRequest" } as const;

/** Component name of a model's request: slashes are not allowed in one. */
export const requestSchemaName = (model: Model, operation: Operation = "generate"): string =>
  `${schemaNames[operation]}.${model.id.replaceAll("/", ".")}`;

/** Every name under which a client may call the model; `:floor` and `:nitro` may follow each. */
function namesOf(model: Model): string[] {
  const bare = model.id.startsWith("openai/") ? [model.id.slice("openai/".length)] : [];
  return [...new Set([model.id, ...bare, ...model.aliases])];
}

const withSuffixes = (names: readonly string[]): string[] =>
  names.flatMap((name) => [name, `${name}:floor`, `${name}:nitro`]);

/** One model's request body, exactly as the catalogue checks it; what a schema cannot say is in the descriptions. */
export function requestSchema(model: Model, operation: Operation = "generate"): Schema {
  const names = namesOf(model);
  const { prompt, ...entries } = listModel(model).parameters;
  const known = model.parametersOf[operation];
  const properties: Record<string, Schema> = {
    model: {
      type: "string",
      enum: withSuffixes(names),
      description: `\`${names.join("` or `")}\`; with \`:floor\` the cheapest route comes first, with \`:nitro\` the fastest.`,
    },
    ...(prompt === undefined ? {} : { prompt: { ...valueSchema(prompt), description: words(prompt) } }),
    ...(operation === "edit" ? pictureProperties(model) : {}),
    ...(known.names.has("partial_images") ? {} : { partial_images: noPreviews }),
  };
  const rules: Schema[] = [];
  for (const parameter of known.all) {
    const { name } = parameter;
    const parameterEntry = entries[name];
    if (parameterEntry === undefined) continue;
    const fallback = "default" in parameter ? parameter.default : vendorDefaultOf(parameter);
    properties[name] = {
      ...valueSchema(parameterEntry),
      description: words(parameterEntry),
      ...(fallback === undefined ? {} : { default: fallback }),
    };
    for (const other of parameter.conflicts_with ?? []) {
      if (known.names.has(other)) rules.push(notBoth(name, other));
    }
    rules.push(...requirementsOf(parameter, known.all));
  }
  rules.push(...streamRules(properties));
  if (operation === "edit" && model.edit?.mask && model.edit.markup) rules.push(notBoth("mask", "markup"));
  return {
    title: model.id,
    description: `${model.description} ${priceInWords(model)}`,
    type: "object",
    properties: { ...properties, ...routingProperties({ models: false }) },
    required: ["model", "prompt", ...(operation === "edit" ? ["images"] : [])],
    additionalProperties: false,
    ...(rules.length === 0 ? {} : { allOf: rules }),
  };
}

const noPreviews: Schema = { enum: [0, null], default: 0, description: "This model has no previews to ask for." };

const words = ({ description, rule }: ParameterEntry): string =>
  rule === "string" ? description : `${description} ${rule.charAt(0).toUpperCase()}${rule.slice(1)}.`;

const vendorDefaultOf = (parameter: Parameter): unknown =>
  "vendor_default" in parameter ? parameter.vendor_default : undefined;

function pictureProperties({ edit }: Model): Record<string, Schema> {
  if (edit === null) return {};
  const types = edit.inputTypes.map((type) => type.replace("image/", "").toUpperCase()).join(", ");
  const overlay = (description: string): Schema => ({ anyOf: [ref("Picture"), { type: "null" }], description });
  return {
    images: {
      type: "array",
      items: ref("Picture"),
      minItems: 1,
      maxItems: edit.maxImages,
      description: `The pictures: ${types}, at most ${edit.maxImages}.`,
    },
    mask: edit.mask
      ? overlay("A PNG of the first picture's size: where it is transparent, may be painted.")
      : noOverlay,
    markup: edit.markup ? overlay("A PNG of the first picture's size, drawn over it; not with `mask`.") : noOverlay,
  };
}

/** Null is the same as leaving it out, also where it cannot be given. */
const noOverlay: Schema = { type: "null", description: "This model takes none." };

/** A picture of an edit in JSON. */
export const pictureSchema: Schema = {
  type: "object",
  properties: {
    image_url: {
      type: "string",
      minLength: 1,
      maxLength: maxUrlChars,
      pattern: "^([Dd][Aa][Tt][Aa]:|[Hh][Tt][Tt][Pp][Ss]:)",
      description: "A base64 data URL, or an https URL that the router fetches without credentials.",
    },
  },
  required: ["image_url"],
  additionalProperties: false,
};

/** The value of a parameter. Null is the same as leaving it out, but for a required one. */
function valueSchema(parameter: ParameterEntry | (ObjectField & { required?: boolean })): Schema {
  const optional = parameter.required !== true;
  const type = (name: string): Schema => ({ type: optional ? [name, "null"] : name });
  switch (parameter.type) {
    case "enum":
    case "format":
    case "size":
    case "aspect_ratio": {
      const auto = "auto" in parameter && parameter.auto === true ? ["auto"] : [];
      return { ...type("string"), enum: [...parameter.values, ...auto, ...(optional ? [null] : [])] };
    }
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
      return { ...type("string"), ...(optional ? {} : { minLength: 1 }), ...longest };
    }
    case "size_rule":
      return { ...type("string"), pattern: sizePattern(parameter), examples: [parameter.example] };
    case "object": {
      const fields = Object.entries(parameter.fields).map(([name, field]) => [
        name,
        { ...valueSchema(field), description: field.description },
      ]);
      return { ...type("object"), properties: Object.fromEntries(fields), additionalProperties: false };
    }
  }
}

function sizePattern(rule: Extract<ParameterEntry, { type: "size_rule" }>): string {
  const sides: number[] = [];
  const first = Math.ceil(rule.min_side / rule.divisible_by) * rule.divisible_by;
  for (let side = first; side <= rule.max_side; side += rule.divisible_by) sides.push(side);
  const side = sides.length > mostListedSides ? "[1-9]\\d*" : `(?:${sides.join("|")})`;
  return rule.auto === true ? `^(?:auto|${side}x${side})$` : `^${side}x${side}$`;
}

const given: Schema = { not: { type: "null" } };
const isGiven = (name: string): Schema => ({ type: "object", properties: { [name]: given }, required: [name] });

function notBoth(one: string, other: string): Schema {
  return { not: { type: "object", properties: { [one]: given, [other]: given }, required: [one, other] } };
}

const implies = (condition: Schema, consequence: Schema): Schema => ({ anyOf: [{ not: condition }, consequence] });

type Scalar = string | number | boolean;

/** What a given value needs of other parameters, by their defaults where they are not given. */
function requirementsOf({ name, requires = [] }: Parameter, all: readonly Parameter[]): Schema[] {
  return requires.map(({ for: only, parameter: other, one_of: oneOf }) => {
    const concerned: Schema =
      only === undefined ? isGiven(name) : { type: "object", properties: { [name]: { enum: only } }, required: [name] };
    return implies(
      concerned,
      mustBe(
        other,
        oneOf,
        all.find((one) => one.name === other),
      ),
    );
  });
}

function mustBe(name: string, oneOf: readonly Scalar[], parameter: Parameter | undefined): Schema {
  // A picture that may lie over the first one: it is asked whether there is one.
  if (parameter === undefined) return oneOf.includes(false) ? { not: isGiven(name) } : isGiven(name);
  const ours = "default" in parameter ? parameter.default : undefined;
  const otherwise = (ours ?? vendorDefaultOf(parameter)) as Scalar | undefined;
  const byDefault = otherwise !== undefined && oneOf.includes(otherwise);
  return {
    type: "object",
    properties: { [name]: { enum: [...oneOf, ...(byDefault ? [null] : [])] } },
    ...(byDefault ? {} : { required: [name] }),
  };
}

/** A stream carries one image, and only a stream has previews. */
function streamRules({ stream, partial_images: previews }: Record<string, Schema>): Schema[] {
  if (stream === undefined) return [];
  const streaming: Schema = { type: "object", properties: { stream: { const: true } }, required: ["stream"] };
  const one = implies(streaming, { properties: { n: { enum: [1, null] } } });
  if (previews === undefined) return [one];
  const asked: Schema = {
    type: "object",
    properties: { partial_images: { type: "integer", minimum: 1 } },
    required: ["partial_images"],
  };
  return [one, implies(asked, streaming)];
}

/** The bodies of an operation that name one model. */
export function anyRequestSchema(models: readonly Model[], operation: Operation = "generate"): Schema {
  const able = models.filter(({ operations }) => operations.includes(operation));
  const mapping = able.flatMap((model) =>
    withSuffixes(namesOf(model)).map((name) => [name, ref(requestSchemaName(model, operation)).$ref] as const),
  );
  return {
    description:
      "Parameters are exactly those that the model lists; an unknown one is refused, and so is a value outside its rule. Null means omitted, except for `model` and `prompt`.",
    oneOf: able.map((model) => ref(requestSchemaName(model, operation))),
    discriminator: { propertyName: "model", mapping: Object.fromEntries(mapping) },
  };
}
