/** The built-in models, named one by one so that the compiled one-file executable carries them. A test checks the list. */

import flux1Pro from "./black-forest-labs-flux-1-pro.json" with { type: "json" };
import dallE2 from "./openai-dall-e-2.json" with { type: "json" };
import dallE3 from "./openai-dall-e-3.json" with { type: "json" };
import stableDiffusion3Large from "./stability-stable-diffusion-3-large.json" with { type: "json" };

/** File name → its content, not yet checked. */
export const builtInModels: Readonly<Record<string, unknown>> = {
  "black-forest-labs-flux-1-pro.json": flux1Pro,
  "openai-dall-e-2.json": dallE2,
  "openai-dall-e-3.json": dallE3,
  "stability-stable-diffusion-3-large.json": stableDiffusion3Large,
};
