/** Where programs are killed beyond their first call, and what must be true afterwards. */
import { startBfl } from "../doubles/bfl.ts";
import { startFal } from "../doubles/fal.ts";
import type { Fault } from "../doubles/faults.ts";
import { liveModelsOn, startOpenAi } from "../doubles/openai.ts";
import { picture } from "../doubles/picture.ts";
import { startReplicate } from "../doubles/replicate.ts";
import { startStability } from "../doubles/stability.ts";

/** How long a job runs upstream. */
export const jobMs = 1_500;
const failed: Fault = { kind: "htmlBadGateway" };

export function startDoubles() {
  const openai = startOpenAi({ eventDelayMs: 400 });
  const stability = startStability();
  const replicate = startReplicate({ fileOrigin: "same", progress: { startMs: 50, runMs: jobMs } });
  const bfl = startBfl({ fileOrigin: "same", progress: { runMs: jobMs } });
  const fal = startFal({ fileOrigin: "same", progress: { queueMs: 50, runMs: jobMs } });
  const doubles = { openai, stability, replicate, bfl, fal };
  return {
    ...doubles,
    all: Object.values(doubles),
    env: {
      OPENAI_API_KEY: openai.key,
      OPENAI_BASE_URL: openai.url,
      STABILITY_API_KEY: stability.key,
      STABILITY_BASE_URL: stability.url,
      REPLICATE_API_TOKEN: replicate.key,
      REPLICATE_BASE_URL: replicate.url,
      BFL_API_KEY: bfl.key,
      BFL_BASE_URL: bfl.url,
      FAL_KEY: fal.key,
      FAL_BASE_URL: fal.url,
    },
  };
}
export type Doubles = ReturnType<typeof startDoubles>;

export interface Scenario {
  body: Record<string, unknown>;
  /** Pictures to change; an edit then. */
  pictures?: Uint8Array[];
  env?: Record<string, string>;
  arrange?: (doubles: Doubles) => unknown;
  /** A point of `server.ts` and its n-th time; or when it has come so far by itself. */
  at: [point: string, nth: number] | ((doubles: Doubles, received: () => string) => Promise<unknown>);
  /** What is delivered in the end: the model that answers, and nano-dollars. None: failed, outcome unknown, uncharged. */
  delivered?: { pictures: number; nanos: number; model: string; size?: number; warnings?: string[] };
  /** Of the attempts, in their order. */
  attempts: string[];
  /** Calls that create, at every double that got any. */
  created: Partial<Record<"openai" | "stability" | "replicate" | "bfl" | "fal", number>>;
  /** What the provider says it took, on the charge. */
  providerCostNanos?: number;
}

const dallE2 = { model: "openai/dall-e-2", size: "256x256" };
const stableDiffusion = { model: "stability/stable-diffusion-3-large", n: 3 };
const thenFlux = { model: "openai/dall-e-2", models: ["black-forest-labs/flux-1-pro"], size: "512x512" };
const flux = (provider: string, more: Record<string, unknown> = {}) => ({
  model: "black-forest-labs/flux-1.1-pro",
  provider: { only: [provider] },
  ...more,
});
const edit = { model: "openai/gpt-image-2", size: "1024x1024", quality: "low" };
const streamed = { ...edit, stream: true, partial_images: 2 };
const fluxEdit = { model: "black-forest-labs/flux-2-pro", provider: { only: ["bfl"] }, size: "1024x1024" };
const four = picture({ width: 2_048, height: 2_048, type: "png", seed: 1 });

const successors: Omit<Scenario, "at"> = {
  body: dallE2,
  env: { AROUTER_LEGACY: "successor" },
  arrange: ({ openai }) => {
    openai.models = liveModelsOn("2026-11-22");
  },
  delivered: {
    pictures: 1,
    nanos: (64 + 12) * 5_000 + 1_756 * 30_000,
    model: "openai/gpt-image-2",
    size: 256,
  },
  attempts: ["0 failed", "1 succeeded"],
  created: { openai: 2 },
};

export const scenarios: Record<string, Scenario> = {
  "a first call that failed, before that is on record": {
    body: dallE2,
    arrange: ({ openai }) => openai.next(failed),
    at: ["delivered", 1],
    attempts: ["0 failed"],
    created: { openai: 1 },
  },
  "a second round, on record and not yet sent": {
    body: dallE2,
    arrange: ({ openai }) => openai.next(failed),
    at: ["admitted", 2],
    attempts: ["0 failed", "1 failed"],
    created: { openai: 1 },
  },
  "a second round that the provider works on": {
    body: dallE2,
    arrange: ({ openai }) => {
      openai.next(failed);
      openai.next({ kind: "hang" });
    },
    at: ({ openai }) => openai.arrived(2),
    attempts: ["0 failed", "1 failed"],
    created: { openai: 2 },
  },
  "a second round that has delivered": {
    body: dallE2,
    arrange: ({ openai }) => openai.next(failed),
    at: ["delivered", 2],
    delivered: { pictures: 1, nanos: 16_000_000, model: "openai/dall-e-2", size: 256 },
    attempts: ["0 failed", "1 succeeded"],
    created: { openai: 2 },
  },
  "a second round that is about to be settled": {
    body: dallE2,
    arrange: ({ openai }) => openai.next(failed),
    at: ["settling", 1],
    delivered: { pictures: 1, nanos: 16_000_000, model: "openai/dall-e-2" },
    attempts: ["0 failed", "1 succeeded"],
    created: { openai: 2 },
  },
  "a job of the second round": {
    body: { model: "black-forest-labs/flux-1-pro", size: "256x256" },
    arrange: ({ replicate }) => replicate.next(failed),
    at: ["pending", 1],
    delivered: { pictures: 1, nanos: 50_000_000, model: "black-forest-labs/flux-1-pro", size: 256 },
    attempts: ["0 failed", "1 succeeded"],
    created: { replicate: 2 },
  },
  "a fan-out whose rest is on record for the second round": {
    body: stableDiffusion,
    arrange: ({ stability }) => stability.next(failed),
    at: ["admitted", 2],
    delivered: {
      pictures: 2,
      nanos: 130_000_000,
      model: "stability/stable-diffusion-3-large",
      warnings: ["short_delivery"],
    },
    attempts: ["0 failed", "0 succeeded", "0 succeeded", "1 failed"],
    created: { stability: 3 },
  },
  "a fan-out whose rest has been delivered by the second round": {
    body: stableDiffusion,
    arrange: ({ stability }) => stability.next(failed),
    at: ["delivered", 4],
    delivered: { pictures: 3, nanos: 195_000_000, model: "stability/stable-diffusion-3-large" },
    attempts: ["0 failed", "0 succeeded", "0 succeeded", "1 succeeded"],
    created: { stability: 4 },
  },
  "a second candidate, on record and not yet sent": {
    body: thenFlux,
    arrange: ({ openai }) => openai.always(failed),
    at: ["admitted", 2],
    attempts: ["0 failed", "1 failed"],
    created: { openai: 1 },
  },
  "a second candidate's job": {
    body: thenFlux,
    arrange: ({ openai }) => openai.always(failed),
    at: ["pending", 1],
    delivered: { pictures: 1, nanos: 50_000_000, model: "black-forest-labs/flux-1-pro", size: 512 },
    attempts: ["0 failed", "1 succeeded"],
    created: { openai: 1, replicate: 1 },
  },
  "a second candidate that has delivered": {
    body: {
      ...thenFlux,
      models: ["openai/dall-e-2", "openai/gpt-image-2"],
      model: "stability/stable-diffusion-3-large",
      size: "1024x1024",
    },
    arrange: ({ stability }) => stability.always(failed),
    at: ["delivered", 2],
    delivered: { pictures: 1, nanos: 20_000_000, model: "openai/dall-e-2", size: 1024 },
    attempts: ["0 failed", "1 succeeded"],
    created: { stability: 1, openai: 1 },
  },
  "a job at Black Forest Labs": {
    body: flux("bfl", { n: 2 }),
    at: ["pending", 2],
    delivered: { pictures: 2, nanos: 80_000_000, model: "black-forest-labs/flux-1.1-pro" },
    attempts: ["0 succeeded", "0 succeeded"],
    created: { bfl: 2 },
    providerCostNanos: 80_000_000,
  },
  "a job at Black Forest Labs that has delivered": {
    body: flux("bfl"),
    at: ["delivered", 1],
    delivered: { pictures: 1, nanos: 40_000_000, model: "black-forest-labs/flux-1.1-pro" },
    attempts: ["0 succeeded"],
    created: { bfl: 1 },
    providerCostNanos: 40_000_000,
  },
  "an edit at Black Forest Labs, whose price goes by the given picture": {
    body: fluxEdit,
    pictures: [four],
    at: ["pending", 1],
    // 0.03 for the picture, and 0.015 for each of the given one's four megapixels.
    delivered: { pictures: 1, nanos: 90_000_000, model: "black-forest-labs/flux-2-pro" },
    attempts: ["0 succeeded"],
    created: { bfl: 1 },
    providerCostNanos: 90_000_000,
  },
  "a job at fal": {
    body: flux("fal", { size: "1024x1024" }),
    at: ["pending", 1],
    delivered: { pictures: 1, nanos: 40_000_000, model: "black-forest-labs/flux-1.1-pro", size: 1024 },
    attempts: ["0 succeeded"],
    created: { fal: 1 },
  },
  "a job at fal whose result has been asked for": {
    body: flux("fal", { size: "1024x1024", n: 2 }),
    at: ["bytes", 2],
    delivered: { pictures: 2, nanos: 80_000_000, model: "black-forest-labs/flux-1.1-pro", size: 1024 },
    attempts: ["0 succeeded"],
    created: { fal: 1 },
  },
  "an edit in the middle of its call": {
    body: edit,
    pictures: [four, picture({ width: 64, height: 64, type: "jpeg" })],
    arrange: ({ openai }) => openai.next({ kind: "hang" }),
    at: ({ openai }) => openai.arrived(),
    attempts: ["0 failed"],
    created: { openai: 1 },
  },
  "an edit whose picture is stored": {
    body: { ...edit, quality: "medium" },
    pictures: [picture({ width: 64, height: 64, type: "png" })],
    at: ["delivered", 1],
    // The usage is gone with the program: the quote is the bound. 5 $ for 64 + 12 bytes, 8 $ for 16,384, 30 $ for 1,756 a million.
    delivered: {
      pictures: 1,
      nanos: (64 + 12) * 5_000 + 16_384 * 8_000 + 1_756 * 30_000,
      model: "openai/gpt-image-2",
      size: 1024,
    },
    attempts: ["0 succeeded"],
    created: { openai: 1 },
  },
  "a stream after its first preview": {
    body: streamed,
    at: async (_doubles, received) => {
      while (!received().includes("partial_image_index")) await Bun.sleep(10);
    },
    attempts: ["0 failed"],
    created: { openai: 1 },
  },
  "a stream whose picture is stored": {
    body: streamed,
    at: ["delivered", 1],
    delivered: {
      pictures: 1,
      nanos: (64 + 12) * 5_000 + (196 + 200) * 30_000,
      model: "openai/gpt-image-2",
      size: 1024,
    },
    attempts: ["0 succeeded"],
    created: { openai: 1 },
  },
  "a successor's picture that is not scaled down yet": { ...successors, at: ["delivered", 2] },
  "a successor's picture that is scaled down and not settled yet": { ...successors, at: ["settling", 1] },
};
