/** OpenAI Images (upstream-apis.md §2): the protocol itself, without an accent. */
import { speak } from "./openai-protocol.ts";

export const openai = speak({
  id: "openai",
  name: "OpenAI",
  settings: {
    keyVariable: "OPENAI_API_KEY",
    baseUrlVariable: "OPENAI_BASE_URL",
    defaultBaseUrl: "https://api.openai.com/v1",
  },
  edits: true,
  streams: true,
  errorShapes: ["object"],
  countsTokens: true,
  // §2.1.
  probePath: "/models",
});
