/** The AI SDK edits pictures through its OpenAI-compatible provider. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateImage } from "ai";
import { at, pictureOf, startUpstreams } from "../contracts/support.ts";
import { picture } from "../doubles/picture.ts";
import { startRouter, type TestRouter } from "../router.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const gpt = "openai/gpt-image-2";
const upstreams = startUpstreams();
const { openai } = upstreams;
let router: TestRouter;
beforeAll(async () => {
  router = await startRouter({ env: upstreams.env });
});
afterAll(async () => {
  await router.remove();
  await upstreams.stop();
});

const modelOf = (apiKey: string) =>
  createOpenAICompatible({ name: "arouter", baseURL: `${router.url}/v1`, apiKey }).imageModel(gpt);
const pictures = [1, 2].map((seed) => picture({ width: 64, height: 64, seed }));
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

test("one picture and several, with options of the vendor, at the provider and in the sandbox", async () => {
  for (const key of [router.keys.live, router.keys.test]) {
    for (const images of [pictures.slice(0, 1), pictures]) {
      const { image, warnings } = await generateImage({
        model: modelOf(key),
        prompt: { text: "put a hat on it", images },
        size: "1536x1024",
        providerOptions: { arouter: { quality: "low" } },
      });
      expect(warnings).toEqual([]);
      expect(await pictureOf(image.uint8Array)).toBe("1536x1024 png");
      if (key !== router.keys.live) continue;
      expect(openai.inputs.map(({ bytes }) => sha256(bytes ?? new Uint8Array()))).toEqual(images.map(sha256));
    }
  }
});

test("several results of one edit", async () => {
  const { images } = await generateImage({
    model: modelOf(router.keys.live),
    prompt: { text: "put a hat on it", images: pictures.slice(0, 1) },
    n: 2,
    size: "1024x1024",
    providerOptions: { arouter: { quality: "low" } },
  });
  expect(images).toHaveLength(2);
  expect(sha256(at(images).uint8Array)).not.toBe(sha256(at(images, 1).uint8Array));
});

test("a picture that is none is an APICallError that no retry helps", async () => {
  const before = openai.requestsAt("create").length;
  const error = await generateImage({
    model: modelOf(router.keys.live),
    prompt: { text: "put a hat on it", images: [new TextEncoder().encode("no picture at all")] },
  }).catch((thrown: unknown) => thrown);
  expect(APICallError.isInstance(error)).toBeTrue();
  expect(error).toMatchObject({ statusCode: 400, isRetryable: false });
  expect((error as Error).message).toContain("Invalid image file or mode for image 1");
  expect(openai.requestsAt("create").length).toBe(before);
});
