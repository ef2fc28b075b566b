/** The official Node client edits pictures through the real router: at a provider's double, and in the sandbox. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI, { toFile } from "openai";
import { at, bytesOf, pictureOf, startUpstreams } from "../contracts/support.ts";
import { picture } from "../doubles/picture.ts";
import { startRouter, type TestRouter } from "../router.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const gpt = "openai/gpt-image-2";
const prompt = "put a hat on it";
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

const clientOf = (apiKey: string) => new OpenAI({ baseURL: `${router.url}/v1`, apiKey, maxRetries: 0 });
const cat = picture({ width: 96, height: 64, seed: 1 });
const hat = picture({ width: 64, height: 64, seed: 2, type: "jpeg" });
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const received = () => openai.inputs.map(({ field, bytes }) => [field, sha256(bytes ?? new Uint8Array())]);

async function thrownBy(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe("images.edit", () => {
  for (const where of ["sandbox", "provider"] as const) {
    test(`one picture, several pictures, at the ${where}`, async () => {
      const client = clientOf(where === "sandbox" ? router.keys.test : router.keys.live);
      const one = await toFile(Buffer.from(cat), "cat.png", { type: "image/png" });
      const two = await toFile(Buffer.from(hat), "hat.jpg", { type: "image/jpeg" });
      for (const image of [one, [one, two]]) {
        const response = await client.images.edit({ model: gpt, image, prompt, size: "1536x1024", quality: "low" });
        const edited = at(response.data ?? []);
        expect(edited.url).toBeUndefined();
        expect(await pictureOf(await bytesOf(edited as { b64_json: string }))).toBe("1536x1024 png");
      }
      if (where === "sandbox") return;
      expect(received()).toEqual([
        ["image", sha256(cat)],
        ["image", sha256(hat)],
      ]);
    });
  }

  test("a file from disk, numbers, and objects as the client writes them into a form", async () => {
    const path = join(router.dataFolder, "cat.png");
    writeFileSync(path, cat);
    const { createReadStream } = await import("node:fs");
    const request = {
      model: "gpt-image-2",
      image: createReadStream(path),
      prompt,
      n: 2,
      size: "1024x1024" as const,
      quality: "low" as const,
      output_format: "webp" as const,
      output_compression: 70,
      user: "someone",
      // Our own fields, as the client passes on what it does not know.
      models: ["openai/gpt-image-2.5-flare"],
      provider: { order: ["openai"], allow_fallbacks: true },
    };
    const { data: answer, response } = await clientOf(router.keys.live).images.edit(request).withResponse();
    expect(answer.data).toHaveLength(2);
    expect(answer.usage?.output_tokens).toBeGreaterThan(0);
    expect(answer.output_format).toBe("webp");
    expect(response.headers.get("x-arouter-provider")).toBe("openai");
    expect(received()).toEqual([["image", sha256(cat)]]);
    const id = response.headers.get("x-arouter-generation-id");
    const record = (await (await router.get(`/v1/images/generations/${id}`)).json()) as { requested: unknown };
    expect(record.requested).toMatchObject({ n: 2, output_compression: 70, provider: { allow_fallbacks: true } });
  });

  test("stream: previews and the picture, by the client's own types", async () => {
    for (const key of [router.keys.live, router.keys.test]) {
      const image = await toFile(Buffer.from(cat), "cat.png", { type: "image/png" });
      const stream = await clientOf(key).images.edit({
        model: gpt,
        image,
        prompt,
        size: "1024x1024",
        quality: "low",
        stream: true,
        partial_images: 2,
      });
      const seen: string[] = [];
      for await (const event of stream) {
        if (event.type === "image_edit.partial_image") seen.push(`partial ${event.partial_image_index}`);
        else seen.push(`completed ${event.usage.total_tokens >= 0}`);
        expect(await pictureOf(Uint8Array.fromBase64(event.b64_json))).toBe("1024x1024 png");
      }
      expect(seen).toEqual(["partial 0", "partial 1", "completed true"]);
    }
  });

  test("errors are typed, with code and param", async () => {
    const client = clientOf(router.keys.live);
    const image = await toFile(Buffer.from("no picture at all"), "cat.png", { type: "image/png" });
    const unreadable = await thrownBy(() => client.images.edit({ model: gpt, image, prompt }));
    expect(unreadable).toBeInstanceOf(OpenAI.BadRequestError);
    expect(unreadable).toMatchObject({ status: 400, code: "invalid_image_file" });
    const good = await toFile(Buffer.from(cat), "cat.png", { type: "image/png" });
    const wrongSize = await thrownBy(() =>
      client.images.edit({ model: gpt, image: good, prompt, size: "77x77" as "auto" }),
    );
    expect(wrongSize).toMatchObject({ status: 400, code: "invalid_value", param: "size" });
    const refused = await thrownBy(() => client.images.edit({ model: gpt, image: good, prompt: "[[moderate]]" }));
    expect(refused).toMatchObject({ status: 400, code: "content_policy_violation" });
  });
});

test("images.createVariation is a NotFoundError that says where to go", async () => {
  const image = await toFile(Buffer.from(cat), "cat.png", { type: "image/png" });
  const client = clientOf(router.keys.live);
  const error = await thrownBy(() => client.images.createVariation({ model: "dall-e-2", image }));
  expect(error).toBeInstanceOf(OpenAI.NotFoundError);
  expect(error).toMatchObject({ code: "endpoint_retired" });
  expect((error as Error).message).toContain("/v1/images/edits");
});
