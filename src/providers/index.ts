/** Every provider, one line each. */
import { openai } from "./openai.ts";
import type { Adapter } from "./provider.ts";
import { replicate } from "./replicate.ts";
import { sandbox } from "./sandbox.ts";
import { stability } from "./stability.ts";

export const adapters: readonly Adapter[] = [openai, stability, replicate, sandbox];
