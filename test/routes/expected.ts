/** What must come of a case, by the fact tables alone. */

import type { Outcome } from "./ask.ts";
import { type Case, overlaysAsked } from "./cases.ts";
import { type PriceFacts, type Sent, sidesOf } from "./words.ts";

export type Expected =
  | { kind: "refused"; code: "invalid_value" | "price_unknown"; params: string[] }
  | { kind: "made"; model: string; calls: Sent[]; pictureCount: number };

/** `priced`: prices that nobody has published have been made up. */
export function expectedOf(one: Case, priced: boolean): Expected {
  const { facts, model, operation, given, pictures } = one;
  const values: Sent = { ...defaultsOf(one), ...given };
  const refused = Object.entries(values).flatMap(([name, value]) => (wordsOf(one, name)(value) === null ? [name] : []));
  if (operation === "edit") {
    // More than the model takes is a fault of the request, in the words of its form.
    if (pictures.length > (model.edit?.maxImages ?? 0))
      return { kind: "refused", code: "invalid_value", params: ["image"] };
    if (facts.mostPictures === 0) refused.push("operation");
    else if (pictures.length > facts.mostPictures) refused.push("images");
    if (one.mask && !facts.mask) refused.push("mask");
    if (one.markup && !facts.markup) refused.push("markup");
  }
  if (one.partialImages && !one.route.streams) refused.push("partial_images");
  if (refused.length > 0) return { kind: "refused", code: "invalid_value", params: refused };
  const unpriced = facts.unpriced?.(values, operation) ?? false;
  // No price has been made up for the author of an SVG.
  if (unpriced && (!priced || facts.price.per === "token"))
    return { kind: "refused", code: "price_unknown", params: [] };
  const upstream = operation === "edit" ? (facts.editUpstream ?? facts.upstream) : facts.upstream;
  return { kind: "made", model: upstream, calls: callsOf(one, values), pictureCount: one.n };
}

/** The catalogue's own defaults, which stand in the answer of `GET /v1/models`: filled in where nothing takes their place. */
function defaultsOf({ model, operation, given }: Case): Sent {
  const found: Sent = {};
  for (const parameter of model.parametersOf[operation].all) {
    const { name, excludedBy } = parameter;
    if (["n", "user", "response_format", "stream", "partial_images"].includes(name)) continue;
    if ("default" in parameter && !excludedBy.some((other) => other in given)) found[name] = parameter.default;
  }
  return found;
}

function wordsOf({ facts, model, route }: Case, name: string) {
  const words = facts.words[name];
  if (words === undefined) throw new Error(`the fact sheet has no '${name}' for ${model.id} at ${route.provider}`);
  return words;
}

function callsOf(one: Case, values: Sent): Sent[] {
  const { facts, n, operation } = one;
  const seed = values.seed;
  const most = seed === undefined ? facts.perCall : 1;
  const calls: Sent[] = [];
  for (let offset = 0; offset < n; offset += most) {
    const sent: Sent = operation === "edit" ? { ...facts.editSends } : {};
    for (const [name, value] of Object.entries(values))
      Object.assign(sent, wordsOf(one, name)(name === "seed" ? Number(value) + offset : value));
    Object.assign(sent, facts.constants);
    if (facts.countField !== null) sent[facts.countField] = Math.min(most, n - offset);
    if (one.partialImages !== undefined && one.route.streams)
      Object.assign(sent, { stream: true, partial_images: one.partialImages });
    calls.push(sent);
  }
  return calls;
}

/** Every field of a form is a text. */
export function asForm(sent: Sent): Sent {
  return Object.fromEntries(
    Object.entries(sent).map(([name, value]) => [
      name,
      typeof value === "object" ? JSON.stringify(value) : String(value),
    ]),
  );
}

/** In which fields the pictures of an edit arrive, by the vendor's own habit. */
export function pictureFieldsOf(one: Case): string[] {
  const { provider } = one.route;
  const images = one.pictures.map((_, index) => {
    if (provider === "replicate")
      return one.model.id.includes("flux-2")
        ? "input_images"
        : one.model.id.includes("kontext")
          ? "input_image"
          : "image";
    if (provider === "bfl") return index === 0 ? "input_image" : `input_image_${index + 1}`;
    if (provider === "fal") return "image_urls";
    if (provider === "sd-server") return "image[]";
    return "image";
  });
  return [...images, ...overlaysAsked(one)];
}

/** Nano-dollars, of what the double says that it made. */
export function costOf(one: Case, outcome: Outcome): bigint {
  const { price } = one.facts;
  const nanos = (usd: number) => BigInt(Math.round(usd * 1e9));
  switch (price.per) {
    case "token":
      return outcome.calls.reduce((sum, { usage }) => sum + costOfTokens(price, usage), 0n);
    case "credit":
      return nanos(outcome.credits / 100);
    case "image": {
      const { usd } = price;
      const size = (image: { width: number; height: number }) => `${image.width}x${image.height}`;
      const quality = String(one.given.quality ?? "standard");
      return outcome.pictures.reduce(
        (sum, image) => sum + nanos(typeof usd === "number" ? usd : usd(size(image), quality)),
        0n,
      );
    }
    case "megapixel": {
      const begun = (image: { width: number; height: number }) => Math.ceil((image.width * image.height) / 1_048_576);
      // Given pictures of these tests have less than one each.
      const given = one.pictures.length * (price.given ?? 0);
      const each = (image: { width: number; height: number }) => price.first + (begun(image) - 1) * price.more + given;
      return outcome.pictures.reduce((sum, image) => sum + nanos(each(image)), 0n);
    }
  }
}

type TokenFacts = Extract<PriceFacts, { per: "token" }>;

function costOfTokens({ textIn, imageIn, imageOut }: TokenFacts, usage: Sent | undefined): bigint {
  const counts = usage as {
    input_tokens_details: { text_tokens: number; image_tokens: number };
    output_tokens: number;
  };
  const { text_tokens: text, image_tokens: image } = counts.input_tokens_details;
  // Dollars per million tokens are thousands of nano-dollars per token.
  return BigInt(Math.round((text * textIn + image * imageIn + counts.output_tokens * imageOut) * 1000));
}

/** The size that was asked for; null where only a shape was, or nothing. */
export function sizeAsked(one: Case): { width: number; height: number } | null {
  const size = one.given.size ?? defaultsOf(one).size;
  return size === undefined || size === "auto" ? null : sidesOf(size);
}

export function ratioAsked(one: Case): { width: number; height: number } | null {
  const ratio = one.given.aspect_ratio ?? defaultsOf(one).aspect_ratio;
  if (ratio === undefined) return null;
  const [width = 1, height = 1] = String(ratio).split(":").map(Number);
  return { width, height };
}

export function typeAsked(one: Case): string {
  const format = String(one.given.output_format ?? defaultsOf(one).output_format ?? "png");
  return format === "jpg" ? "jpeg" : format;
}
