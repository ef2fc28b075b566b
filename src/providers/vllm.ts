/** vLLM-Omni (upstream-apis.md §7; edits: its docs/serving/image_edit_api.md). */
import { speak } from "./openai-protocol.ts";

export const vllm = speak({
  id: "vllm",
  name: "vLLM-Omni",
  settings: {
    keyVariable: "VLLM_API_KEY",
    baseUrlVariable: "VLLM_BASE_URL",
    defaultBaseUrl: null,
    keyIsOptional: true,
  },
  edits: true,
  // It streams the words of its multi-stage edit models, in events of its own, not pictures.
  streams: false,
  defaults: { response_format: "b64_json" },
  // FastAPI's; the envelope from vLLM's own layers, the string from its key check.
  errorShapes: ["detail", "object", "string"],
  countsTokens: true,
  probePath: "/models",
});
