/** How a finished generation is presented: links, base64, the picture itself; shape and headers of the answer. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type PictureAsk, picture } from "../doubles/picture.ts";
import { type HeldRouter, startHeldRouter } from "./held-router.ts";
import {
  at,
  bytesOf,
  dallE2,
  dallE3,
  expectError,
  flux,
  imagesOf,
  type Json,
  jsonOf,
  pictureOf,
  seedModels,
  stableDiffusion,
  startUpstreams,
} from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

/** Every picture the doubles have made, in order. */
const painted: Uint8Array[] = [];
const upstreams = startUpstreams({
  paint: (ask: PictureAsk) => {
    const made = picture(ask);
    painted.push(made);
    return made;
  },
});
/** A model of the operator's whose vendor answers base64 only, as the GPT image family does. */
const base64Model = "openai/house-gpt-image";
const models = mkdtempSync(join(tmpdir(), "arouter-models-"));
let router: HeldRouter;

beforeAll(async () => {
  const file = JSON.parse(readFileSync(join(import.meta.dir, "../../models/openai-dall-e-2.json"), "utf8"));
  Object.assign(file, { id: base64Model, response_format: "b64_json", max_n: 2 });
  file.lifecycle = { end_date: null, successor: null, note: null };
  file.parameters = { size: { ...file.parameters.size, values: ["1024x1024"] } };
  const [route] = file.routes;
  Object.assign(route, {
    model: "gpt-image-1-mini",
    constants: {},
    fields: { prompt: "prompt", size: "size", user: "user" },
  });
  route.price.rows = [{ usd: "0.011" }];
  writeFileSync(join(models, "house.json"), JSON.stringify(file));
  router = await startHeldRouter({ env: { ...upstreams.env, AROUTER_MODELS: models } });
});
afterAll(async () => {
  await router.remove();
  await upstreams.stop();
  rmSync(models, { recursive: true });
});

const providers: Record<string, string> = {
  [dallE3]: "openai",
  [dallE2]: "openai",
  [stableDiffusion]: "stability",
  [flux]: "replicate",
  [base64Model]: "openai",
};
const prompt = "a lighthouse";

describe("response_format", () => {
  for (const model of [...seedModels, base64Model]) {
    for (const where of ["provider", "sandbox"] as const) {
      for (const format of ["url", "b64_json", undefined]) {
        test(`${model} at its ${where}: ${format ?? "omitted"}`, async () => {
          const before = painted.length;
          const key = where === "sandbox" ? router.keys.test : router.keys.live;
          const asked = format === undefined ? {} : { response_format: format };
          const size = model === dallE2 ? { size: "256x256" } : {};
          const answer = await imagesOf(await router.generate({ model, prompt, ...size, ...asked }, { key }));
          const expected = format ?? (model === base64Model ? "b64_json" : "url");
          const revised = model === dallE3 && where === "provider" ? ["revised_prompt"] : [];
          expect(answer.data.map((image) => Object.keys(image).sort())).toEqual([[expected, ...revised].sort()]);
          if (where === "provider") expect(await bytesOf(at(answer.data))).toEqual(at(painted, before));
          else expect(await pictureOf(await bytesOf(at(answer.data)))).toMatch(/^\d+x\d+ (png|webp)$/);
        });
      }
    }
  }

  test("url and b64_json of one sandbox request are the same bytes", async () => {
    const ask = { model: dallE2, prompt, size: "512x512", n: 2 };
    const [links, base64] = await Promise.all(
      ["url", "b64_json"].map(async (response_format) => {
        const { data } = await imagesOf(await router.generate({ ...ask, response_format }, { key: router.keys.test }));
        return Promise.all(data.map(bytesOf));
      }),
    );
    expect(base64).toEqual(links);
  });

  test("b64_json is plain base64 of a whole picture, also of a large one", async () => {
    const ask = { model: dallE3, prompt, size: "1792x1024", response_format: "b64_json" };
    const { data } = await imagesOf(await router.generate(ask, { key: router.keys.test }));
    const { b64_json: text = "" } = at(data);
    expect(text).toMatch(/^[A-Za-z0-9+/]+={0,2}$/);
    expect(Buffer.from(text, "base64").toString("base64")).toBe(text);
    expect(await pictureOf(await bytesOf(at(data)))).toBe("1792x1024 png");
  });
});

describe("the answer", () => {
  test("has created and data, and nothing that the vendor did not say", async () => {
    for (const model of seedModels) {
      for (const key of [router.keys.live, router.keys.test]) {
        for (const response_format of ["url", "b64_json"]) {
          const answer = await imagesOf(await router.generate({ model, prompt, response_format }, { key }));
          expect(Object.keys(answer)).toEqual(["created", "data"]);
          expect(answer.created).toBe(Math.floor(router.now() / 1000));
        }
      }
    }
  });

  test("has what OpenAI's answers have where the vendor reports it, in both formats", async () => {
    for (const response_format of ["url", "b64_json"]) {
      const answer = await imagesOf(await router.generate({ model: base64Model, prompt, response_format }));
      const echoed = ["background", "output_format", "quality", "size", "usage"];
      expect(Object.keys(answer).sort()).toEqual([...echoed, "created", "data"].sort());
      expect(answer.size).toBe("1024x1024");
      expect(answer.usage).toMatchObject({ input_tokens: expect.any(Number), output_tokens: expect.any(Number) });
    }
  });

  test("carries the upstream's revised prompt to the letter, in both formats", async () => {
    const awkward = 'a "lighthouse"\n\\ \u2028 一座燈塔 🗼';
    for (const response_format of ["url", "b64_json"]) {
      const { data } = await imagesOf(await router.generate({ model: dallE3, prompt: awkward, response_format }));
      expect(at(data).revised_prompt).toBe(`${awkward}, in rich detail`);
    }
  });
});

describe("headers", () => {
  for (const model of seedModels) {
    test(model, async () => {
      for (const where of [providers[model], "sandbox"]) {
        const key = where === "sandbox" ? router.keys.test : router.keys.live;
        const { status, headers } = await router.generate({ model, prompt, response_format: "url" }, { key });
        expect(status).toBe(200);
        expect(headers.get("content-type")).toStartWith("application/json");
        expect(headers.get("x-request-id")).toMatch(/^req-/);
        expect(headers.get("x-arouter-generation-id")).toMatch(/^gen-/);
        expect(headers.get("x-arouter-model")).toBe(model);
        expect(headers.get("x-arouter-provider")).toBe(where ?? "");
        expect(headers.get("x-arouter-cost-usd")).toMatch(where === "sandbox" ? /^0$/ : /^0\.\d+$/);
        expect(headers.get("x-arouter-warnings")).toBeNull();
        expect(headers.get("x-should-retry")).toBeNull();
        const ends = model === dallE2 || model === dallE3;
        // RFC 9745: a Unix time after an @; RFC 8594: an HTTP date. Both models ended on 2026-05-12.
        expect(headers.get("deprecation")).toBe(ends ? `@${Date.UTC(2026, 4, 12) / 1000}` : null);
        expect(headers.get("sunset")).toBe(ends ? "Tue, 12 May 2026 00:00:00 GMT" : null);
      }
    });
  }

  test("a failed generation has them, too, with cost 0", async () => {
    const response = await router.generate({ model: dallE3, prompt: "[[moderate]]" });
    expect(response.headers.get("x-arouter-model")).toBe(dallE3);
    expect(response.headers.get("x-arouter-provider")).toBe("openai");
    expect(response.headers.get("x-arouter-cost-usd")).toBe("0");
    expect(response.headers.get("deprecation")).toBeString();
    const id = response.headers.get("x-arouter-generation-id") ?? "";
    await expectError(response, "content_policy_violation");
    expect(await jsonOf(await router.get(`/v1/images/generations/${id}`))).toMatchObject({ id, status: "failed" });
  });
});

describe("Accept: image/*", () => {
  const generate = (body: Json, accept: string, key = router.keys.live) =>
    router.generate({ prompt, ...body }, { key, headers: { accept } });

  test("answers the picture itself, with the generation's headers", async () => {
    for (const accept of ["image/*", "image/png", "image/webp, image/*;q=0.8", "application/json;q=0.1, image/*"]) {
      const before = painted.length;
      const response = await generate({ model: flux }, accept);
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toBe("image/webp");
      expect(response.headers.get("x-arouter-cost-usd")).toBe("0.05");
      expect(response.headers.get("x-arouter-generation-id")).toMatch(/^gen-/);
      const bytes = await response.bytes();
      expect(bytes).toEqual(at(painted, before));
    }
  });

  test("whatever response_format says, and in the sandbox, too", async () => {
    const body = { model: dallE2, size: "256x256", response_format: "b64_json" };
    const response = await generate(body, "image/*", router.keys.test);
    expect(response.headers.get("content-type")).toBe("image/png");
    expect(await pictureOf(await response.bytes())).toBe("256x256 png");
  });

  test("with n above 1 is refused before anything is spent", async () => {
    const before = painted.length;
    await expectError(await generate({ model: dallE2, n: 2 }, "image/*"), "invalid_value", { param: "n" });
    expect(painted).toHaveLength(before);
  });

  test("an error is JSON all the same", async () => {
    await expectError(await generate({ model: dallE3, prompt: "[[moderate]]" }, "image/*"), "content_policy_violation");
  });

  test("other Accept headers get JSON", async () => {
    for (const accept of [
      "application/json",
      "*/*",
      "application/json, text/plain, */*",
      "application/json, image/*",
      "image/*;q=0",
    ]) {
      const response = await generate({ model: dallE2 }, accept);
      expect((await imagesOf(response)).data).toHaveLength(1);
    }
  });
});
