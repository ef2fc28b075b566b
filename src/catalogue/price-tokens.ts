/**
 * Prices by tokens: nobody knows their number before, so the quote is an upper bound made from the catalogue's data, and the
 * charge goes by the usage that the provider reports. docs/decisions/0026-token-price-bounds.md.
 */

import type { Nanos } from "../money.ts";
import type { CheckedRequest } from "./check.ts";
import type { TokenPrice } from "./model.ts";
import type { Delivered, UnitQuote } from "./price.ts";
import type { Dimensions } from "./size-rule.ts";

/** The table's counts are for so many pixels, and hold for fewer. */
const pixelsOfTable = 1_048_576;
/** What the provider puts around a prompt. A token is at least one byte of UTF-8. */
const tokensAroundPrompt = 64;

/** `pixels`: what the request decides about them; null where the vendor chooses. Null where a quality has no row. */
export function quoteTokens(price: TokenPrice, pixels: Dimensions | null, checked: CheckedRequest): UnitQuote | null {
  const outputTokens = mostOutputTokens(price, pixels, checked);
  if (outputTokens === null) return null;
  const { images = [], mask, markup } = checked.inputs ?? {};
  const given = images.length + (mask === undefined ? 0 : 1) + (markup === undefined ? 0 : 1);
  const promptTokens = Buffer.byteLength(checked.prompt, "utf8") + tokensAroundPrompt;
  const unitNanos =
    BigInt(promptTokens) * price.textInputNanos +
    BigInt(given * price.inputImageTokens) * price.imageInputNanos +
    BigInt(outputTokens) * price.imageOutputNanos +
    BigInt(price.textOutputTokens) * (price.textOutputNanos ?? price.imageOutputNanos);
  const charge = ({ images: delivered, usage }: Delivered): Nanos =>
    (usage === undefined ? null : costOf(price, usage)) ?? unitNanos * BigInt(delivered.length);
  return { unitNanos, rule: price.rule, charge };
}

function mostOutputTokens(price: TokenPrice, pixels: Dimensions | null, checked: CheckedRequest): number | null {
  const effective = (name: string): unknown => checked.parameters[name] ?? checked.model.vendorDefaults[name];
  const asked = effective("quality") ?? "auto";
  const atTable = price.outputTokens.get(asked === "auto" ? price.autoQuality : String(asked));
  if (atTable === undefined) return null;
  const area = pixels === null ? price.autoPixels : pixels.width * pixels.height;
  const ofOne = area <= pixelsOfTable ? atTable : Math.ceil((atTable * area) / pixelsOfTable);
  const { frames } = price;
  const count = frames !== null && checked.format === frames.format ? Number(effective(frames.parameter)) : 1;
  return ofOne * count + price.perPartialImage * checked.partialImages;
}

/** What reported tokens cost; null where the report says nothing about the output: no picture is made of no tokens. */
function costOf(price: TokenPrice, usage: Readonly<Record<string, unknown>>): Nanos | null {
  const output = split(usage, "output_tokens");
  if (output === null || output.text + output.image + output.whole === 0n) return null;
  const input = split(usage, "input_tokens") ?? { text: 0n, image: 0n, whole: 0n };
  const textOutputNanos = price.textOutputNanos ?? price.imageOutputNanos;
  const dearestInputNanos = price.imageInputNanos > price.textInputNanos ? price.imageInputNanos : price.textInputNanos;
  return (
    input.text * price.textInputNanos +
    input.image * price.imageInputNanos +
    input.whole * dearestInputNanos +
    output.text * textOutputNanos +
    (output.image + output.whole) * price.imageOutputNanos
  );
}

/** Text and image tokens where the report tells them apart, and as `whole` what it does not; null where it has neither. */
function split(
  usage: Readonly<Record<string, unknown>>,
  name: string,
): { text: bigint; image: bigint; whole: bigint } | null {
  const sum = usage[name];
  const details = usage[`${name}_details`];
  if (typeof details === "object" && details !== null) {
    const { text_tokens, image_tokens } = details as Record<string, unknown>;
    const [text, image] = [countOf(text_tokens), countOf(image_tokens)];
    if (text !== null || image !== null) {
      const told = (text ?? 0n) + (image ?? 0n);
      const rest = (countOf(sum) ?? 0n) - told;
      return { text: text ?? 0n, image: image ?? 0n, whole: rest > 0n ? rest : 0n };
    }
  }
  const whole = countOf(sum);
  return whole === null ? null : { text: 0n, image: 0n, whole };
}

const countOf = (value: unknown): bigint | null =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? BigInt(value as number) : null;
