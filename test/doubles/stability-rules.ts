/** What Stability's v2beta endpoints accept, as data: upstream-apis.md §3 [S]. */
import type { InputImage } from "./selfhosted-inputs.ts";

export type Endpoint = "ultra" | "core" | "sd3";
export type Fields = Record<string, unknown>;

const RATIOS = ["21:9", "16:9", "3:2", "5:4", "1:1", "4:5", "2:3", "9:16", "9:21"];
const FORMATS = ["png", "jpeg", "webp"];
const PRESETS = [
  ...["enhance", "anime", "photographic", "digital-art", "comic-book", "fantasy-art", "line-art", "analog-film"],
  ...["neon-punk", "isometric", "low-poly", "origami", "modeling-compound", "cinematic", "3d-model", "pixel-art"],
  "tile-texture",
];

type Rule =
  | { kind: "text"; min?: number; max: number }
  | { kind: "enum"; values: readonly string[] }
  | { kind: "number"; min: number; max: number; whole?: boolean }
  | { kind: "file" };

const COMMON: Record<string, Rule> = {
  prompt: { kind: "text", min: 1, max: 10_000 },
  negative_prompt: { kind: "text", max: 10_000 },
  aspect_ratio: { kind: "enum", values: RATIOS },
  seed: { kind: "number", min: 0, max: 4_294_967_294, whole: true },
  output_format: { kind: "enum", values: FORMATS },
  style_preset: { kind: "enum", values: PRESETS },
};
const FROM_IMAGE: Record<string, Rule> = { image: { kind: "file" }, strength: { kind: "number", min: 0, max: 1 } };

/** `sd3.5-flash` is described, with its price, but missing from the published enum [S]; clients use it. */
const SD3_CREDITS: Record<string, number> = {
  "sd3.5-large": 6.5,
  "sd3.5-large-turbo": 4,
  "sd3.5-medium": 3.5,
  "sd3.5-flash": 2.5,
};

/** Since 2025-04-17 the old names run on 3.5 at the same price, §1 [S]. */
const SD3_ALIASES: Record<string, string> = {
  "sd3-large": "sd3.5-large",
  "sd3-large-turbo": "sd3.5-large-turbo",
  "sd3-medium": "sd3.5-medium",
};

const RULES: Record<Endpoint, Record<string, Rule>> = {
  ultra: { ...COMMON, ...FROM_IMAGE },
  core: COMMON,
  sd3: {
    ...COMMON,
    ...FROM_IMAGE,
    model: { kind: "enum", values: [...Object.keys(SD3_CREDITS), ...Object.keys(SD3_ALIASES)] },
    mode: { kind: "enum", values: ["text-to-image", "image-to-image"] },
    cfg_scale: { kind: "number", min: 1, max: 10 },
  },
};

/** Every defect, in the style of the documented `some-field: is required`; the other words are [U]. */
export function defectsOf(endpoint: Endpoint, fields: Fields): string[] {
  const rules = RULES[endpoint];
  const defects: string[] = [];
  if (fields.prompt === undefined) defects.push("prompt: is required");
  for (const [name, value] of Object.entries(fields)) {
    const rule = rules[name];
    const defect = rule ? defectOf(rule, value) : "is not a known field";
    if (defect) defects.push(`${name}: ${defect}`);
  }
  const has = (name: string) => fields[name] !== undefined;
  if (endpoint !== "core" && has("image") !== has("strength")) {
    defects.push(has("image") ? "strength: is required with image" : "image: is required with strength");
  }
  if (endpoint === "sd3") {
    const fromImage = fields.mode === "image-to-image";
    if (fromImage && !has("image")) defects.push("image: is required for image-to-image");
    if (!fromImage && has("image")) defects.push("image: is only for image-to-image");
    if (fromImage && has("aspect_ratio")) defects.push("aspect_ratio: is only for text-to-image");
  }
  return defects;
}

function defectOf(rule: Rule, value: unknown): string | undefined {
  if (Array.isArray(value)) return "must be sent once";
  if (rule.kind === "file") return value instanceof Blob ? undefined : "must be a file";
  if (typeof value !== "string") return "must not be a file";
  if (rule.kind === "text") {
    const tooShort = value.length < (rule.min ?? 0);
    return tooShort || value.length > rule.max
      ? `must be between ${rule.min ?? 0} and ${rule.max} characters`
      : undefined;
  }
  if (rule.kind === "enum") return rule.values.includes(value) ? undefined : `must be one of ${rule.values.join(", ")}`;
  if (!(rule.whole ? /^-?\d+$/ : /^-?\d+(\.\d+)?$/).test(value)) return "must be a number";
  const number = Number(value);
  return number < rule.min || number > rule.max ? `must be between ${rule.min} and ${rule.max}` : undefined;
}

/** Credits of one picture (1 credit = $0.01). */
export function creditsFor(endpoint: Endpoint, fields: Fields): number {
  if (endpoint !== "sd3") return endpoint === "ultra" ? 8 : 3;
  const asked = typeof fields.model === "string" ? fields.model : "sd3.5-large";
  return SD3_CREDITS[SD3_ALIASES[asked] ?? asked] ?? 6.5;
}

/** What a starting picture must be: the side is Stability's word for it, the words of the refusal are [U]. */
export function defectOfImage(image: InputImage): string | undefined {
  const { width, height, format } = image;
  if (width === undefined || height === undefined || !FORMATS.includes(format ?? "")) {
    return `image: must be a picture, one of ${FORMATS.join(", ")}`;
  }
  return Math.min(width, height) < 64 ? "image: every side must be at least 64 pixels" : undefined;
}

/** Sides of about one megapixel, multiples of 64 [U]. */
const SIDES: Record<string, readonly [width: number, height: number]> = {
  "21:9": [1536, 640],
  "16:9": [1344, 768],
  "3:2": [1216, 832],
  "5:4": [1088, 896],
  "1:1": [1024, 1024],
  "4:5": [896, 1088],
  "2:3": [832, 1216],
  "9:16": [768, 1344],
  "9:21": [640, 1536],
};

/**
 * Core makes 1.5 megapixels, the others one, from an image too [S]; the exact sides are [U], and so is that a picture
 * made from another has its shape unless a ratio is given.
 */
export function sidesFor(
  endpoint: Endpoint,
  fields: Fields,
  from: InputImage | undefined,
): { width: number; height: number } {
  if (from?.width && from.height && fields.aspect_ratio === undefined) {
    const scale = Math.sqrt((1024 * 1024) / (from.width * from.height));
    const side = (length: number) => Math.max(16, Math.round((length * scale) / 16) * 16);
    return { width: side(from.width), height: side(from.height) };
  }
  const [width, height] = SIDES[String(fields.aspect_ratio ?? "1:1")] ?? [1024, 1024];
  const scale = endpoint === "core" ? Math.sqrt(1.5) : 1;
  return { width: Math.round((width * scale) / 16) * 16, height: Math.round((height * scale) / 16) * 16 };
}
