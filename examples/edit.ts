/** An edit with the official OpenAI client. Run it in this checkout: AROUTER_API_KEY=lr_test_... node_modules/.bin/bun examples/edit.ts */
import OpenAI, { toFile } from "openai";

const client = new OpenAI({
  baseURL: `${process.env.AROUTER_URL ?? "http://127.0.0.1:8787"}/v1`,
  apiKey: process.env.AROUTER_API_KEY,
});
const made = await client.images.generate({ model: "openai/gpt-image-2", prompt: "A cat on a windowsill" });
const cat = Buffer.from(made.data?.[0]?.b64_json ?? "", "base64");
const edited = await client.images.edit({
  model: "openai/gpt-image-2",
  image: await toFile(cat, "cat.png", { type: "image/png" }),
  prompt: "Give the cat a red hat",
  response_format: "url",
});
console.log(edited.data?.[0]?.url);
