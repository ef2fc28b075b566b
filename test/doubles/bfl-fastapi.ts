/**
 * The check of a JSON body as FastAPI with pydantic does it, and its 422 body: `{"detail":[{"loc","msg","type"}]}`. Both
 * Black Forest Labs and fal answer so (upstream-apis.md §5, §6.1); the words are pydantic 2's [U].
 *
 * One thing is stricter than pydantic's default: a field the schema does not know is refused (`extra_forbidden`) where
 * the real services pass over it [U]. A router that sends such a field believes it honours what nobody reads.
 */
import { json, type Reply } from "./double.ts";

export interface Detail {
  loc: (string | number)[];
  msg: string;
  type: string;
  ctx?: Record<string, unknown>;
  url?: string;
}

export type Rule = { required?: true; nullable?: true } & (
  | { type: "string"; enum?: readonly string[]; check?: (value: string) => string | undefined }
  | { type: "integer" | "number"; min?: number; max?: number; multipleOf?: number; orZero?: true }
  | { type: "boolean" }
  /** What no other kind of rule can say: a defect's words, or a whole detail. */
  | { type: "custom"; check: (value: unknown) => string | Detail | undefined }
);

export type Fields = Readonly<Record<string, Rule>>;

export type Input = Record<string, unknown>;

export const text: Rule = { type: "string" };
export const boolean: Rule = { type: "boolean" };
export const integer = (min?: number, max?: number): Rule => ranged("integer", min, max);
export const number = (min?: number, max?: number): Rule => ranged("number", min, max);
export const choice = (...values: string[]): Rule => ({ type: "string", enum: values });
export const required = (rule: Rule): Rule => ({ ...rule, required: true });
export const nullable = (rule: Rule): Rule => ({ ...rule, nullable: true });

function ranged(type: "integer" | "number", min: number | undefined, max: number | undefined): Rule {
  return { type, ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
}

export function isObject(value: unknown): value is Input {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function unprocessable(details: readonly Detail[], headers: Record<string, string> = {}): Reply {
  return json(422, { detail: details }, headers);
}

/** `body` undefined: it was not JSON. */
export function defectsOfBody(fields: Fields, body: unknown): Detail[] {
  if (body === undefined) return [{ loc: ["body", 0], msg: "JSON decode error", type: "json_invalid" }];
  if (!isObject(body)) {
    const msg = "Input should be a valid dictionary or object to extract fields from";
    return [{ loc: ["body"], msg, type: "model_attributes_type" }];
  }
  const missing = Object.entries(fields)
    .filter(([name, rule]) => rule.required && body[name] === undefined)
    .map(([name]) => at(name, "missing", "Field required"));
  const wrong = Object.entries(body).flatMap(([name, value]) => {
    const rule = fields[name];
    if (!rule) return [at(name, "extra_forbidden", "Extra inputs are not permitted")];
    if (value === null && rule.nullable) return [];
    return defectOf(rule, name, value) ?? [];
  });
  return [...missing, ...wrong];
}

export function at(name: string, type: string, msg: string): Detail {
  return { loc: ["body", name], msg, type };
}

export function valueError(name: string, words: string): Detail {
  return at(name, "value_error", `Value error, ${words}`);
}

function defectOf(rule: Rule, name: string, value: unknown): Detail | undefined {
  switch (rule.type) {
    case "custom": {
      const defect = rule.check(value);
      return typeof defect === "string" ? valueError(name, defect) : defect;
    }
    case "boolean":
      return typeof value === "boolean" ? undefined : at(name, "bool_type", "Input should be a valid boolean");
    case "string": {
      if (typeof value !== "string") return at(name, "string_type", "Input should be a valid string");
      if (rule.enum && !rule.enum.includes(value)) return at(name, "enum", `Input should be ${listed(rule.enum)}`);
      const words = rule.check?.(value);
      return words === undefined ? undefined : valueError(name, words);
    }
    default:
      return defectOfNumber(rule, name, value);
  }
}

function defectOfNumber(
  rule: Extract<Rule, { type: "integer" | "number" }>,
  name: string,
  value: unknown,
): Detail | undefined {
  const isInteger = rule.type === "integer";
  if (typeof value !== "number" || (isInteger && !Number.isInteger(value))) {
    return at(name, isInteger ? "int_type" : "float_type", `Input should be a valid ${rule.type}`);
  }
  if (rule.orZero && value === 0) return undefined;
  const { min, max, multipleOf } = rule;
  if (min !== undefined && value < min) {
    return at(name, "greater_than_equal", `Input should be greater than or equal to ${min}`);
  }
  if (max !== undefined && value > max) {
    return at(name, "less_than_equal", `Input should be less than or equal to ${max}`);
  }
  if (multipleOf !== undefined && value % multipleOf !== 0) {
    return at(name, "multiple_of", `Input should be a multiple of ${multipleOf}`);
  }
  return undefined;
}

/** `'jpeg', 'png' or 'webp'`. */
function listed(values: readonly string[]): string {
  const quoted = values.map((value) => `'${value}'`);
  return quoted.length < 2 ? quoted.join("") : `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
}
