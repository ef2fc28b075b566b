/** What of a request is a person's own words, and therefore kept only as long as the operator says. */
import { InputFile } from "../providers/input.ts";

const promptFields = new Set(["prompt", "negative_prompt", "image_prompt"]);

/** A copy of a request without a person's words, wherever in it they stand. */
export function withoutPrompts(request: unknown): unknown {
  return without(request, []);
}

/**
 * A copy of a body that was sent, without the words of the request that it was made from: a route may call their field
 * otherwise (`image_url`), or put them inside another text.
 */
export function sentWithoutPrompts(sent: unknown, request: Record<string, unknown>): unknown {
  return without(
    sent,
    [...promptFields].flatMap((name) => (typeof request[name] === "string" ? request[name] : [])),
  );
}

function without(value: unknown, words: readonly string[]): unknown {
  if (Array.isArray(value)) return value.filter((item) => !holdsAny(item, words)).map((item) => without(item, words));
  if (typeof value !== "object" || value === null || value instanceof InputFile) return value;
  const kept = Object.entries(value).filter(([name, inner]) => !promptFields.has(name) && !holdsAny(inner, words));
  return Object.fromEntries(kept.map(([name, inner]) => [name, without(inner, words)]));
}

/** A short text is found only where it stands alone: within others it may be an ordinary word. */
function holdsAny(value: unknown, words: readonly string[]): boolean {
  if (typeof value !== "string") return false;
  return words.some((text) => value === text || (text.length >= quotedCharacters && value.includes(text)));
}

/** A run this long of somebody's text is a quotation; shorter ones are words that anybody uses. */
const quotedCharacters = 16;
/** Texts shorter than this cannot be told from ordinary words. */
const shortestText = 3;

/**
 * A provider's message without a person's words, which some providers repeat: for logs, and for what is kept. Whole
 * texts and longer pieces of them are taken out, single words of a longer text are not.
 * @param message on one line, as `safeText` makes it
 * @param request the request whose words they are
 */
export function withoutQuotations(message: string, request: Record<string, unknown>): string {
  let rest = message;
  for (const field of promptFields) {
    const value = request[field];
    if (typeof value === "string") rest = withoutRunsOf(value.replace(/[\s\p{Cc}]+/gu, " ").trim(), rest);
  }
  return rest;
}

function withoutRunsOf(text: string, message: string): string {
  if (text.length < shortestText) return message;
  const least = Math.min(quotedCharacters, text.length);
  let kept = "";
  for (let at = 0; at < message.length; ) {
    let end = at + least;
    if (end > message.length || !text.includes(message.slice(at, end))) {
      kept += message.charAt(at);
      at += 1;
      continue;
    }
    while (end < message.length && text.includes(message.slice(at, end + 1))) end += 1;
    kept += "[prompt]";
    at = end;
  }
  return kept;
}
