/** Every provider, one line each. */
import { azure } from "./azure.ts";
import { bfl } from "./bfl.ts";
import { fal } from "./fal.ts";
import { localai } from "./localai.ts";
import { openai } from "./openai.ts";
import type { Adapter } from "./provider.ts";
import { replicate } from "./replicate.ts";
import { sandbox } from "./sandbox.ts";
import { sdServer } from "./sd-server.ts";
import { sglang } from "./sglang.ts";
import { stability } from "./stability.ts";
import { vllm } from "./vllm.ts";

export const adapters: readonly Adapter[] = [
  openai,
  azure,
  stability,
  replicate,
  bfl,
  fal,
  localai,
  vllm,
  sglang,
  sdServer,
  sandbox,
];
