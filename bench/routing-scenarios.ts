/** Requests whose checking and routing is measured, and the same work written by hand for one of them. */
import { z } from "zod";
import type { GivenInputs } from "../src/catalogue/check-inputs.ts";
import type { InputImage } from "../src/providers/input.ts";

export interface RoutingScenario {
  name: string;
  body: Record<string, unknown>;
  given?: GivenInputs;
  /** How many candidates the plan must have, or with which code the request must be refused. */
  candidates: number;
  refusedWith?: string;
  /** Its models are in the built-in catalogue too. */
  builtIn: boolean;
  /** `byHand` checks the same. */
  byHand?: boolean;
}

const prompt = "A lighthouse at dusk, long exposure, waves like fog around the rocks, one lit window";

const everyParameter = {
  prompt,
  n: 1,
  quality: "high",
  background: "opaque",
  output_format: "jpeg",
  output_compression: 80,
  moderation: "auto",
  size: "1824x1024",
  user: "user-4711",
  response_format: "b64_json",
  stream: true,
  partial_images: 2,
};

/** What a person writes for `everyParameter`: no words for the client, one model, no routes, no price. */
export const byHand = z.strictObject({
  model: z.string().min(1),
  prompt: z.string().min(1).max(32_000),
  n: z.int().min(1).max(10).default(1),
  quality: z.enum(["auto", "low", "medium", "high"]).default("auto"),
  background: z.enum(["auto", "transparent", "opaque"]).default("auto"),
  output_format: z.enum(["png", "jpeg", "webp"]).default("png"),
  output_compression: z.int().min(0).max(100).optional(),
  moderation: z.enum(["auto", "low"]).default("auto"),
  size: z.string().refine((text) => {
    const [width = 0, height = 0] = text.split("x").map(Number);
    return width % 16 === 0 && height % 16 === 0 && width * height >= 655_360 && width * height <= 8_294_400;
  }),
  user: z.string().optional(),
  response_format: z.enum(["url", "b64_json"]).default("b64_json"),
  stream: z.boolean().default(false),
  partial_images: z.int().min(0).max(3).default(0),
});

const pictures = Array.from(
  { length: 4 },
  (_, index): InputImage => ({
    contentType: "image/png",
    width: 1024,
    height: 1024,
    bytes: 1_400_000,
    sha256: String(index).repeat(64),
    open: () => new Blob(),
  }),
);

/** @param copies ids of the large catalogue's models by the built-in model that they copy */
export function routingScenarios(copies: Map<string, string[]>): RoutingScenario[] {
  const copyOf = (id: string): string => copies.get(id)?.[0] ?? id;
  const gpt = copyOf("openai/gpt-image-2");
  const flux = copyOf("black-forest-labs/flux-1-schnell");
  const several = [...copies].flatMap(([original, ids]) => (original.startsWith("openai/gpt-image-2") ? ids : []));
  return [
    { name: "one route", body: { model: "openai/dall-e-3", prompt }, candidates: 1, builtIn: true },
    {
      name: "two routes, every parameter",
      body: { model: "openai/gpt-image-2", ...everyParameter },
      candidates: 2,
      builtIn: true,
      byHand: true,
    },
    { name: "four routes, every parameter", body: { model: gpt, ...everyParameter }, candidates: 4, builtIn: false },
    {
      name: "four routes, a seed, n = 4",
      body: { model: flux, prompt, n: 4, seed: 7, aspect_ratio: "16:9", output_format: "png" },
      candidates: 4,
      builtIn: false,
    },
    {
      name: "four routes in an order, with a top price",
      body: {
        model: `${gpt}:floor`,
        ...everyParameter,
        provider: { order: ["azure", "openai"], ignore: ["fal"], max_price: "2.5" },
      },
      candidates: 4,
      builtIn: false,
    },
    {
      name: "ten models, 35 routes",
      body: { models: several.slice(0, 10), ...everyParameter, background: "auto" },
      candidates: 35,
      builtIn: false,
    },
    {
      name: "an edit of four pictures, two routes",
      body: { model: "openai/gpt-image-2", prompt, size: "1024x1024", quality: "low" },
      given: { operation: "edit", images: pictures },
      candidates: 2,
      builtIn: true,
    },
    {
      name: "a prompt of 30,000 characters",
      body: { model: "openai/gpt-image-2", ...everyParameter, prompt: prompt.repeat(360).slice(0, 30_000) },
      candidates: 2,
      builtIn: true,
    },
    {
      name: "refused: a size",
      body: { model: "openai/gpt-image-2", prompt, size: "999x999" },
      candidates: 0,
      refusedWith: "invalid_value",
      builtIn: true,
    },
    {
      name: "refused: a model that does not exist",
      body: { model: "openai/dall-e-9", prompt },
      candidates: 0,
      refusedWith: "model_not_found",
      builtIn: true,
    },
    {
      name: "refused: a model that cannot edit",
      body: { model: "openai/dall-e-3", prompt },
      given: { operation: "edit", images: pictures },
      candidates: 0,
      refusedWith: "invalid_value",
      builtIn: true,
    },
  ];
}
