/** Azure OpenAI (upstream-apis.md §6.3). The upstream's model is the name of a deployment. */
import { speak } from "./openai-protocol.ts";

export const azure = speak({
  id: "azure",
  name: "Azure OpenAI",
  settings: {
    keyVariable: "AZURE_OPENAI_API_KEY",
    baseUrlVariable: "AZURE_OPENAI_ENDPOINT",
    // A resource of one's own: `https://{resource}.openai.azure.com`, with or without `/openai/v1`.
    defaultBaseUrl: null,
  },
  keyHeader: "api-key",
  pathPrefix: "/openai/v1",
  query: "api-version=v1",
  edits: true,
  streams: true,
  errorShapes: ["object"],
  countsTokens: true,
  // Its address depends on the base URL, which a probe is not told.
  probePath: null,
});
