/** SGLang diffusion (upstream-apis.md §7). Without a `seed` in the route it draws the same picture every time. */
import { speak } from "./openai-protocol.ts";

export const sglang = speak({
  id: "sglang",
  name: "SGLang",
  settings: {
    keyVariable: "SGLANG_API_KEY",
    baseUrlVariable: "SGLANG_BASE_URL",
    defaultBaseUrl: null,
    keyIsOptional: true,
  },
  edits: true,
  streams: false,
  // Its own default is links, which it cannot give without cloud storage.
  defaults: { response_format: "b64_json" },
  errorShapes: ["detail", "object", "string"],
  countsTokens: true,
  probePath: "/models",
});
