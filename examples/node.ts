/** The official OpenAI client. Run it in this checkout: AROUTER_API_KEY=lr_test_... node_modules/.bin/bun examples/node.ts */
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.AROUTER_URL ?? "http://127.0.0.1:8787"}/v1`,
  apiKey: process.env.AROUTER_API_KEY,
});
const response = await client.images.generate({
  model: "openai/dall-e-3",
  prompt: "A futuristic city skyline at sunset, photorealistic",
  n: 1,
  size: "1024x1024",
  quality: "hd",
});
console.log(response.data?.[0]?.url);
