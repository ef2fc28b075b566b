/** The provider of the benchmark: OpenAI's answers, ready-made, without any latency. A word in the prompt chooses one. */
import { incompressiblePng } from "../test/doubles/picture.ts";
import { ready } from "./child.ts";

const pictures = { large: Buffer.from(incompressiblePng(1_400_000)), small: Buffer.from(incompressiblePng(16_000)) };

const base64Answers = { large: base64Answer(pictures.large), small: base64Answer(pictures.small) };
const refusal = Buffer.from(
  JSON.stringify({ error: { message: "Invalid size.", type: "invalid_request_error", param: "size", code: null } }),
);

const json = { "content-type": "application/json" };

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0,
  async fetch(request): Promise<Response> {
    if (request.method === "GET") {
      const bytes = request.url.endsWith("/large.png") ? pictures.large : pictures.small;
      return new Response(bytes, { headers: { "content-type": "image/png" } });
    }
    const asked = await request.text();
    if (asked.includes("refused")) return new Response(refusal, { status: 400, headers: json });
    const weight = asked.includes("large") ? "large" : "small";
    if (!asked.includes("link")) return new Response(base64Answers[weight], { headers: json });
    return Response.json({ created: 1_780_000_000, data: [{ url: `${server.url.origin}/files/${weight}.png` }] });
  },
});

function base64Answer(picture: Buffer): Buffer<ArrayBuffer> {
  const item = { revised_prompt: "What the vendor made of the prompt.", b64_json: picture.toString("base64") };
  return Buffer.from(JSON.stringify({ created: 1_780_000_000, data: [item] }));
}

ready({ origin: server.url.origin, pictureBytes: { large: pictures.large.length, small: pictures.small.length } });
