/**
 * The texts of a multipart body as the parameters they stand for: numbers, booleans and objects are read by the type of
 * the parameter, as OpenAI does (upstream-apis.md §2.6); what has no type here stays a text and is judged by the catalogue.
 */
import type { Catalogue } from "../catalogue/index.ts";
import { invalidValue, shown } from "../catalogue/wording.ts";
import { PublicError } from "../errors.ts";
import { readPreferences } from "../generation/preferences.ts";
import { duplicate } from "./edit-pictures.ts";

/** A field's type: a parameter of a model file, a field of one, or a part of the fields of routing. */
interface Type {
  type: string;
  fields?: Record<string, Type>;
}

/** What a name in brackets builds up: `svg[reasoning][effort]`, `models[]`. */
type Raw = string | Raw[] | { [name: string]: Raw };

/** The fields of routing (CONTRACT.md "Generating"); what is not listed of `provider` is a text. */
const routing: Record<string, Type> = {
  models: { type: "array" },
  provider: {
    type: "object",
    fields: {
      order: { type: "array" },
      only: { type: "array" },
      ignore: { type: "array" },
      allow_fallbacks: { type: "boolean" },
      require_parameters: { type: "boolean" },
      fallback_on_refusal: { type: "boolean" },
      max_price: { type: "price" },
    },
  },
};

/** Most levels of brackets; nothing that is known has more than two. */
const maxDepth = 4;

/**
 * @param texts the fields in their order, names as sent
 * @throws PublicError invalid_type, invalid_value
 */
export function readFormFields(texts: ReadonlyArray<[name: string, text: string]>, catalogue: Catalogue) {
  const raw = collect(texts);
  // The fields of routing first: they may name the model.
  for (const name of Object.keys(routing)) {
    if (name in raw) raw[name] = converted(name, raw[name] as Raw, routing[name]) as Raw;
  }
  const body: Record<string, unknown> = raw;
  const types = typesFor(body, catalogue);
  for (const name of Object.keys(raw)) {
    if (!(name in routing)) body[name] = converted(name, raw[name] as Raw, types.get(name));
  }
  return body;
}

/** The parameters of an edit by every model that the request names; the first one's type counts. */
function typesFor(body: Record<string, unknown>, catalogue: Catalogue): ReadonlyMap<string, Type> {
  // Of models without previews too: they take a 0.
  const types = new Map<string, Type>([["partial_images", { type: "integer" }]]);
  for (const { id } of readPreferences(body).models) {
    for (const parameter of catalogue.find(id)?.parametersOf.edit.all ?? []) {
      if (!types.has(parameter.name)) types.set(parameter.name, parameter);
    }
  }
  return types;
}

/** Names in brackets are put together; a plain name counts as it is, and only once. */
function collect(texts: ReadonlyArray<[name: string, text: string]>): Record<string, Raw> {
  const root: Record<string, Raw> = Object.create(null);
  for (const [name, text] of texts) {
    const path = /^([^[\]]+)((?:\[[^[\]]*\])+)$/.exec(name);
    const steps = path === null ? [] : [...(path[2] ?? "").matchAll(/\[([^[\]]*)\]/g)].map(([, step]) => step ?? "");
    if (steps.length > maxDepth) throw invalidValue(shown(name), `Invalid parameter: '${shown(name)}'.`);
    if (path === null) put(root, name, text, name);
    else place(root, path[1] ?? "", steps, text, name);
  }
  return root;
}

function place(into: Record<string, Raw>, key: string, steps: string[], text: string, name: string): void {
  const [step, ...rest] = steps;
  if (step === undefined) {
    put(into, key, text, name);
    return;
  }
  const found = into[key];
  if (step === "" && rest.length === 0) {
    if (found === undefined) into[key] = [text];
    else if (Array.isArray(found)) found.push(text);
    else throw duplicate(name);
    return;
  }
  if (found !== undefined && (typeof found !== "object" || Array.isArray(found))) throw duplicate(name);
  const inner: Record<string, Raw> = found ?? Object.create(null);
  into[key] = inner;
  place(inner, step, rest, text, name);
}

function put(into: Record<string, Raw>, key: string, text: string, name: string): void {
  if (key in into) throw duplicate(name);
  into[key] = text;
}

function converted(name: string, value: Raw, type: Type | undefined): unknown {
  if (typeof value !== "string") {
    if (Array.isArray(value)) return value;
    const entries = Object.entries(value).map(([inner, one]) => [
      inner,
      converted(`${name}.${inner}`, one, type?.fields?.[inner]),
    ]);
    return Object.fromEntries(entries);
  }
  switch (type?.type) {
    case "integer":
    case "seed":
      if (/^-?\d+$/.test(value)) return Number(value);
      // A decimal number is one for the catalogue to refuse.
      if (isDecimal(value)) return Number(value);
      throw unconvertible(name, "an integer");
    case "number":
      if (isDecimal(value)) return Number(value);
      throw unconvertible(name, "a number");
    case "boolean":
      if (value === "true" || value === "false") return value === "true";
      throw unconvertible(name, "a boolean");
    case "object":
      return parsed(
        name,
        value,
        "an object",
        (found) => typeof found === "object" && found !== null && !Array.isArray(found),
      );
    case "array":
      return parsed(name, value, "an array", Array.isArray);
    case "price":
      return value.startsWith("{") ? parsed(name, value, "an object", () => true) : value;
    default:
      return value;
  }
}

const isDecimal = (text: string): boolean => /^-?\d+(\.\d+)?([eE][+-]?\d{1,3})?$/.test(text);

function parsed(name: string, text: string, expected: string, fits: (value: unknown) => boolean): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw unconvertible(name, expected);
  }
  if (!fits(value)) throw unconvertible(name, expected);
  return value;
}

/** OpenAI's recorded words (§2.6). */
function unconvertible(name: string, expected: string): PublicError {
  const message = `Invalid type for '${name}': expected ${expected}, but got a string value that could not be converted into ${expected}.`;
  return new PublicError("invalid_type", message, { param: name });
}
