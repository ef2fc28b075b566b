/** What of a request is a person's own words, and therefore kept only as long as the operator says. */

const promptFields = new Set(["prompt", "negative_prompt", "image_prompt"]);

/** A copy of a request or of a sent body without a person's words, wherever in it they stand. */
export function withoutPrompts(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutPrompts);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([name]) => !promptFields.has(name));
  return Object.fromEntries(kept.map(([name, inner]) => [name, withoutPrompts(inner)]));
}
