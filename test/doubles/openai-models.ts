/** OpenAI's image models as data: upstream-apis.md §1, §2.2, §2.3 and the token counts of §9. */

interface ModelFacts {
  id: string;
  /** Of `GET /v1/models`, §2.1 [S]. */
  shutdownDate: string | null;
}

export interface LegacyModel extends ModelFacts {
  kind: "legacy";
  promptMax: number;
  maxImages: number;
  sizes: readonly string[];
  qualities: readonly string[];
  /** Empty: the model has no such parameter. */
  styles: readonly string[];
}

export interface GptModel extends ModelFacts {
  kind: "gpt";
  /** A fixed list, or undefined for any size within the flexible rules of §2.3. */
  sizes: readonly string[] | undefined;
  qualities: readonly string[];
  /** The 2.6 era's `complexity` [S]. */
  hasComplexity: boolean;
  /** gif and svg, gated previews of 2.6 (§2.2). */
  hasPreviews: boolean;
  /** `markup` of edits, 2.5 and later (§2.2). */
  hasMarkup: boolean;
  /** What `input_fidelity` of edits may be. Empty: the model refuses it (§2.2). */
  fidelities: readonly string[];
  tokens: TokenTable;
}

export type OpenAiModel = LegacyModel | GptModel;

/** Output tokens of one picture by `quality size`; `square` scales to sizes that were not measured. */
interface TokenTable {
  measured: Readonly<Record<string, number>>;
  square: Readonly<Record<string, number>>;
}

/** gpt-image-2: squares and the two large ones [M]; the oblong ones follow from the price list of §9. */
const TOKENS_2: TokenTable = {
  measured: {
    "low 2048x2048": 397,
    "low 3840x2160": 371,
    "low 1536x1024": 165,
    "low 1024x1536": 165,
    "medium 1536x1024": 1370,
    "medium 1024x1536": 1370,
    "high 1536x1024": 5500,
    "high 1024x1536": 5500,
  },
  // xhigh and max are unpublished [U]: twice and four times high.
  square: { low: 196, medium: 1756, high: 7024, xhigh: 14_048, max: 28_096 },
};

/** gpt-image-1.5 and the mini: squares [M]; the oblong ones [U], consistent with the price list of §9. */
const TOKENS_1: TokenTable = {
  measured: {
    "low 1536x1024": 408,
    "low 1024x1536": 408,
    "medium 1536x1024": 1584,
    "medium 1024x1536": 1584,
    "high 1536x1024": 6240,
    "high 1024x1536": 6240,
  },
  square: { low: 272, medium: 1056, high: 4160 },
};

/** Sizes that were not measured cost the square's tokens times the root of the area, which fits 2048x2048 to 2 % [U]. */
export function outputTokens(model: GptModel, quality: string, width: number, height: number): number {
  const measured = model.tokens.measured[`${quality} ${width}x${height}`];
  if (measured !== undefined) return measured;
  return Math.round((model.tokens.square[quality] ?? 0) * Math.sqrt((width * height) / 1_048_576));
}

/** Every partial image of a stream adds about this many image output tokens (§2.5). */
export const PARTIAL_TOKENS = 100;

/**
 * Input tokens of one picture of an edit: the vendor's published rule for gpt-image-1, which scales the shorter side
 * to 512 and counts 65 and 129 a tile; `input_fidelity: high` adds a fixed amount. For later models [U].
 */
export function inputTokens(width: number, height: number, highFidelity: boolean): number {
  const scale = Math.min(1, 512 / Math.min(width, height));
  const tiles = Math.ceil((width * scale) / 512) * Math.ceil((height * scale) / 512);
  const fidelity = highFidelity ? (width === height ? 4160 : 6240) : 0;
  return 65 + 129 * tiles + fidelity;
}

const FIXED_SIZES = ["1024x1024", "1024x1536", "1536x1024", "auto"];
const QUALITIES = ["low", "medium", "high", "auto"];
/** Their order in the message is not captured [U]. */
const QUALITIES_25 = ["low", "medium", "high", "xhigh", "max", "auto"];

function fixed(id: string, shutdownDate: string, fidelities: readonly string[]): GptModel {
  const news = { hasComplexity: false, hasPreviews: false, hasMarkup: false, fidelities };
  return { kind: "gpt", id, shutdownDate, sizes: FIXED_SIZES, qualities: QUALITIES, ...news, tokens: TOKENS_1 };
}

/** 2.6 has the size rules of 2.5 [U], §2.3. */
function flexible(id: string, era: 2 | 2.5 | 2.6): GptModel {
  const news = { hasComplexity: era === 2.6, hasPreviews: era === 2.6, hasMarkup: era >= 2.5, fidelities: [] };
  const qualities = era === 2 ? QUALITIES : QUALITIES_25;
  return { kind: "gpt", id, shutdownDate: null, sizes: undefined, qualities, ...news, tokens: TOKENS_2 };
}

const BOTH_FIDELITIES = ["high", "low"];

export const OPENAI_MODELS: readonly OpenAiModel[] = [
  {
    kind: "legacy",
    id: "dall-e-2",
    shutdownDate: "2026-05-12",
    promptMax: 1000,
    maxImages: 10,
    sizes: ["256x256", "512x512", "1024x1024"],
    qualities: ["standard"],
    styles: [],
  },
  {
    kind: "legacy",
    id: "dall-e-3",
    shutdownDate: "2026-05-12",
    promptMax: 4000,
    maxImages: 1,
    sizes: ["1024x1024", "1792x1024", "1024x1792"],
    qualities: ["standard", "hd"],
    styles: ["vivid", "natural"],
  },
  fixed("gpt-image-1", "2026-10-23", BOTH_FIDELITIES),
  fixed("gpt-image-1-mini", "2026-12-01", ["low"]),
  fixed("gpt-image-1.5", "2026-12-01", BOTH_FIDELITIES),
  fixed("gpt-image-1.5-2025-12-16", "2026-12-01", BOTH_FIDELITIES),
  fixed("chatgpt-image-latest", "2026-12-01", BOTH_FIDELITIES), // its fidelities are [U]
  flexible("gpt-image-2", 2),
  flexible("gpt-image-2-2026-04-21", 2),
  flexible("gpt-image-2.5-flare", 2.5),
  flexible("gpt-image-2.5-flare-2026-09-08", 2.5),
  flexible("gpt-image-2.5-sunburst", 2.5),
  flexible("gpt-image-2.5-sunburst-2026-09-08", 2.5),
  flexible("gpt-image-2.6-flare", 2.6),
  flexible("gpt-image-2.6-sunburst", 2.6),
];

/** What OpenAI itself served on a date (`YYYY-MM-DD`): models whose shutdown date has come are gone. */
export function liveModelsOn(date: string): string[] {
  return OPENAI_MODELS.filter((model) => model.shutdownDate === null || date < model.shutdownDate).map(({ id }) => id);
}
