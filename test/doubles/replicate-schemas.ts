/**
 * The `input` of Replicate's FLUX models as data (upstream-apis.md §4.3; [S] for flux-pro and flux-1.1-pro, [U] for the
 * others), and the check of a body against it with the errors of §4.2 [M]. The words of the kinds that were not
 * captured are gojsonschema's, whose `enum` and `required` words the captured ones are [U].
 */

type Rule =
  | { type: "string"; enum?: readonly string[] }
  | { type: "integer" | "number"; min?: number; max?: number; multipleOf?: number }
  | { type: "boolean" };

export interface ReplicateModel {
  /** `owner/name`. */
  id: string;
  /** 64 hex digits, by which `POST /predictions` can also name the model. */
  version: string;
  input: Readonly<Record<string, Rule>>;
  output: "array" | "string";
  defaultFormat: "webp" | "jpg" | "png";
  sizeOf(input: Record<string, unknown>): { width: number; height: number };
}

export interface InvalidField {
  type: string;
  field: string;
  description: string;
}

const RATIOS = ["1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21"];
const PRO_RATIOS = ["1:1", "16:9", "3:2", "2:3", "4:5", "5:4", "9:16", "3:4", "4:3", "custom"];
const text: Rule = { type: "string" };
const integer = (min: number, max: number): Rule => ({ type: "integer", min, max });
const number = (min: number, max: number): Rule => ({ type: "number", min, max });
const choice = (...values: string[]): Rule => ({ type: "string", enum: values });

const SCHNELL: Record<string, Rule> = {
  prompt: text,
  aspect_ratio: choice(...RATIOS),
  num_outputs: integer(1, 4),
  num_inference_steps: integer(1, 4),
  seed: { type: "integer" },
  output_format: choice("webp", "jpg", "png"),
  output_quality: integer(0, 100),
  disable_safety_checker: { type: "boolean" },
  go_fast: { type: "boolean" },
  megapixels: choice("1", "0.25"),
};

const PRO_11: Record<string, Rule> = {
  prompt: text,
  image_prompt: text,
  aspect_ratio: choice(...PRO_RATIOS),
  width: { type: "integer", min: 256, max: 1440, multipleOf: 32 },
  height: { type: "integer", min: 256, max: 1440, multipleOf: 32 },
  safety_tolerance: integer(1, 6),
  seed: { type: "integer" },
  output_format: choice("webp", "jpg", "png"),
  output_quality: integer(0, 100),
  prompt_upsampling: { type: "boolean" },
};

/** Sides of about one megapixel by ratio [U]. */
const SIDES: Record<string, readonly [width: number, height: number]> = {
  "1:1": [1024, 1024],
  "16:9": [1344, 768],
  "21:9": [1536, 640],
  "3:2": [1216, 832],
  "2:3": [832, 1216],
  "4:5": [896, 1088],
  "5:4": [1088, 896],
  "3:4": [896, 1152],
  "4:3": [1152, 896],
  "9:16": [768, 1344],
  "9:21": [640, 1536],
};

function sidesByRatio(input: Record<string, unknown>): { width: number; height: number } {
  const [width, height] = SIDES[String(input.aspect_ratio ?? "1:1")] ?? [1024, 1024];
  return input.megapixels === "0.25" ? { width: width / 2, height: height / 2 } : { width, height };
}

/** `width` and `height` count only with `custom` [S]; otherwise they are passed over, as there. */
function sidesOrCustom(input: Record<string, unknown>): { width: number; height: number } {
  if (input.aspect_ratio !== "custom") return sidesByRatio(input);
  return { width: Number(input.width ?? 1024), height: Number(input.height ?? 1024) };
}

function model(
  name: string,
  output: "array" | "string",
  input: Record<string, Rule>,
  sizeOf: ReplicateModel["sizeOf"],
): ReplicateModel {
  const id = `black-forest-labs/${name}`;
  const version = new Bun.CryptoHasher("sha256").update(id).digest("hex");
  return { id, version, input, output, sizeOf, defaultFormat: "webp" };
}

export const REPLICATE_MODELS: readonly ReplicateModel[] = [
  model("flux-schnell", "array", SCHNELL, sidesByRatio),
  model(
    "flux-dev",
    "array",
    {
      ...SCHNELL,
      num_inference_steps: integer(1, 50),
      guidance: number(0, 10),
      image: text,
      prompt_strength: number(0, 1),
    },
    sidesByRatio,
  ),
  // The bounds of interval and safety_tolerance are [U].
  model(
    "flux-pro",
    "string",
    { ...PRO_11, steps: integer(1, 50), guidance: number(2, 5), interval: number(1, 4) },
    sidesOrCustom,
  ),
  model("flux-1.1-pro", "string", PRO_11, sidesOrCustom),
];

/** Webhooks are accepted as keys and refused in `replicate.ts`: this double delivers none. */
const TOP_KEYS = ["input", "webhook", "webhook_events_filter"];

/** Extra keys of the body itself; `version` belongs to `POST /predictions` alone. */
export function strangersIn(body: Record<string, unknown>, withVersion: boolean): InvalidField[] {
  const known = withVersion ? [...TOP_KEYS, "version"] : TOP_KEYS;
  const strangers = Object.keys(body).filter((key) => !known.includes(key));
  return strangers.map((key) => extra("(root)", key));
}

export function defectsOfInput(facts: ReplicateModel, input: Record<string, unknown>): InvalidField[] {
  const defects: InvalidField[] = [];
  if (input.prompt === undefined) {
    defects.push({ type: "required", field: "input", description: "prompt is required" });
  }
  for (const [name, value] of Object.entries(input)) {
    const rule = facts.input[name];
    const defect = rule ? defectOf(rule, name, value) : extra("input", name);
    if (defect) defects.push(defect);
  }
  return defects;
}

function extra(field: string, key: string): InvalidField {
  const description = `Additional property ${key} is not allowed`;
  return { type: "additional_property_not_allowed", field, description };
}

function defectOf(rule: Rule, name: string, value: unknown): InvalidField | undefined {
  const field = `input.${name}`;
  const given = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  const fits = rule.type === "integer" ? Number.isInteger(value) : given === rule.type;
  if (!fits)
    return { type: "invalid_type", field, description: `Invalid type. Expected: ${rule.type}, given: ${given}` };
  if (rule.type === "string" && rule.enum && !rule.enum.includes(String(value))) {
    const allowed = rule.enum.map((choice) => `"${choice}"`).join(", ");
    return { type: "enum", field, description: `${name} must be one of the following: ${allowed}` };
  }
  if (rule.type !== "integer" && rule.type !== "number") return undefined;
  const size = Number(value);
  const { min, max, multipleOf } = rule;
  if (min !== undefined && size < min) {
    return { type: "number_gte", field, description: `Must be greater than or equal to ${min}` };
  }
  if (max !== undefined && size > max) {
    return { type: "number_lte", field, description: `Must be less than or equal to ${max}` };
  }
  if (multipleOf !== undefined && size % multipleOf !== 0) {
    return { type: "multiple_of", field, description: `Must be a multiple of ${multipleOf}` };
  }
  return undefined;
}
