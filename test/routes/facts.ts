/**
 * What upstream-apis.md says of every route of the built-in models, written down once more and apart from `models/`: the
 * vendor's words for each of our parameters, and the price. A model file, an adapter and a double can then not be wrong in
 * the same way unseen.
 */
import { blackForestLabsFacts, falFacts, replicateFacts } from "./facts-flux.ts";
import { as, never, only, own, type PriceFacts, type RouteFacts, unsent, type Words } from "./words.ts";

const gptWords = own(
  ...["quality", "background", "output_format", "output_compression", "moderation", "input_fidelity"],
  ...["complexity", "frame_count", "frame_duration_ms", "svg", "safety_identifier", "size", "user"],
);

/** §9: gpt-image-2 and later, 1.5, 1, the mini. */
const rates: Record<string, PriceFacts> = {
  "gpt-image-2": { per: "token", textIn: 5, imageIn: 8, imageOut: 30 },
  "gpt-image-1.5": { per: "token", textIn: 5, imageIn: 8, imageOut: 32 },
  "chatgpt-image-latest": { per: "token", textIn: 5, imageIn: 8, imageOut: 32 },
  "gpt-image-1-mini": { per: "token", textIn: 2, imageIn: 2.5, imageOut: 8 },
  "gpt-image-1": { per: "token", textIn: 5, imageIn: 10, imageOut: 40 },
};

function gptFacts(name: string, azure: boolean): RouteFacts | null {
  // The longest name that fits: gpt-image-1-mini is no gpt-image-1.
  const family = Object.keys(rates).find((known) => name.startsWith(known));
  if (family === undefined) return null;
  const era = Number(/^gpt-image-(\d(?:\.\d)?)/.exec(name)?.[1] ?? 1.5);
  const common = {
    upstream: name,
    perCall: 10,
    countField: "n",
    mostPictures: 16,
    mask: true,
    price: rates[family] as PriceFacts,
  };
  if (!azure)
    return {
      ...common,
      words: gptWords,
      markup: era >= 2.5,
      // The author of the SVG bills apart (§2.4 `svg_usage`), at a rate that §9 does not have.
      unpriced: ({ output_format: format }) => format === "svg",
    };
  // §6.3 names no differences; WebP and the previews of 2.6 are in none of Azure's own documents, so we hold back.
  const words = { ...gptWords, complexity: never, frame_count: never, frame_duration_ms: never, svg: never };
  return { ...common, words: { ...words, output_format: only(["png", "jpeg"], as("output_format")) } };
}

const dallE2Usd: Record<string, number> = { "256x256": 0.016, "512x512": 0.018, "1024x1024": 0.02 };
/** §2.2 "Legacy DALL·E contract" and the prices of §9. */
const dallE: Record<string, RouteFacts> = {
  "dall-e-2": {
    upstream: "dall-e-2",
    words: { quality: unsent, size: as("size"), user: as("user") },
    constants: { response_format: "b64_json" },
    perCall: 10,
    countField: "n",
    mostPictures: 0,
    price: { per: "image", usd: (size) => dallE2Usd[size] ?? Number.NaN },
  },
  "dall-e-3": {
    upstream: "dall-e-3",
    words: own("quality", "style", "size", "user"),
    constants: { response_format: "b64_json" },
    perCall: 1,
    countField: "n",
    mostPictures: 0,
    price: {
      per: "image",
      usd: (size, quality) => (size === "1024x1024" ? 0.04 : 0.08) + (quality === "hd" ? 0.04 : 0),
    },
  },
};

const stabilityWords: Record<string, Words> = {
  ...own("negative_prompt", "style_preset", "cfg_scale", "strength", "seed", "output_format", "aspect_ratio"),
  // It takes no pixels (§3); its 1:1 is a square of a megapixel.
  size: only(["1024x1024"], () => ({ aspect_ratio: "1:1" })),
  user: unsent,
};

/** Our names → `model` of the sd3 endpoint, or an endpoint of its own. */
const stabilityModels: Record<string, { upstream: string; edits: boolean }> = {
  "stable-image-ultra": { upstream: "ultra", edits: true },
  "stable-image-core": { upstream: "core", edits: false },
  // Re-routed by the vendor itself (§1).
  "stable-diffusion-3-large": { upstream: "sd3.5-large", edits: false },
  "stable-diffusion-3.5-large": { upstream: "sd3.5-large", edits: true },
  "stable-diffusion-3.5-large-turbo": { upstream: "sd3.5-large-turbo", edits: true },
  "stable-diffusion-3.5-medium": { upstream: "sd3.5-medium", edits: true },
  "stable-diffusion-3.5-flash": { upstream: "sd3.5-flash", edits: true },
};

function stabilityFacts(name: string): RouteFacts | null {
  const found = stabilityModels[name];
  if (found === undefined) return null;
  const { upstream, edits } = found;
  const isSd3 = upstream.startsWith("sd3");
  return {
    upstream,
    words: stabilityWords,
    ...(isSd3 && { constants: { model: upstream }, editSends: { mode: "image-to-image" } }),
    perCall: 1,
    countField: null,
    mostPictures: edits ? 1 : 0,
    price: { per: "credit" },
  };
}

/** Undefined where the fact sheet has no such route: a model file that has one is then wrong. */
export function factsOf(provider: string, modelId: string): RouteFacts | undefined {
  const name = modelId.slice(modelId.indexOf("/") + 1);
  switch (provider) {
    case "openai":
      return dallE[name] ?? gptFacts(name, false) ?? undefined;
    case "azure":
      return gptFacts(name, true) ?? undefined;
    case "stability":
      return stabilityFacts(name) ?? undefined;
    case "replicate":
      return replicateFacts[name];
    case "bfl":
      return blackForestLabsFacts[name];
    case "fal":
      return falFacts[name];
    default:
      return undefined;
  }
}
