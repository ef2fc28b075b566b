/** LocalAI (upstream-apis.md §7). */
import { speak } from "./openai-protocol.ts";

export const localai = speak({
  id: "localai",
  name: "LocalAI",
  settings: {
    keyVariable: "LOCALAI_API_KEY",
    baseUrlVariable: "LOCALAI_BASE_URL",
    defaultBaseUrl: null,
    keyIsOptional: true,
  },
  edits: false,
  streams: false,
  // Links are its own default. A missing size means 512x512 to it in silence; said aloud, it is on record.
  defaults: { response_format: "b64_json", size: "512x512" },
  // The prompt ends at the first pipe, and what follows is what to avoid.
  arrange({ prompt, negative_prompt, ...fields }) {
    return { ...fields, prompt: negative_prompt ? `${prompt}|${negative_prompt}` : prompt };
  },
  // A pipe of the client's own would cut its prompt in two.
  objection: (fields) => ["prompt", "negative_prompt"].find((name) => String(fields[name] ?? "").includes("|")),
  errorShapes: ["object", "string"],
  // `usage` is all zeros.
  countsTokens: false,
  probePath: "/models",
});
