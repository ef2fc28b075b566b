/** Twenty event streams at once take the memory of what they must hold, not of what goes through them. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { takeImage } from "../../src/images/intake.ts";
import { systemClock } from "../../src/ports.ts";
import { openai } from "../../src/providers/openai.ts";
import { type PartialImage, runAttempt } from "../../src/providers/transport.ts";
import { cleanup, forgetfulStore } from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(120_000);

afterEach(cleanup.run);

const streams = 20;
const pictureBytes = 2 << 20;
/** More than a vendor sends: what is held must not grow with what has gone through. */
const previews = 12;
const throughBytes = streams * (previews + 1) * pictureBytes;

/** In a process of its own, so that its memory is not ours. Each stream comes slowly enough to run beside the others. */
const upstreamProgram = `
  const bytes = new Uint8Array(${pictureBytes}).fill(7);
  bytes.set(Buffer.from("89504e470d0a1a0a0000000d49484452000000080000000808060000004d", "hex"));
  const b64 = bytes.toBase64();
  const event = (type, more) => Buffer.from("event: " + type + "\\ndata: " + JSON.stringify({ b64_json: b64, type, ...more }) + "\\n\\n");
  const preview = event("image_generation.partial_image", { partial_image_index: 0 });
  const final = event("image_generation.completed", {});
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Response(async function* () {
      for (const text of [...Array(${previews}).fill(preview), final])
        for (let at = 0; at < text.length; at += 200_000) {
          yield text.subarray(at, at + 200_000);
          await Bun.sleep(5);
        }
    }, { headers: { "content-type": "text/event-stream" } }),
  });
  console.log(server.port);
`;

async function startUpstream(): Promise<string> {
  const upstream = Bun.spawn([process.execPath, "-e", upstreamProgram], { stdout: "pipe", stderr: "inherit" });
  cleanup.add(() => upstream.kill());
  for await (const line of upstream.stdout) return `http://127.0.0.1:${new TextDecoder().decode(line).trim()}`;
  throw new Error("the upstream did not start");
}

/** @returns the highest growth of the resident memory while the streams ran, and how many previews came */
async function run(origin: string, watched: boolean): Promise<{ grownBytes: number; seen: number }> {
  const eventPictures = { "image_generation.partial_image": "preview", "image_generation.completed": "final" } as const;
  let seen = 0;
  const look = ({ bytes }: PartialImage) => {
    if (bytes.length === pictureBytes) seen += 1;
  };
  const attempt = () =>
    runAttempt(
      { adapter: { ...openai, eventPictures }, baseUrl: `${origin}/v1`, trustedOrigin: origin, credential: "key" },
      { operation: "generate", model: "m", parameters: { prompt: "x" }, count: 1, stream: { partialImages: previews } },
      {
        newImage: () => takeImage(forgetfulStore, "img-a", 1 << 26),
        onPending: async () => {},
        // The preview goes to the client and is forgotten.
        ...(watched && { onPartial: look }),
      },
      { fetch, resolve: async () => [], clock: systemClock },
      { timeoutMs: 100_000 },
    );
  await attempt();
  seen = 0;
  Bun.gc(true);
  const before = process.memoryUsage.rss();
  let peak = before;
  const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 5);
  const outcomes = await Promise.all(Array.from({ length: streams }, attempt));
  clearInterval(timer);
  for (const outcome of outcomes) expect(outcome).toMatchObject({ kind: "done", images: [{ bytes: pictureBytes }] });
  return { grownBytes: peak - before, seen };
}

test("a final picture and previews that nobody watches go through", async () => {
  const { grownBytes } = await run(await startUpstream(), false);
  // The decoders' buffers, what the sockets hold, and what the runtime has not collected yet.
  expect(grownBytes).toBeLessThan(throughBytes * 0.45);
});

test("of previews that are watched, one a stream is held", async () => {
  const { grownBytes, seen } = await run(await startUpstream(), true);
  expect(seen).toBe(streams * previews);
  expect(grownBytes).toBeLessThan(throughBytes * 0.75);
});
