/** The built-in models, named one by one so that the compiled one-file executable carries them. A test checks the list. */

import flux11Pro from "./black-forest-labs-flux-1.1-pro.json" with { type: "json" };
import flux11ProUltra from "./black-forest-labs-flux-1.1-pro-ultra.json" with { type: "json" };
import flux1Dev from "./black-forest-labs-flux-1-dev.json" with { type: "json" };
import flux1KontextMax from "./black-forest-labs-flux-1-kontext-max.json" with { type: "json" };
import flux1KontextPro from "./black-forest-labs-flux-1-kontext-pro.json" with { type: "json" };
import flux1Pro from "./black-forest-labs-flux-1-pro.json" with { type: "json" };
import flux1Schnell from "./black-forest-labs-flux-1-schnell.json" with { type: "json" };
import flux2Flex from "./black-forest-labs-flux-2-flex.json" with { type: "json" };
import flux2Klein4b from "./black-forest-labs-flux-2-klein-4b.json" with { type: "json" };
import flux2Klein9b from "./black-forest-labs-flux-2-klein-9b.json" with { type: "json" };
import flux2Max from "./black-forest-labs-flux-2-max.json" with { type: "json" };
import flux2Pro from "./black-forest-labs-flux-2-pro.json" with { type: "json" };
import chatgptImageLatest from "./openai-chatgpt-image-latest.json" with { type: "json" };
import dallE2 from "./openai-dall-e-2.json" with { type: "json" };
import dallE3 from "./openai-dall-e-3.json" with { type: "json" };
import gptImage15 from "./openai-gpt-image-1.5.json" with { type: "json" };
import gptImage1520251216 from "./openai-gpt-image-1.5-2025-12-16.json" with { type: "json" };
import gptImage1 from "./openai-gpt-image-1.json" with { type: "json" };
import gptImage1Mini from "./openai-gpt-image-1-mini.json" with { type: "json" };
import gptImage25Flare from "./openai-gpt-image-2.5-flare.json" with { type: "json" };
import gptImage25Flare20260908 from "./openai-gpt-image-2.5-flare-2026-09-08.json" with { type: "json" };
import gptImage25Sunburst from "./openai-gpt-image-2.5-sunburst.json" with { type: "json" };
import gptImage25Sunburst20260908 from "./openai-gpt-image-2.5-sunburst-2026-09-08.json" with { type: "json" };
import gptImage26Flare from "./openai-gpt-image-2.6-flare.json" with { type: "json" };
import gptImage26Sunburst from "./openai-gpt-image-2.6-sunburst.json" with { type: "json" };
import gptImage2 from "./openai-gpt-image-2.json" with { type: "json" };
import gptImage220260421 from "./openai-gpt-image-2-2026-04-21.json" with { type: "json" };
import stableDiffusion35Flash from "./stability-stable-diffusion-3.5-flash.json" with { type: "json" };
import stableDiffusion35Large from "./stability-stable-diffusion-3.5-large.json" with { type: "json" };
import stableDiffusion35LargeTurbo from "./stability-stable-diffusion-3.5-large-turbo.json" with { type: "json" };
import stableDiffusion35Medium from "./stability-stable-diffusion-3.5-medium.json" with { type: "json" };
import stableDiffusion3Large from "./stability-stable-diffusion-3-large.json" with { type: "json" };
import stableImageCore from "./stability-stable-image-core.json" with { type: "json" };
import stableImageUltra from "./stability-stable-image-ultra.json" with { type: "json" };

/** File name → its content, not yet checked. */
export const builtInModels: Readonly<Record<string, unknown>> = {
  "black-forest-labs-flux-1-dev.json": flux1Dev,
  "black-forest-labs-flux-1-kontext-max.json": flux1KontextMax,
  "black-forest-labs-flux-1-kontext-pro.json": flux1KontextPro,
  "black-forest-labs-flux-1-pro.json": flux1Pro,
  "black-forest-labs-flux-1-schnell.json": flux1Schnell,
  "black-forest-labs-flux-1.1-pro-ultra.json": flux11ProUltra,
  "black-forest-labs-flux-1.1-pro.json": flux11Pro,
  "black-forest-labs-flux-2-flex.json": flux2Flex,
  "black-forest-labs-flux-2-klein-4b.json": flux2Klein4b,
  "black-forest-labs-flux-2-klein-9b.json": flux2Klein9b,
  "black-forest-labs-flux-2-max.json": flux2Max,
  "black-forest-labs-flux-2-pro.json": flux2Pro,
  "openai-chatgpt-image-latest.json": chatgptImageLatest,
  "openai-dall-e-2.json": dallE2,
  "openai-dall-e-3.json": dallE3,
  "openai-gpt-image-1-mini.json": gptImage1Mini,
  "openai-gpt-image-1.5-2025-12-16.json": gptImage1520251216,
  "openai-gpt-image-1.5.json": gptImage15,
  "openai-gpt-image-1.json": gptImage1,
  "openai-gpt-image-2-2026-04-21.json": gptImage220260421,
  "openai-gpt-image-2.5-flare-2026-09-08.json": gptImage25Flare20260908,
  "openai-gpt-image-2.5-flare.json": gptImage25Flare,
  "openai-gpt-image-2.5-sunburst-2026-09-08.json": gptImage25Sunburst20260908,
  "openai-gpt-image-2.5-sunburst.json": gptImage25Sunburst,
  "openai-gpt-image-2.6-flare.json": gptImage26Flare,
  "openai-gpt-image-2.6-sunburst.json": gptImage26Sunburst,
  "openai-gpt-image-2.json": gptImage2,
  "stability-stable-diffusion-3-large.json": stableDiffusion3Large,
  "stability-stable-diffusion-3.5-flash.json": stableDiffusion35Flash,
  "stability-stable-diffusion-3.5-large-turbo.json": stableDiffusion35LargeTurbo,
  "stability-stable-diffusion-3.5-large.json": stableDiffusion35Large,
  "stability-stable-diffusion-3.5-medium.json": stableDiffusion35Medium,
  "stability-stable-image-core.json": stableImageCore,
  "stability-stable-image-ultra.json": stableImageUltra,
};
