/**
 * The FLUX apps of fal as data: fields of upstream-apis.md §6.1 [S], their limits from the apps' own pages
 * [S: fal.ai/docs/model-api-reference, fal.ai/models/…/llms.txt]; limits marked [U] are not stated there.
 */
import {
  at,
  boolean,
  choice,
  type Detail,
  defectsOfBody,
  type Fields,
  type Input,
  integer,
  isObject,
  number,
  type Rule,
  required,
  text,
} from "./bfl-fastapi.ts";

export interface Size {
  width: number;
  height: number;
}

export interface FalApp {
  /** `fal-ai/flux/schnell`: owner, app, and the rest, which the addresses of a request leave out [S]. */
  id: string;
  fields: Fields;
  /** The fields that carry pictures. */
  pictures: readonly string[];
  sizeOf(input: Input, first: Size | undefined): Size;
}

const NAMED_SIZES: Record<string, Size> = {
  square_hd: { width: 1024, height: 1024 },
  square: { width: 512, height: 512 },
  portrait_4_3: { width: 768, height: 1024 },
  portrait_16_9: { width: 576, height: 1024 },
  landscape_4_3: { width: 1024, height: 768 },
  landscape_16_9: { width: 1024, height: 576 },
};

/** 14142 is the schema's bound on a side. */
const SIDES: Fields = { width: required(integer(1, 14_142)), height: required(integer(1, 14_142)) };

const imageSize: Rule = {
  type: "custom",
  check: (value): Detail | undefined => {
    if (typeof value === "string" && value in NAMED_SIZES) return undefined;
    if (!isObject(value)) {
      const names = Object.keys(NAMED_SIZES).map((name) => `'${name}'`);
      return at("image_size", "enum", `Input should be ${names.slice(0, -1).join(", ")} or ${names.at(-1)}`);
    }
    const [defect] = defectsOfBody(SIDES, value);
    return defect && { ...defect, loc: ["body", "image_size", ...defect.loc.slice(1)] };
  },
};

/** fal's own default is a 4:3 landscape, not a square. */
function sizeByName({ image_size: size = "landscape_4_3" }: Input): Size {
  if (isObject(size)) return { width: Number(size.width), height: Number(size.height) };
  return NAMED_SIZES[String(size)] ?? { width: 1024, height: 768 };
}

const RATIOS = ["21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21"];

/** Sides of that many megapixels, in steps [U]. */
function sizeByRatio(ratio: string, megapixels: number, step: number): Size {
  const [across = 1, down = 1] = ratio.split(":").map(Number);
  const side = (share: number) => Math.round(Math.sqrt(megapixels * 1024 * 1024 * share) / step) * step;
  return { width: side(across / down), height: side(down / across) };
}

const common: Fields = {
  prompt: required(text),
  seed: { ...integer(), nullable: true },
  sync_mode: boolean,
  output_format: choice("jpeg", "png"),
};
const several: Fields = { num_images: integer(1, 4) };
const tolerance = (...levels: string[]): Fields => ({ safety_tolerance: choice(...levels) });
/** Strings, not numbers. */
const proTolerance = tolerance("1", "2", "3", "4", "5", "6");

function openWeights(id: string, maxSteps: number): FalApp {
  return {
    id,
    fields: {
      ...common,
      ...several,
      image_size: imageSize,
      num_inference_steps: integer(1, maxSteps),
      guidance_scale: number(1, 20),
      enable_safety_checker: boolean,
      acceleration: choice("none", "regular", "high"),
    },
    pictures: [],
    sizeOf: sizeByName,
  };
}

const FLUX_2_PRO: Fields = {
  ...common,
  image_size: imageSize,
  ...tolerance("1", "2", "3", "4", "5"),
  enable_safety_checker: boolean,
};

/** At most eight, as at BFL [U]. */
const imageUrls: Rule = {
  type: "custom",
  required: true,
  check: (value): Detail | undefined => {
    if (!Array.isArray(value) || value.some((one) => typeof one !== "string")) {
      return at("image_urls", "list_type", "Input should be a valid list of strings");
    }
    if (value.length === 0) return at("image_urls", "too_short", "List should have at least 1 item after validation");
    return value.length > 8
      ? at("image_urls", "too_long", "List should have at most 8 items after validation")
      : undefined;
  },
};

export const FAL_APPS: readonly FalApp[] = [
  openWeights("fal-ai/flux/schnell", 12),
  openWeights("fal-ai/flux/dev", 50),
  {
    id: "fal-ai/flux-pro/v1.1",
    fields: {
      ...common,
      ...several,
      image_size: imageSize,
      ...proTolerance,
      enable_safety_checker: boolean,
      enhance_prompt: boolean,
    },
    pictures: [],
    sizeOf: sizeByName,
  },
  {
    id: "fal-ai/flux-pro/v1.1-ultra",
    fields: {
      ...common,
      ...several,
      ...proTolerance,
      enable_safety_checker: boolean,
      enhance_prompt: boolean,
      aspect_ratio: choice(...RATIOS),
      raw: boolean,
      image_url: text,
      image_prompt_strength: number(0, 1),
    },
    pictures: ["image_url"],
    sizeOf: ({ aspect_ratio: ratio = "16:9" }) => sizeByRatio(String(ratio), 4, 64),
  },
  { id: "fal-ai/flux-2-pro", fields: FLUX_2_PRO, pictures: [], sizeOf: sizeByName },
  {
    id: "fal-ai/flux-2-pro/edit",
    fields: { ...FLUX_2_PRO, image_urls: imageUrls },
    pictures: ["image_urls"],
    // Without `image_size` the first picture's [U].
    sizeOf: (input, first) => (input.image_size === undefined && first ? { ...first } : sizeByName(input)),
  },
  {
    id: "fal-ai/flux-pro/kontext",
    fields: {
      ...common,
      ...several,
      ...proTolerance,
      enhance_prompt: boolean,
      guidance_scale: number(1, 20),
      aspect_ratio: choice(...RATIOS),
      image_url: required(text),
    },
    pictures: ["image_url"],
    sizeOf: ({ aspect_ratio: ratio }, first) =>
      sizeByRatio(ratio === undefined ? `${first?.width ?? 1}:${first?.height ?? 1}` : String(ratio), 1, 16),
  },
];
