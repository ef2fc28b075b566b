/** Vercel's AI SDK. Run it in this checkout: AROUTER_API_KEY=lr_test_... node_modules/.bin/bun examples/ai-sdk.ts */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateImage } from "ai";

const { AROUTER_URL = "http://127.0.0.1:8787", AROUTER_API_KEY = "" } = process.env;
const arouter = createOpenAICompatible({ name: "arouter", baseURL: `${AROUTER_URL}/v1`, apiKey: AROUTER_API_KEY });

const { images, warnings } = await generateImage({
  model: arouter.imageModel("black-forest-labs/flux-1-pro"),
  prompt: "A futuristic city skyline at sunset, photorealistic",
  size: "1024x768",
  n: 2,
});
for (const warning of warnings) console.error(warning);
for (const { mediaType, uint8Array } of images) console.log(`${mediaType}, ${uint8Array.length} bytes`);
