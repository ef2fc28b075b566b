/**
 * Validation as FastAPI with pydantic 2 does it, for vLLM-Omni and SGLang (upstream-apis.md §7): errors are
 * `{"detail": [{type, loc, msg, input}]}` at 422, unknown fields are passed over, numbers in strings are numbers.
 */
import { json, type Reply } from "./double.ts";

export type FieldRule = { nullable?: boolean; required?: boolean } & (
  | { type: "string"; check?: (value: string) => string | undefined }
  | { type: "integer" | "number"; min?: number; max?: number }
  | { type: "boolean" | "object" }
);

export interface Defect {
  type: string;
  loc: (string | number)[];
  msg: string;
  input: unknown;
}

export function unprocessable(defects: readonly Defect[]): Reply {
  return json(422, { detail: defects });
}

/** An HTTPException: the detail is a text. */
export function detail(status: number, text: string): Reply {
  return json(status, { detail: text });
}

export const notFound = detail(404, "Not Found");

/** Of vLLM's and SGLang's key check, which runs before FastAPI does [U]. */
export const unauthorizedReply = json(401, { error: "Unauthorized" });

export function notJson(): Reply {
  const msg = "Input should be a valid dictionary or object to extract fields from";
  return unprocessable([{ type: "model_attributes_type", loc: ["body"], msg, input: null }]);
}

export function defectsIn(body: Record<string, unknown>, rules: Readonly<Record<string, FieldRule>>): Defect[] {
  return Object.entries(rules).flatMap(([name, rule]) => {
    const loc = ["body", name];
    if (!Object.hasOwn(body, name)) {
      return rule.required ? [{ type: "missing", loc, msg: "Field required", input: body }] : [];
    }
    const found = body[name] === null && rule.nullable ? undefined : defectOf(rule, body[name]);
    return found ? [{ type: found[0], loc, msg: found[1], input: body[name] }] : [];
  });
}

function defectOf(rule: FieldRule, value: unknown): [type: string, msg: string] | undefined {
  switch (rule.type) {
    case "string": {
      if (typeof value !== "string") return ["string_type", "Input should be a valid string"];
      const wrong = rule.check?.(value);
      return wrong === undefined ? undefined : ["value_error", `Value error, ${wrong}`];
    }
    case "boolean":
      return typeof value === "boolean" || value === "true" || value === "false"
        ? undefined
        : ["bool_parsing", "Input should be a valid boolean, unable to interpret input"];
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value)
        ? undefined
        : ["dict_type", "Input should be a valid dictionary"];
    default:
      return defectOfNumber(rule.type, rule.min, rule.max, value);
  }
}

function defectOfNumber(
  type: "integer" | "number",
  min: number | undefined,
  max: number | undefined,
  value: unknown,
): [type: string, msg: string] | undefined {
  const [short, long] = type === "integer" ? ["int", "integer"] : ["float", "number"];
  if (typeof value !== "number" && typeof value !== "string")
    return [`${short}_type`, `Input should be a valid ${long}`];
  const number = numberOf(value);
  if (Number.isNaN(number)) return [`${short}_parsing`, `Input should be a valid ${long}, unable to parse string`];
  if (type === "integer" && !Number.isInteger(number)) {
    return ["int_from_float", "Input should be a valid integer, got a number with a fractional part"];
  }
  if (min !== undefined && number < min) {
    return ["greater_than_equal", `Input should be greater than or equal to ${min}`];
  }
  if (max !== undefined && number > max) return ["less_than_equal", `Input should be less than or equal to ${max}`];
  return undefined;
}

/** A checked number field, also where it came as a text; undefined where it did not come. */
export function numberIn(body: Record<string, unknown>, name: string): number | undefined {
  const value = body[name];
  return value === undefined || value === null ? undefined : numberOf(value);
}

function numberOf(value: unknown): number {
  return typeof value === "string" && value.trim() === "" ? Number.NaN : Number(value);
}
