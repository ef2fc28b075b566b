/** sd-server of stable-diffusion.cpp (upstream-apis.md §7; its examples/server/api.md). */
import { isFile, speak } from "./openai-protocol.ts";

export const sdServer = speak({
  id: "sd-server",
  name: "sd-server",
  settings: {
    keyVariable: "SD_SERVER_API_KEY",
    baseUrlVariable: "SD_SERVER_BASE_URL",
    defaultBaseUrl: null,
    keyIsOptional: true,
  },
  edits: true,
  streams: false,
  arrange: withExtraArguments,
  // A client's own block would be obeyed, past every check of the catalogue.
  objection: ({ prompt }) => (String(prompt).includes(blockTag) ? "prompt" : undefined),
  errorShapes: ["string", "object"],
  countsTokens: true,
  probePath: "/models",
});

const formFields = ["n", "size", "output_format", "output_compression"];
/** It serves the one model it was started with, answers base64 always and keeps no users: it has no such fields. */
const unsent = ["model", "response_format", "user"];
/** Native places of what most models call otherwise; a route may also name any place itself: `sample_params.eta`. */
const nativePlaces: Readonly<Record<string, string>> = {
  steps: "sample_params.sample_steps",
  cfg_scale: "sample_params.guidance.txt_cfg",
  guidance: "sample_params.guidance.distilled_guidance",
  sampler: "sample_params.sample_method",
  scheduler: "sample_params.scheduler",
};
const blockTag = "<sd_cpp_extra_args>";

/** What the OpenAI surface has no field for goes as native JSON inside the prompt, from where the server takes it out. */
function withExtraArguments({ prompt, ...fields }: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const words = typeof prompt === "string" ? prompt : "";
  const kept: Record<string, unknown> = {};
  const native: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (unsent.includes(name) || value === null || value === undefined) continue;
    if (formFields.includes(name) || isFile(value)) kept[name] = value;
    else place(native, (nativePlaces[name] ?? name).split("."), value);
  }
  if (Object.keys(native).length === 0) return { prompt: words, ...kept };
  // Escaped, so that no text inside the JSON can end the block.
  const json = JSON.stringify(native).replaceAll("<", "\\u003c");
  return { prompt: `${words}${blockTag}${json}</sd_cpp_extra_args>`, ...kept };
}

function place(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [name = "", ...rest] = path;
  if (rest.length === 0) {
    target[name] = value;
    return;
  }
  const existing = target[name];
  const inner = isObject(existing) ? existing : {};
  target[name] = inner;
  place(inner, rest, value);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === "object" && !Array.isArray(value);
