/** FLUX at Replicate (upstream-apis.md §4.3), Black Forest Labs (§5) and fal (§6.1), with the prices of §9. */
import {
  anySides,
  as,
  never,
  only,
  own,
  type RouteFacts,
  type Sent,
  sidesOf,
  unsent,
  type Words,
  within,
} from "./words.ts";

const nevers = (...names: string[]): Record<string, Words> => Object.fromEntries(names.map((name) => [name, never]));
const isMultiple = (size: unknown, step: number, minimum: number, maximum: number): boolean => {
  const { width, height } = sidesOf(size);
  return [width, height].every((side) => side % step === 0 && side >= minimum && side <= maximum);
};

/** `jpg`, not `jpeg` (§4.3). */
const replicateFormat =
  (...formats: string[]): Words =>
  (value) => {
    const format = value === "jpeg" ? "jpg" : String(value);
    return formats.includes(format) ? { output_format: format } : null;
  };
/** Sides count only with the ratio `custom`. */
const customSize =
  (step: number, maximum: number): Words =>
  (size) =>
    isMultiple(size, step, 256, maximum) ? { aspect_ratio: "custom", ...sidesOf(size) } : null;

const openWeights: Record<string, Words> = {
  ...own("go_fast", "megapixels", "disable_safety_checker", "seed", "output_quality", "aspect_ratio"),
  output_format: replicateFormat("webp", "jpg", "png"),
  ...nevers("size", "safety_tolerance"),
  user: unsent,
};
const pro11: Record<string, Words> = {
  ...own("image_prompt", "prompt_upsampling", "seed", "output_quality", "aspect_ratio"),
  safety_tolerance: within(1, 6, as("safety_tolerance")),
  output_format: replicateFormat("webp", "jpg", "png"),
  size: customSize(32, 1440),
  user: unsent,
};
const kontext: Record<string, Words> = {
  ...own("prompt_upsampling", "seed", "aspect_ratio"),
  // 0 to 6, but at most 2 with a picture.
  safety_tolerance: within(0, 2, as("safety_tolerance")),
  output_format: replicateFormat("jpg", "png"),
  user: unsent,
};
const flux2 = (step: number): Record<string, Words> => ({
  ...own("resolution", "seed", "output_quality", "steps", "guidance", "prompt_upsampling"),
  // As at flux-1.1-pro; §4.3 names only 1:1, and nobody documents the two longest.
  aspect_ratio: only(["1:1", "16:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16"], as("aspect_ratio")),
  safety_tolerance: within(1, 5, as("safety_tolerance")),
  output_format: replicateFormat("webp", "jpg", "png"),
  size: customSize(step, 2048),
  user: unsent,
});
const single = { perCall: 1, countField: null };
const perImage = (usd: number): Pick<RouteFacts, "price"> => ({ price: { per: "image", usd } });
/** No price is published; the tests put this one into the file, to see what would be sent. */
export const madeUpUsd = 0.05;
const unpriced = { ...perImage(madeUpUsd), unpriced: () => true };
const matchInput: Sent = { aspect_ratio: "match_input_image" };

export const replicateFacts: Readonly<Record<string, RouteFacts>> = {
  "flux-1-schnell": {
    upstream: "black-forest-labs/flux-schnell",
    words: { ...openWeights, num_inference_steps: within(1, 4, as("num_inference_steps")) },
    perCall: 4,
    countField: "num_outputs",
    mostPictures: 0,
    ...perImage(0.003),
  },
  "flux-1-dev": {
    upstream: "black-forest-labs/flux-dev",
    words: {
      ...openWeights,
      ...own("num_inference_steps", "prompt_strength"),
      guidance: within(0, 10, as("guidance")),
    },
    perCall: 4,
    countField: "num_outputs",
    mostPictures: 1,
    ...perImage(0.025),
  },
  "flux-1-pro": {
    upstream: "black-forest-labs/flux-pro",
    words: { ...pro11, ...own("steps", "guidance", "interval") },
    ...single,
    mostPictures: 0,
    // service-facts.md, "Image endpoint".
    ...perImage(0.05),
  },
  "flux-1.1-pro": {
    upstream: "black-forest-labs/flux-1.1-pro",
    words: pro11,
    ...single,
    mostPictures: 0,
    ...perImage(0.04),
  },
  "flux-1.1-pro-ultra": {
    upstream: "black-forest-labs/flux-1.1-pro-ultra",
    words: {
      ...own("raw", "image_prompt", "image_prompt_strength", "seed", "aspect_ratio"),
      safety_tolerance: within(1, 6, as("safety_tolerance")),
      output_format: replicateFormat("jpg", "png"),
      user: unsent,
    },
    ...single,
    mostPictures: 0,
    ...perImage(0.06),
  },
  "flux-1-kontext-pro": {
    upstream: "black-forest-labs/flux-kontext-pro",
    words: kontext,
    ...single,
    mostPictures: 1,
    ...perImage(0.04),
  },
  "flux-1-kontext-max": {
    upstream: "black-forest-labs/flux-kontext-max",
    words: kontext,
    ...single,
    mostPictures: 1,
    ...perImage(0.08),
  },
  "flux-2-pro": {
    upstream: "black-forest-labs/flux-2-pro",
    words: flux2(16),
    ...single,
    mostPictures: 8,
    editSends: matchInput,
    ...unpriced,
  },
  "flux-2-flex": {
    upstream: "black-forest-labs/flux-2-flex",
    words: flux2(32),
    ...single,
    mostPictures: 10,
    editSends: matchInput,
    ...unpriced,
  },
};

const jpeg: Words = (value) => ({ output_format: value === "jpg" ? "jpeg" : value });
/** No ratios but at Kontext and ultra: pixels of the same shape. */
const bflFlux1: Record<string, Words> = {
  ...own("safety_tolerance", "seed"),
  output_format: jpeg,
  size: (size) => ({ ...sidesOf(size) }),
  aspect_ratio: () => ({ ...anySides }),
  // Base64 there, an https link here.
  ...nevers("image_prompt", "output_quality"),
  user: unsent,
};
/** `prompt_upsampling`: BFL's OpenAPI document, FluxPro11Inputs and FluxKontextProInputs. */
const bflPro11: Record<string, Words> = { ...bflFlux1, ...own("prompt_upsampling") };
const bflKontext: Record<string, Words> = {
  ...own("prompt_upsampling", "safety_tolerance", "seed", "aspect_ratio"),
  output_format: jpeg,
  user: unsent,
};
const bflFlux2: Record<string, Words> = { ...bflFlux1, ...nevers("resolution") };
const byCredits = { ...single, price: { per: "credit" } } as const;
const bflRoute = (upstream: string, words: Record<string, Words>, mostPictures: number): RouteFacts => ({
  upstream,
  words,
  mostPictures,
  ...byCredits,
});

export const blackForestLabsFacts: Readonly<Record<string, RouteFacts>> = {
  "flux-1-dev": {
    ...bflRoute(
      "flux-dev",
      {
        ...bflFlux1,
        ...nevers("num_inference_steps", "guidance", "prompt_strength", "go_fast", "megapixels"),
        ...nevers("disable_safety_checker"),
      },
      0,
    ),
    unpriced: () => true,
  },
  "flux-1.1-pro": bflRoute("flux-pro-1.1", bflPro11, 0),
  "flux-1.1-pro-ultra": bflRoute(
    "flux-pro-1.1-ultra",
    {
      ...own("raw", "safety_tolerance", "seed", "aspect_ratio"),
      output_format: jpeg,
      ...nevers("image_prompt", "image_prompt_strength"),
      user: unsent,
    },
    0,
  ),
  "flux-1-kontext-pro": bflRoute("flux-kontext-pro", bflKontext, 4),
  "flux-1-kontext-max": bflRoute("flux-kontext-max", bflKontext, 4),
  "flux-2-pro": bflRoute("flux-2-pro", bflFlux2, 8),
  "flux-2-flex": bflRoute("flux-2-flex", { ...bflFlux2, ...own("steps", "guidance", "prompt_upsampling") }, 8),
  "flux-2-max": bflRoute("flux-2-max", bflFlux2, 8),
  "flux-2-klein-4b": bflRoute("flux-2-klein-4b", bflFlux2, 4),
  "flux-2-klein-9b": bflRoute("flux-2-klein-9b", bflFlux2, 4),
};

const falFormat = only(["jpeg", "jpg", "png"], jpeg);
const falSize: Record<string, Words> = {
  size: (size) => ({ image_size: sidesOf(size) }),
  aspect_ratio: () => ({ image_size: anySides }),
};
const falOpenWeights: Record<string, Words> = {
  ...own("num_inference_steps", "seed"),
  guidance: within(1, 20, as("guidance_scale")),
  disable_safety_checker: (value) => ({ enable_safety_checker: !value }),
  output_format: falFormat,
  ...falSize,
  ...nevers("go_fast", "megapixels", "output_quality", "prompt_strength", "safety_tolerance"),
  user: unsent,
};
/** A string there. */
const falTolerance = (maximum: number): Words => within(1, maximum, (value) => ({ safety_tolerance: String(value) }));
const upToFour = { perCall: 4, countField: "num_images" };

export const falFacts: Readonly<Record<string, RouteFacts>> = {
  "flux-1-schnell": {
    upstream: "fal-ai/flux/schnell",
    words: falOpenWeights,
    ...upToFour,
    mostPictures: 0,
    price: { per: "megapixel", first: 0.003, more: 0.003 },
  },
  "flux-1-dev": {
    upstream: "fal-ai/flux/dev",
    words: falOpenWeights,
    ...upToFour,
    mostPictures: 0,
    price: { per: "megapixel", first: 0.025, more: 0.025 },
  },
  "flux-1.1-pro": {
    upstream: "fal-ai/flux-pro/v1.1",
    words: {
      ...own("seed"),
      safety_tolerance: falTolerance(6),
      output_format: falFormat,
      ...falSize,
      ...nevers("image_prompt", "prompt_upsampling", "output_quality"),
      user: unsent,
    },
    ...upToFour,
    mostPictures: 0,
    // §9 has 0.04 for an image; that a second megapixel costs it again is fal's own page [U].
    price: { per: "megapixel", first: 0.04, more: 0.04 },
  },
  "flux-1.1-pro-ultra": {
    upstream: "fal-ai/flux-pro/v1.1-ultra",
    words: {
      ...own("raw", "image_prompt_strength", "seed", "aspect_ratio"),
      image_prompt: as("image_url"),
      safety_tolerance: falTolerance(6),
      output_format: falFormat,
      user: unsent,
    },
    ...upToFour,
    mostPictures: 0,
    ...perImage(0.06),
  },
  "flux-2-pro": {
    upstream: "fal-ai/flux-2-pro",
    editUpstream: "fal-ai/flux-2-pro/edit",
    words: {
      ...own("seed"),
      safety_tolerance: falTolerance(5),
      output_format: falFormat,
      ...falSize,
      // Sides from 512 to 2048, as the app's page has it.
      size: (size) => (isMultiple(size, 1, 512, 2048) ? { image_size: sidesOf(size) } : null),
      ...nevers("resolution", "output_quality"),
      user: unsent,
    },
    ...single,
    mostPictures: 8,
    price: { per: "megapixel", first: 0.03, more: 0.015, given: madeUpUsd },
    unpriced: (_given, operation) => operation === "edit",
  },
};
