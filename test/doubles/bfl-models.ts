/**
 * The models of Black Forest Labs' own API as data: [S] from its OpenAPI document (upstream-apis.md §5) where nothing
 * else is said. Prices are §9's, in credits (one credit is $0.01).
 */
import {
  boolean,
  choice,
  type Detail,
  type Fields,
  type Input,
  integer,
  nullable,
  number,
  type Rule,
  required,
  text,
  valueError,
} from "./bfl-fastapi.ts";
import type { InputPicture, PictureForm } from "./bfl-images.ts";

export interface Size {
  width: number;
  height: number;
}

export interface BflModel {
  /** The last part of `POST /v1/{name}`. */
  name: string;
  fields: Fields;
  defaultFormat: "jpeg" | "png";
  /** The fields that carry pictures. */
  pictures: { names: readonly string[]; form: PictureForm };
  /** One price each, or by the megapixel: every one beyond the first of the output, and every one of the input. */
  credits: { each: number } | { first: number; more: number };
  sizeOf(input: Input, pictures: readonly InputPicture[]): Size;
  /** What needs more than one field to be seen. */
  defectOf?(input: Input): Detail | undefined;
}

/** [U]: whether a megapixel is 1024² or 1,000,000 pixels is not documented; 2048x2048 is sold as 4 MP. */
export const MEGAPIXEL = 1024 * 1024;

const url: Rule = {
  type: "string",
  check: (value) => (URL.canParse(value) && /^https?:/.test(value) ? undefined : "not a valid URL"),
};
const common: Fields = {
  seed: nullable(integer()),
  output_format: nullable(choice("jpeg", "png", "webp")),
  webhook_url: nullable(url),
  webhook_secret: nullable(text),
};
const numbered = (count: number) =>
  Array.from({ length: count }, (_, index) => (index === 0 ? "input_image" : `input_image_${index + 1}`));
const optionalTexts = (names: readonly string[]): Fields =>
  Object.fromEntries(names.map((name) => [name, nullable(text)]));

/** "Aspect ratio of the image between 21:9 and 9:21". Its refusal's words are [U]. */
const ratio: Rule = {
  type: "string",
  check: (value) => {
    const match = /^(\d+):(\d+)$/.exec(value);
    const sides = match ? Number(match[1]) / Number(match[2]) : Number.NaN;
    return sides >= 9 / 21 && sides <= 21 / 9 ? undefined : "aspect ratio must be between 21:9 and 9:21";
  },
};

/** ×16 and 4 MP are §5's; that they are refused rather than rounded is [U]. 0 stands for "match the input". */
const flexibleSide: Rule = { type: "integer", min: 64, multipleOf: 16, orZero: true, nullable: true };

function flux2(name: string, imageCount: number, credits: BflModel["credits"], more: Fields = {}): BflModel {
  const names = numbered(imageCount);
  return {
    name,
    fields: {
      prompt: required(text),
      ...optionalTexts(names),
      width: flexibleSide,
      height: flexibleSide,
      safety_tolerance: integer(0, 5),
      ...common,
      ...more,
    },
    defaultFormat: "jpeg",
    pictures: { names, form: "base64 or link" },
    credits,
    sizeOf: (input, [first]) => {
      const matched = first ? matching(first) : { width: 1024, height: 1024 };
      return { width: Number(input.width) || matched.width, height: Number(input.height) || matched.height };
    },
    defectOf: ({ width, height }) =>
      Number(width) * Number(height) > 4 * MEGAPIXEL
        ? valueError("width", "width and height must be at most 4 megapixels together")
        : undefined,
  };
}

/** The size of the input, in steps of 16 and at most 4 MP [U]. */
function matching({ width, height }: Size): Size {
  const scale = Math.min(1, Math.sqrt((4 * MEGAPIXEL) / (width * height)));
  const step = (side: number) => Math.max(64, Math.floor((side * scale) / 16) * 16);
  return { width: step(width), height: step(height) };
}

const side32: Rule = { type: "integer", min: 256, max: 1440, multipleOf: 32 };
const FLUX1_FIELDS: Fields = {
  image_prompt: nullable(text),
  width: side32,
  height: side32,
  prompt_upsampling: boolean,
  safety_tolerance: integer(0, 6),
  ...common,
};
/** Mind the default: 1024x768, not a square. */
const flux1Size = ({ width, height }: Input): Size => ({ width: Number(width ?? 1024), height: Number(height ?? 768) });
const imagePrompt = { names: ["image_prompt"], form: "base64" } as const;

/** 4 MP in steps of 64: 16:9 gives 2752x1536 [U]. */
function ultraSize(input: Input): Size {
  const [across = 16, down = 9] = String(input.aspect_ratio ?? "16:9")
    .split(":")
    .map(Number);
  const side = (share: number) => Math.round(Math.sqrt(4 * MEGAPIXEL * share) / 64) * 64;
  return { width: side(across / down), height: side(down / across) };
}

/** The sizes FLUX.1 Kontext was trained on [S: github.com/black-forest-labs/flux]; that the API uses them is [U]. */
const KONTEXT_WIDTHS = [672, 688, 720, 752, 800, 832, 880, 944, 1024, 1104, 1184, 1248, 1328, 1392, 1456, 1504, 1568];

function kontextSize(input: Input, [first]: readonly InputPicture[]): Size {
  const [across = 1, down = 1] = input.aspect_ratio
    ? String(input.aspect_ratio).split(":").map(Number)
    : [first?.width, first?.height];
  // The list reads backwards as the heights.
  const sizes = KONTEXT_WIDTHS.map((width, index) => ({ width, height: KONTEXT_WIDTHS.at(-1 - index) ?? width }));
  const distance = ({ width, height }: Size) => Math.abs(Math.log(width / height / (across / down)));
  return sizes.reduce((best, size) => (distance(size) < distance(best) ? size : best));
}

function kontext(name: string, each: number): BflModel {
  const names = numbered(4);
  return {
    name,
    fields: {
      prompt: required(text),
      ...optionalTexts(names),
      aspect_ratio: nullable(ratio),
      prompt_upsampling: boolean,
      safety_tolerance: integer(0, 6),
      ...common,
    },
    defaultFormat: "png",
    pictures: { names, form: "base64 or link" },
    credits: { each },
    sizeOf: kontextSize,
  };
}

const TOOL_FIELDS: Fields = {
  image: required(text),
  prompt: nullable(text),
  steps: nullable(integer(15, 50)),
  prompt_upsampling: nullable(boolean),
  guidance: nullable(number(1.5, 100)),
  safety_tolerance: integer(0, 6),
  ...common,
};
const margin = nullable(integer(0, 2048));

export const BFL_MODELS: readonly BflModel[] = [
  flux2("flux-2-pro", 8, { first: 3, more: 1.5 }),
  flux2("flux-2-pro-preview", 8, { first: 3, more: 1.5 }),
  flux2("flux-2-max", 8, { first: 7, more: 3 }),
  flux2(
    "flux-2-flex",
    8,
    { first: 5, more: 5 },
    {
      prompt_upsampling: nullable(boolean),
      guidance: nullable(number(1.5, 10)),
      steps: nullable(integer(1, 50)),
    },
  ),
  flux2("flux-2-klein-4b", 4, { first: 1.4, more: 0.1 }),
  flux2("flux-2-klein-9b", 4, { first: 1.5, more: 0.2 }),
  flux2("flux-2-klein-9b-preview", 4, { first: 1.5, more: 0.2 }),
  {
    name: "flux-pro-1.1",
    fields: { prompt: nullable(text), ...FLUX1_FIELDS },
    defaultFormat: "jpeg",
    pictures: imagePrompt,
    credits: { each: 4 },
    sizeOf: flux1Size,
  },
  {
    name: "flux-pro-1.1-ultra",
    fields: {
      prompt: nullable(text),
      prompt_upsampling: boolean,
      aspect_ratio: ratio,
      safety_tolerance: integer(0, 6),
      raw: boolean,
      image_prompt: nullable(text),
      image_prompt_strength: number(0, 1),
      ...common,
    },
    defaultFormat: "jpeg",
    pictures: imagePrompt,
    credits: { each: 6 },
    sizeOf: ultraSize,
  },
  {
    name: "flux-dev",
    fields: { prompt: text, ...FLUX1_FIELDS, steps: nullable(integer(1, 50)), guidance: nullable(number(1.5, 5)) },
    defaultFormat: "jpeg",
    pictures: imagePrompt,
    credits: { each: 2.5 }, // [U]
    sizeOf: flux1Size,
  },
  {
    name: "flux-pro-1.0-fill",
    fields: { ...TOOL_FIELDS, mask: nullable(text) },
    defaultFormat: "jpeg",
    pictures: { names: ["image", "mask"], form: "base64" },
    credits: { each: 5 }, // [U]
    sizeOf: (_, [image]) => ({ width: image?.width ?? 1024, height: image?.height ?? 1024 }),
  },
  {
    name: "flux-pro-1.0-expand",
    fields: { ...TOOL_FIELDS, top: margin, bottom: margin, left: margin, right: margin },
    defaultFormat: "jpeg",
    pictures: { names: ["image"], form: "base64" },
    credits: { each: 5 }, // [U]
    sizeOf: ({ top, bottom, left, right }, [image]) => ({
      width: (image?.width ?? 1024) + Number(left ?? 0) + Number(right ?? 0),
      height: (image?.height ?? 1024) + Number(top ?? 0) + Number(bottom ?? 0),
    }),
  },
  kontext("flux-kontext-pro", 4),
  kontext("flux-kontext-max", 8),
];

/** Whole megapixels are charged, each begun one full [U]: 1024x1024 is one, the price table's "first MP". */
export function creditsFor(model: BflModel, size: Size, pictures: readonly InputPicture[]): number {
  const { credits } = model;
  if ("each" in credits) return credits.each;
  const begun = (one: Size) => Math.ceil((one.width * one.height) / MEGAPIXEL);
  const more = begun(size) - 1 + pictures.reduce((sum, picture) => sum + begun(picture), 0);
  return Math.round((credits.first + more * credits.more) * 100) / 100;
}
