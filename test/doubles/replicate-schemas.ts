/**
 * The `input` of Replicate's FLUX models as data (upstream-apis.md §4.3 with its marks; ranges and lists that it leaves
 * out are those of the models' API pages on replicate.com), and the check of a body against it with the errors of §4.2
 * [M]. The words of the kinds that were not captured are gojsonschema's, whose `enum` and `required` words the captured
 * ones are [U].
 *
 * Stricter than the real ones in one point: there a side off the grid is rounded in silence, here it is refused, so that
 * a router which relies on it is found out.
 */
import { defectOfImage } from "./replicate-inputs.ts";
import { flux2Size, kontextSize, openWeightSize, proSize, type Size, ultraSize } from "./replicate-sizes.ts";

type Rule =
  | { type: "string"; enum?: readonly string[] }
  | { type: "integer" | "number"; min?: number; max?: number; multipleOf?: number }
  | { type: "boolean" }
  | { type: "image" }
  | { type: "images"; max: number };

export interface ReplicateModel {
  /** `owner/name`. */
  id: string;
  /** 64 hex digits, by which `POST /predictions` can also name the model. */
  version: string;
  input: Readonly<Record<string, Rule>>;
  output: "array" | "string";
  defaultFormat: "webp" | "jpg" | "png";
  /** `first` is the first input picture whose bytes were sent. */
  sizeOf(input: Record<string, unknown>, first: Size | undefined): Size;
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
const image: Rule = { type: "image" };
const seed: Rule = { type: "integer" };
const onOff: Rule = { type: "boolean" };
const side = (max: number, multipleOf: number): Rule => ({ type: "integer", min: 256, max, multipleOf });
const choice = (...values: string[]): Rule => ({ type: "string", enum: values });

const SCHNELL: Record<string, Rule> = {
  prompt: text,
  aspect_ratio: choice(...RATIOS),
  num_outputs: integer(1, 4),
  num_inference_steps: integer(1, 4),
  seed,
  output_format: choice("webp", "jpg", "png"),
  output_quality: integer(0, 100),
  disable_safety_checker: onOff,
  go_fast: onOff,
  megapixels: choice("1", "0.25"),
};

const PRO_11: Record<string, Rule> = {
  prompt: text,
  image_prompt: image,
  aspect_ratio: choice(...PRO_RATIOS),
  width: side(1440, 32),
  height: side(1440, 32),
  safety_tolerance: integer(1, 6),
  seed,
  output_format: choice("webp", "jpg", "png"),
  output_quality: integer(0, 100),
  prompt_upsampling: onOff,
};

const ULTRA: Record<string, Rule> = {
  prompt: text,
  aspect_ratio: choice(...RATIOS),
  raw: onOff,
  image_prompt: image,
  image_prompt_strength: number(0, 1),
  safety_tolerance: integer(1, 6),
  seed,
  output_format: choice("jpg", "png"),
};

const KONTEXT: Record<string, Rule> = {
  prompt: text,
  input_image: image,
  aspect_ratio: choice("match_input_image", ...RATIOS, "2:1", "1:2"),
  seed,
  output_format: choice("jpg", "png"),
  safety_tolerance: integer(0, 6),
  prompt_upsampling: onOff,
};

/** `prompt_upsampling`, which flex has, is not on the API page of the version of pro with `resolution`. */
const FLUX_2: Record<string, Rule> = {
  prompt: text,
  aspect_ratio: choice("match_input_image", ...PRO_RATIOS),
  resolution: choice("match_input_image", "0.5 MP", "1 MP", "2 MP", "4 MP"),
  safety_tolerance: integer(1, 5),
  seed,
  output_format: choice("webp", "jpg", "png"),
  output_quality: integer(0, 100),
};
const FLUX_2_PRO: Record<string, Rule> = {
  ...FLUX_2,
  input_images: { type: "images", max: 8 },
  width: side(2048, 16),
  height: side(2048, 16),
};
/** The ranges of steps and guidance are [U]. */
const FLUX_2_FLEX: Record<string, Rule> = {
  ...FLUX_2,
  input_images: { type: "images", max: 10 },
  width: side(2048, 32),
  height: side(2048, 32),
  prompt_upsampling: onOff,
  steps: integer(1, 50),
  guidance: number(1.5, 10),
};

function model(
  name: string,
  output: "array" | "string",
  input: Record<string, Rule>,
  sizeOf: ReplicateModel["sizeOf"],
  defaultFormat: ReplicateModel["defaultFormat"] = "webp",
): ReplicateModel {
  const id = `black-forest-labs/${name}`;
  const version = new Bun.CryptoHasher("sha256").update(id).digest("hex");
  return { id, version, input, output, sizeOf, defaultFormat };
}

export const REPLICATE_MODELS: readonly ReplicateModel[] = [
  model("flux-schnell", "array", SCHNELL, openWeightSize),
  model(
    "flux-dev",
    "array",
    {
      ...SCHNELL,
      num_inference_steps: integer(1, 50),
      guidance: number(0, 10),
      image,
      prompt_strength: number(0, 1),
    },
    openWeightSize,
  ),
  // The bounds of interval and safety_tolerance are [U].
  model(
    "flux-pro",
    "string",
    { ...PRO_11, steps: integer(1, 50), guidance: number(2, 5), interval: number(1, 4) },
    proSize,
  ),
  model("flux-1.1-pro", "string", PRO_11, proSize),
  model("flux-1.1-pro-ultra", "string", ULTRA, ultraSize, "jpg"),
  model("flux-kontext-pro", "string", KONTEXT, kontextSize, "png"),
  model("flux-kontext-max", "string", KONTEXT, kontextSize, "png"),
  model("flux-2-pro", "string", FLUX_2_PRO, flux2Size),
  model("flux-2-flex", "string", FLUX_2_FLEX, flux2Size),
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
  // "2 is currently the maximum allowed when input images are used" says the API page; the words of a breach are [U].
  if (facts.input.input_image && input.input_image !== undefined && Number(input.safety_tolerance ?? 2) > 2) {
    const description = "Must be less than or equal to 2 when an input image is used";
    defects.push({ type: "number_lte", field: "input.safety_tolerance", description });
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
  const expected = rule.type === "image" ? "string" : rule.type === "images" ? "array" : rule.type;
  const fits = rule.type === "integer" ? Number.isInteger(value) : given === expected;
  if (!fits)
    return { type: "invalid_type", field, description: `Invalid type. Expected: ${expected}, given: ${given}` };
  if (rule.type === "image") return formatDefect(field, value);
  if (rule.type === "images") return defectOfList(rule.max, field, Array.isArray(value) ? value : []);
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

function formatDefect(field: string, value: unknown): InvalidField | undefined {
  const description = defectOfImage(value);
  return description === undefined ? undefined : { type: "format", field, description };
}

function defectOfList(max: number, field: string, images: unknown[]): InvalidField | undefined {
  if (images.length > max) {
    return { type: "array_max_items", field, description: `Array must have at most ${max} items` };
  }
  for (const [index, image] of images.entries()) {
    const defect = defectOf({ type: "image" }, `${field.slice("input.".length)}.${index}`, image);
    if (defect) return defect;
  }
  return undefined;
}
