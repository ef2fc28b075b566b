/** The official Node client reads the router's event streams with its own types, for models that stream and that do not. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import OpenAI from "openai";
import { at, dallE2, flux, pictureOf, seedModels, startUpstreams } from "../contracts/support.ts";
import { openAiStreamFault } from "../doubles/openai.ts";
import { startRouter, type TestRouter } from "../router.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const gpt = "openai/gpt-image-2";
const prompt = "a lighthouse";
const upstreams = startUpstreams();
const { openai } = upstreams;
let router: TestRouter;
beforeAll(async () => {
  router = await startRouter({ env: { ...upstreams.env, AROUTER_UPSTREAM_RETRIES: "0" } });
});
afterEach(() => {
  upstreams.clear();
  openai.eventDelayMs = 0;
});
afterAll(async () => {
  await router.remove();
  await upstreams.stop();
});

const clientOf = (apiKey: string) => new OpenAI({ baseURL: `${router.url}/v1`, apiKey, maxRetries: 0 });

describe("images.generate with stream", () => {
  test("previews come first, by the client's own types", async () => {
    const stream = await clientOf(router.keys.live).images.generate({
      model: gpt,
      prompt,
      size: "1024x1024",
      quality: "low",
      stream: true,
      partial_images: 3,
    });
    const indexes: number[] = [];
    let completed: OpenAI.ImageGenCompletedEvent | undefined;
    for await (const event of stream) {
      expect(await pictureOf(Uint8Array.fromBase64(event.b64_json))).toBe("1024x1024 png");
      if (event.type === "image_generation.partial_image") indexes.push(event.partial_image_index);
      else completed = event;
    }
    expect(indexes).toEqual([0, 1, 2]);
    expect(completed).toMatchObject({ size: "1024x1024", quality: "low", output_format: "png" });
    expect(completed?.usage.input_tokens_details.text_tokens).toBeGreaterThan(0);
  });

  for (const key of ["live", "test"] as const) {
    test(`every model of the founding page with one code, ${key}`, async () => {
      for (const model of seedModels) {
        const size = model === dallE2 ? "256x256" : model === flux ? ("512x512" as "auto") : "1024x1024";
        const stream = await clientOf(router.keys[key]).images.generate({ model, prompt, size, stream: true });
        const events: OpenAI.ImageGenStreamEvent[] = [];
        for await (const event of stream) events.push(event);
        expect(events.map(({ type }) => type)).toEqual(["image_generation.completed"]);
        expect(at(events).size).toBe(size);
        expect(await pictureOf(Uint8Array.fromBase64(at(events).b64_json))).toStartWith(`${size} `);
      }
    });
  }

  test("an early failure is the typed error, a late one an APIError with its code", async () => {
    const client = clientOf(router.keys.live);
    const early = await client.images
      .generate({ model: gpt, prompt: "[[moderate]]", stream: true })
      .catch((error: unknown) => error);
    expect(early).toBeInstanceOf(OpenAI.BadRequestError);
    expect(early).toMatchObject({ status: 400, code: "content_policy_violation" });
    openai.eventDelayMs = 100;
    openai.next(openAiStreamFault(1));
    const stream = await client.images.generate({ model: gpt, prompt, stream: true, partial_images: 2 });
    const seen: string[] = [];
    const late = await (async () => {
      for await (const { type } of stream) seen.push(type);
    })().catch((error: unknown) => error);
    expect(seen).toEqual(["image_generation.partial_image"]);
    expect(late).toBeInstanceOf(OpenAI.APIError);
    expect(late).toMatchObject({ code: "upstream_error", type: "server_error" });
  });

  test("breaking off does not stop the job", async () => {
    openai.eventDelayMs = 200;
    const { data: stream, response } = await clientOf(router.keys.live)
      .images.generate({ model: gpt, prompt, size: "1024x1024", quality: "low", stream: true, partial_images: 3 })
      .withResponse();
    for await (const _event of stream) break;
    const id = response.headers.get("x-arouter-generation-id");
    for (;;) {
      const record = (await (await router.get(`/v1/images/generations/${id}`)).json()) as { status: string };
      if (record.status === "succeeded") break;
      expect(record.status).toBe("running");
      await Bun.sleep(50);
    }
  });
});

describe("under Node itself", () => {
  const node = Bun.which("node");
  test.skipIf(node === null)("the same stream", async () => {
    const script = `
      import OpenAI from "openai";
      const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.KEY });
      const stream = await client.images.generate({
        model: "gpt-image-2", prompt: "燈塔", size: "1024x1024", quality: "low", stream: true, partial_images: 1,
      });
      const seen = [];
      for await (const event of stream) seen.push([event.type, event.b64_json.slice(0, 8)]);
      console.log(JSON.stringify(seen));`;
    const child = Bun.spawn([node ?? "node", "--input-type=module", "-e", script], {
      cwd: `${import.meta.dir}/../..`,
      env: { PATH: process.env.PATH ?? "", BASE_URL: `${router.url}/v1`, KEY: router.keys.live },
      stderr: "pipe",
    });
    const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    expect(errors).toBe("");
    expect(JSON.parse(output)).toEqual([
      ["image_generation.partial_image", "iVBORw0K"],
      ["image_generation.completed", "iVBORw0K"],
    ]);
  });
});
