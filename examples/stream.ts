/** A stream with previews. Run it in this checkout: AROUTER_API_KEY=lr_test_... node_modules/.bin/bun examples/stream.ts */
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.AROUTER_URL ?? "http://127.0.0.1:8787"}/v1`,
  apiKey: process.env.AROUTER_API_KEY,
});
const stream = await client.images.generate({
  model: "openai/gpt-image-2",
  prompt: "A lighthouse at dawn",
  stream: true,
  partial_images: 2,
});
for await (const event of stream) {
  const bytes = Buffer.from(event.b64_json, "base64").length;
  if (event.type === "image_generation.completed") console.log(`image/${event.output_format}, ${bytes} bytes`);
  else console.error(`preview ${event.partial_image_index}, ${bytes} bytes`);
}
