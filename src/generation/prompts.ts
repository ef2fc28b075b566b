/** What of a request is a person's own words, and therefore kept only as long as the operator says. */

const promptFields = new Set(["prompt", "negative_prompt", "image_prompt"]);

/** A copy of a request or of sent parameters without a person's words. */
export function withoutPrompts(parameters: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(parameters).filter(([name]) => !promptFields.has(name)));
}
