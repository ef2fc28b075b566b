/** The rules of the newer models, written out by hand a second time: upstream-apis.md §2.2, §2.3, §3, §4.3, §5, §6.1. */

import { refusals } from "./refused.ts";
import type { Body, Refusal } from "./support.ts";

interface Cases {
  accepted: Body[];
  refused: Array<[Body, Refusal]>;
}

type Rule = (name: string, beside: Body) => Cases;

const quoted = (values: string[]): string => {
  const words = values.map((value) => `'${value}'`);
  return words.length <= 2 ? words.join(" and ") : `${words.slice(0, -1).join(", ")}, and ${words.at(-1)}`;
};

const words =
  (...values: string[]): Rule =>
  (name, beside) => ({
    accepted: values.map((value) => ({ [name]: value, ...beside })),
    refused: [
      [{ [name]: "nothing" }, refusals.list(name, "nothing", quoted(values))],
      [{ [name]: 1 }, refusals.type(name, "a string", "an integer")],
    ],
  });

const whole =
  (least: number, most: number): Rule =>
  (name, beside) => ({
    accepted: [least, most].map((value) => ({ [name]: value, ...beside })),
    refused: [
      [{ [name]: least - 1 }, refusals.below(name, least, least - 1)],
      [{ [name]: most + 1 }, refusals.above(name, most, most + 1)],
      [{ [name]: least + 0.5 }, refusals.type(name, "an integer", "a decimal number")],
    ],
  });

const decimal =
  (least: number, most: number): Rule =>
  (name, beside) => ({
    accepted: [least, (least + most) / 2, most].map((value) => ({ [name]: value, ...beside })),
    refused: [
      [
        { [name]: most + 0.5 },
        refusals.value(
          name,
          `Invalid '${name}': number above maximum value. Expected a value <= ${most}, but got ${most + 0.5} instead.`,
        ),
      ],
      [{ [name]: String(least) }, refusals.type(name, "a number", "a string")],
    ],
  });

const flag: Rule = (name) => ({
  accepted: [{ [name]: true }, { [name]: false }],
  refused: [[{ [name]: "true" }, refusals.type(name, "a boolean", "a string")]],
});

const text =
  (most?: number): Rule =>
  (name) => ({
    accepted: [{ [name]: "x" }, { [name]: "x".repeat(most ?? 100_000) }],
    refused: [
      [{ [name]: 1 }, refusals.type(name, "a string", "an integer")],
      ...(most === undefined
        ? []
        : [[{ [name]: "x".repeat(most + 1) }, refusals.tooLong(name, most, most + 1)] as [Body, Refusal]]),
    ],
  });

const url: Rule = (name) => ({
  accepted: [{ [name]: "https://example.com/a.png" }],
  refused: [[{ [name]: "a.png" }, refusals.value(name, "Invalid value: 'a.png'. Expected an https URL.")]],
});

const sizes =
  (taken: string[], turnedDown: Array<[string, string]>): Rule =>
  (name) => ({
    accepted: taken.map((size) => ({ [name]: size })),
    refused: turnedDown.map(([size, sentence]) => [
      { [name]: size },
      refusals.value(name, sentence.startsWith("Invalid") ? sentence : `Invalid size '${size}'. ${sentence}`),
    ]),
  });

/** §2.3 and the recorded words of §2.6. */
const flexibleSize = sizes(
  ["auto", "1024x1024", "1536x864", "3840x2160", "2160x3840", "1632x544", "880x752", "832x800"],
  [
    ["bogus", "Expected WIDTHxHEIGHT, for example '1824x1024'."],
    ["1024X1024", "Expected WIDTHxHEIGHT, for example '1824x1024'."],
    ["Auto", "Expected WIDTHxHEIGHT, for example '1824x1024'."],
    ["1500x1500", "Width and height must both be divisible by 16."],
    ["3856x1600", "The longest edge must be less than or equal to 3840."],
    ["99999999999999999999x16", "The longest edge must be less than or equal to 3840."],
    ["800x800", "Requested resolution is below the current minimum pixel budget."],
    ["3008x3008", "Requested resolution exceeds the current pixel budget."],
    ["2048x672", "The aspect ratio must be between 1:3 and 3:1."],
    ["672x2048", "The aspect ratio must be between 1:3 and 3:1."],
  ],
);
const list = "'1024x1024', '1024x1536', '1536x1024', and 'auto'";
const fixedSize = sizes(
  ["1024x1024", "1024x1536", "1536x1024", "auto"],
  [["1500x1500", `Invalid value: '1500x1500'. Supported values are: ${list}.`]],
);
/** FLUX.1: in our own words, since the vendor's are not recorded. */
const steps32 = "idth and height must both be divisible by 32 and between 256 and 1440.";
const fluxSize = sizes(
  ["256x256", "1440x1440", "1024x768"],
  [
    ["1000x1000", `W${steps32}`],
    ["auto", `Expected WIDTHxHEIGHT, for example '1024x768'; w${steps32}`],
  ],
);
/** FLUX.2: at least 64, in steps of 16, at most 4 megapixels together. */
const flux2Size = sizes(
  ["64x64", "2048x2048", "4096x1024", "1280x720"],
  [
    ["1000x1000", "Width and height must both be divisible by 16."],
    ["48x512", "The shortest edge must be greater than or equal to 64."],
    ["4112x64", "The longest edge must be less than or equal to 4096."],
    ["2064x2048", "Requested resolution exceeds the current pixel budget."],
  ],
);

type Rules = Record<string, Rule | [Rule, Body]>;

function casesOf(rules: Rules): Cases {
  const all = Object.entries(rules).map(([name, rule]) =>
    Array.isArray(rule) ? rule[0](name, rule[1]) : rule(name, {}),
  );
  return {
    accepted: all.flatMap(({ accepted }) => accepted),
    refused: all.flatMap(({ refused }) => refused),
  };
}

const ratios = (...values: string[]): Rule => words(...values);
const gpt = (qualities: string[], size: Rule): Rules => ({
  quality: words(...qualities, "auto"),
  background: words("transparent", "opaque", "auto"),
  output_format: words("png", "webp", "jpeg"),
  output_compression: [whole(0, 100), { output_format: "webp" }],
  moderation: words("auto", "low"),
  safety_identifier: text(),
  partial_images: [whole(0, 3), { stream: true }],
  size,
  prompt: text(32000),
});
const threeQualities = ["low", "medium", "high"];
const fiveQualities = [...threeQualities, "xhigh", "max"];
const svg: Rule = (name) => ({
  accepted: [{ model: "gpt-5.6" }, { reasoning: { effort: "none" } }, { model: "x", reasoning: {} }, {}].map(
    (value) => ({
      [name]: value,
      output_format: "svg",
    }),
  ),
  refused: [
    [{ svg: "gpt-5.6" }, refusals.type("svg", "an object", "a string")],
    [{ svg: { effort: "low" } }, refusals.unknown("svg.effort")],
    [{ svg: { model: 1 } }, refusals.type("svg.model", "a string", "an integer")],
    [{ svg: { reasoning: "low" } }, refusals.type("svg.reasoning", "an object", "a string")],
    [{ svg: { reasoning: { level: "low" } } }, refusals.unknown("svg.reasoning.level")],
    [
      { svg: { reasoning: { effort: "huge" } } },
      refusals.list("svg.reasoning.effort", "huge", "'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'"),
    ],
  ],
});
const gpt26: Rules = {
  ...gpt(fiveQualities, flexibleSize),
  output_format: words("png", "webp", "jpeg", "gif", "svg"),
  complexity: words("low", "medium", "high"),
  frame_count: [whole(2, 16), { output_format: "gif" }],
  frame_duration_ms: [whole(1, 655350), { output_format: "gif" }],
  svg,
};

const presets =
  "enhance anime photographic digital-art comic-book fantasy-art line-art analog-film neon-punk isometric low-poly origami modeling-compound cinematic 3d-model pixel-art tile-texture";
const seed = (most: number): Rule => whole(0, most);
const stability = (more: Rules): Rules => ({
  negative_prompt: text(10000),
  style_preset: words(...presets.split(" ")),
  seed: seed(4294967294),
  output_format: words("png", "jpeg", "webp"),
  aspect_ratio: ratios("21:9", "16:9", "3:2", "5:4", "1:1", "4:5", "2:3", "9:16", "9:21"),
  prompt: text(10000),
  ...more,
});
const square: Rule = sizes(
  ["1024x1024"],
  [["512x512", "Invalid value: '512x512'. Supported values are: '1024x1024'."]],
);

const fluxFormats = words("jpeg", "jpg", "png", "webp");
const eleven = ratios("1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21");
const common: Rules = { seed: seed(2147483647), output_format: fluxFormats, aspect_ratio: eleven };
const quality: Rules = { output_quality: whole(0, 100) };
const openWeights: Rules = {
  ...common,
  ...quality,
  go_fast: flag,
  megapixels: words("1", "0.25"),
  disable_safety_checker: flag,
  size: fluxSize,
};
const pro: Rules = { ...common, image_prompt: url, safety_tolerance: whole(0, 6) };
const kontext: Rules = {
  ...common,
  output_format: words("png", "jpeg", "jpg", "webp"),
  prompt_upsampling: flag,
  safety_tolerance: whole(0, 6),
};
const flux2: Rules = { ...common, safety_tolerance: whole(0, 5), size: flux2Size };
const resolution: Rules = { ...quality, resolution: words("0.5 MP", "1 MP", "2 MP", "4 MP") };

const rules: Record<string, Rules> = {
  "openai/gpt-image-1": gpt(threeQualities, fixedSize),
  "openai/gpt-image-1-mini": gpt(threeQualities, fixedSize),
  "openai/gpt-image-1.5": gpt(threeQualities, fixedSize),
  "openai/gpt-image-1.5-2025-12-16": gpt(threeQualities, fixedSize),
  "openai/chatgpt-image-latest": gpt(threeQualities, fixedSize),
  "openai/gpt-image-2": gpt(threeQualities, flexibleSize),
  "openai/gpt-image-2-2026-04-21": gpt(threeQualities, flexibleSize),
  "openai/gpt-image-2.5-flare": gpt(fiveQualities, flexibleSize),
  "openai/gpt-image-2.5-flare-2026-09-08": gpt(fiveQualities, flexibleSize),
  "openai/gpt-image-2.5-sunburst": gpt(fiveQualities, flexibleSize),
  "openai/gpt-image-2.5-sunburst-2026-09-08": gpt(fiveQualities, flexibleSize),
  "openai/gpt-image-2.6-flare": gpt26,
  "openai/gpt-image-2.6-sunburst": gpt26,
  "stability/stable-image-ultra": stability({ size: square }),
  "stability/stable-image-core": stability({}),
  "stability/stable-diffusion-3.5-large": stability({ size: square, cfg_scale: decimal(1, 10) }),
  "stability/stable-diffusion-3.5-large-turbo": stability({ size: square, cfg_scale: decimal(1, 10) }),
  "stability/stable-diffusion-3.5-medium": stability({ size: square, cfg_scale: decimal(1, 10) }),
  "stability/stable-diffusion-3.5-flash": stability({ size: square, cfg_scale: decimal(1, 10) }),
  "black-forest-labs/flux-1-schnell": { ...openWeights, num_inference_steps: whole(1, 12) },
  "black-forest-labs/flux-1-dev": {
    ...openWeights,
    num_inference_steps: whole(1, 50),
    guidance: decimal(0, 20),
    safety_tolerance: whole(0, 6),
  },
  "black-forest-labs/flux-1.1-pro": {
    ...pro,
    ...quality,
    prompt_upsampling: flag,
    size: fluxSize,
    aspect_ratio: ratios("1:1", "16:9", "3:2", "2:3", "4:5", "5:4", "9:16", "3:4", "4:3"),
  },
  "black-forest-labs/flux-1.1-pro-ultra": {
    ...pro,
    raw: flag,
    image_prompt_strength: decimal(0, 1),
    aspect_ratio: ratios("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21"),
  },
  "black-forest-labs/flux-1-kontext-pro": kontext,
  "black-forest-labs/flux-1-kontext-max": kontext,
  "black-forest-labs/flux-2-pro": { ...flux2, ...resolution },
  "black-forest-labs/flux-2-flex": {
    ...flux2,
    ...resolution,
    steps: whole(1, 50),
    guidance: decimal(1.5, 10),
    prompt_upsampling: flag,
  },
  "black-forest-labs/flux-2-max": flux2,
  "black-forest-labs/flux-2-klein-4b": flux2,
  "black-forest-labs/flux-2-klein-9b": flux2,
};

/** By model: what its rules take and refuse in a generation. */
export const families: Readonly<Record<string, Cases>> = Object.fromEntries(
  Object.entries(rules).map(([id, family]) => [id, casesOf(family)]),
);
