/** What of a request is a person's own words, and therefore kept only as long as the operator says. */

const promptFields = new Set(["prompt", "negative_prompt", "image_prompt"]);

/** A copy of a request or of a sent body without a person's words, wherever in it they stand. */
export function withoutPrompts(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutPrompts);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([name]) => !promptFields.has(name));
  return Object.fromEntries(kept.map(([name, inner]) => [name, withoutPrompts(inner)]));
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
