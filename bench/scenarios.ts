/** What is asked, and how often. */

export interface Scenario {
  name: string;
  /** Words in the prompt choose the upstream's answer (`upstream.ts`). */
  body: Record<string, unknown>;
  expectStatus: number;
  /** Requests of one measurement, one at a time and 32 at once. */
  count: { alone: number; together: number };
  note: string;
}

const picture = (prompt: string, responseFormat: "url" | "b64_json", size = "1024x1024") => ({
  model: "openai/dall-e-3",
  prompt: `A lighthouse at dusk, long exposure (${prompt})`,
  size,
  response_format: responseFormat,
});

const many = { alone: 60, together: 160 };
const more = { alone: 200, together: 600 };

export const scenarios: Scenario[] = [
  {
    name: "b64_json",
    body: picture("large", "b64_json"),
    expectStatus: 200,
    count: many,
    note: "1.4 MB PNG, base64 upstream, base64 to the client",
  },
  {
    name: "url",
    body: picture("large", "url"),
    expectStatus: 200,
    count: many,
    note: "1.4 MB PNG, base64 upstream, our link to the client. The pass-through moves the base64 itself",
  },
  {
    name: "url, from a link",
    body: picture("large link", "url"),
    expectStatus: 200,
    count: many,
    note: "1.4 MB PNG behind an upstream link, our link to the client. The pass-through moves only the small JSON",
  },
  {
    name: "b64_json, 20 kB",
    body: picture("small", "b64_json"),
    expectStatus: 200,
    count: more,
    note: "the same with a 20 kB PNG",
  },
  {
    name: "url, 20 kB",
    body: picture("small", "url"),
    expectStatus: 200,
    count: more,
    note: "the same with a 20 kB PNG",
  },
  {
    name: "refused",
    body: picture("refused", "url", "999x999"),
    expectStatus: 400,
    count: { alone: 500, together: 2000 },
    note: "a size that the model does not have. The pass-through asks the upstream, which refuses",
  },
];
