/** The Replicate double's models with input pictures, against upstream-apis.md §4.1 "Files" and §4.3. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { type PictureType, picture } from "./picture.ts";
import { REFUSALS, REPLICATE_MODELS, startReplicate } from "./replicate.ts";
import { pictureFacts } from "./selfhosted-inputs.ts";

const double = startReplicate({ progress: { polls: 0 } });
beforeEach(() => {
  double.inputImages.length = 0;
});
afterAll(() => double.stop());

interface Prediction {
  status: string;
  output: string | string[] | null;
  error: string | null;
  invalid_fields?: unknown[];
}
type Input = Record<string, unknown>;

async function ask(model: string, input: Input, status = 201): Promise<Prediction> {
  const response = await fetch(`${double.url}/models/black-forest-labs/${model}/predictions`, {
    method: "POST",
    headers: { authorization: `Bearer ${double.key}`, "content-type": "application/json" },
    body: JSON.stringify({ input: { prompt: "a fox", ...input } }),
  });
  expect(response.status).toBe(status);
  return (await response.json()) as Prediction;
}

function dataUrlOf(bytes: Uint8Array, type: PictureType = "png"): string {
  return `data:image/${type};base64,${bytes.toBase64()}`;
}

const wide = picture({ width: 640, height: 320 });
const link = "https://example.com/fox.jpg";

test("all models of §4.3 are there", () => {
  const names = ["flux-schnell", "flux-dev", "flux-pro", "flux-1.1-pro", "flux-1.1-pro-ultra", "flux-kontext-pro"];
  names.push("flux-kontext-max", "flux-2-pro", "flux-2-flex");
  expect(REPLICATE_MODELS.map(({ id }) => id)).toEqual(names.map((name) => `black-forest-labs/${name}`));
});

describe("output", () => {
  const wideUrl = dataUrlOf(wide);
  const flex = { steps: 50, guidance: 1.5, prompt_upsampling: false, safety_tolerance: 5 };
  const cases: [model: string, input: Input, shape: number | "string", picture: string][] = [
    ["flux-dev", { image: wideUrl, prompt_strength: 1, num_outputs: 2 }, 2, "1440x720 webp"],
    ["flux-dev", { image: wideUrl, megapixels: "0.25" }, 1, "720x368 webp"],
    ["flux-1.1-pro-ultra", { raw: true }, "string", "2048x2048 jpeg"],
    ["flux-1.1-pro-ultra", { aspect_ratio: "21:9", output_format: "png" }, "string", "3072x1280 png"],
    ["flux-1.1-pro-ultra", { image_prompt: link, image_prompt_strength: 0.1 }, "string", "2048x2048 jpeg"],
    ["flux-kontext-pro", {}, "string", "1024x1024 png"],
    ["flux-kontext-pro", { safety_tolerance: 6, aspect_ratio: "2:1" }, "string", "1440x720 png"],
    ["flux-kontext-pro", { input_image: wideUrl, output_format: "jpg" }, "string", "1456x720 jpeg"],
    ["flux-kontext-max", { input_image: wideUrl, aspect_ratio: "1:1" }, "string", "1024x1024 png"],
    ["flux-kontext-max", { input_image: link, safety_tolerance: 2 }, "string", "1024x1024 png"],
    ["flux-2-pro", {}, "string", "1024x1024 webp"],
    ["flux-2-pro", { resolution: "4 MP" }, "string", "2048x2048 webp"],
    ["flux-2-pro", { resolution: "4 MP", aspect_ratio: "16:9" }, "string", "2048x1552 webp"],
    ["flux-2-pro", { aspect_ratio: "custom", width: 2032, height: 256 }, "string", "2032x256 webp"],
    ["flux-2-pro", { aspect_ratio: "match_input_image", input_images: [link, wideUrl] }, "string", "1456x720 webp"],
    ["flux-2-flex", { resolution: "0.5 MP", output_format: "jpg", ...flex }, "string", "720x720 jpeg"],
    ["flux-2-flex", { resolution: "match_input_image", input_images: [wideUrl] }, "string", "720x720 webp"],
  ];

  test.each(cases)("%s %p: %p, %s", async (model, input, shape, expected) => {
    const { output } = await ask(model, input);
    expect(Array.isArray(output) ? output.length : typeof output).toBe(shape);
    const file = await fetch([output].flat()[0] ?? "");
    const { width, height, format } = await pictureFacts(await file.bytes());
    expect(`${width}x${height} ${format}`).toBe(expected);
    expect(file.headers.get("content-type")).toBe(`image/${format}`);
  });

  test("schnell and dev leave flagged pictures out, and fail when none is left", async () => {
    const before = double.billed;
    for (const model of ["flux-schnell", "flux-dev"]) {
      expect((await ask(model, { prompt: "[[drop:3]]", num_outputs: 4 })).output).toHaveLength(1);
      const none = await ask(model, { prompt: "[[drop:2]]", num_outputs: 2 });
      expect(none).toMatchObject({ status: "failed", output: null, error: REFUSALS.NSFW });
    }
    expect(double.billed - before).toBe(2);
  });
});

describe("input pictures", () => {
  test("are kept for tests: links as they came, data URLs as bytes", async () => {
    const jpeg = picture({ width: 80, height: 48, type: "jpeg" });
    await ask("flux-2-pro", { input_images: [link, dataUrlOf(jpeg, "jpeg")] });
    await ask("flux-kontext-pro", { input_image: dataUrlOf(wide) });
    const pro = { model: "black-forest-labs/flux-2-pro" };
    const kontext = { model: "black-forest-labs/flux-kontext-pro" };
    expect(double.inputImages).toEqual([
      { ...pro, field: "input_images.0", url: link },
      {
        ...pro,
        field: "input_images.1",
        contentType: "image/jpeg",
        bytes: jpeg,
        width: 80,
        height: 48,
        format: "jpeg",
      },
      {
        ...kontext,
        field: "input_image",
        contentType: "image/png",
        bytes: wide,
        width: 640,
        height: 320,
        format: "png",
      },
    ]);
  });

  test("bytes that are no picture fail in the model", async () => {
    const before = double.billed;
    const prediction = await ask("flux-dev", { image: dataUrlOf(new Uint8Array(40)) });
    expect(prediction).toMatchObject({ status: "failed", output: null, error: "cannot identify image file" });
    expect(double.billed).toBe(before);
  });

  test("256 kB is the most a data URL may hold", async () => {
    const padded = (bytes: number) => {
      const file = new Uint8Array(bytes);
      file.set(wide);
      return dataUrlOf(file);
    };
    expect((await ask("flux-dev", { image: padded(256_000) })).status).toBe("succeeded");
    const { invalid_fields } = await ask("flux-dev", { image: padded(256_001) }, 422);
    expect(invalid_fields).toMatchObject([{ type: "format", field: "input.image" }]);
  });

  const nine = Array.from({ length: 9 }, () => link);
  const bad: [model: string, input: Input, type: string, field: string][] = [
    ["flux-schnell", { image: link }, "additional_property_not_allowed", "input"],
    ["flux-dev", { image: "fox.png" }, "format", "input.image"],
    ["flux-dev", { image: "http://example.com/fox.png" }, "format", "input.image"],
    ["flux-dev", { image: "https://" }, "format", "input.image"],
    ["flux-dev", { image: "data:image/png;base64,&&&" }, "format", "input.image"],
    ["flux-dev", { image: "data:image/png,abc" }, "format", "input.image"],
    ["flux-dev", { image: [link] }, "invalid_type", "input.image"],
    ["flux-dev", { prompt_strength: 1.1 }, "number_lte", "input.prompt_strength"],
    ["flux-1.1-pro", { image_prompt: "fox" }, "format", "input.image_prompt"],
    ["flux-1.1-pro-ultra", { output_format: "webp" }, "enum", "input.output_format"],
    ["flux-1.1-pro-ultra", { aspect_ratio: "custom" }, "enum", "input.aspect_ratio"],
    ["flux-1.1-pro-ultra", { width: 512 }, "additional_property_not_allowed", "input"],
    ["flux-1.1-pro-ultra", { image_prompt_strength: 1.5 }, "number_lte", "input.image_prompt_strength"],
    ["flux-1.1-pro-ultra", { safety_tolerance: 0 }, "number_gte", "input.safety_tolerance"],
    ["flux-kontext-pro", { output_format: "webp" }, "enum", "input.output_format"],
    ["flux-kontext-pro", { output_quality: 80 }, "additional_property_not_allowed", "input"],
    ["flux-kontext-max", { input_image: link, safety_tolerance: 3 }, "number_lte", "input.safety_tolerance"],
    ["flux-kontext-max", { safety_tolerance: 7 }, "number_lte", "input.safety_tolerance"],
    ["flux-2-pro", { input_images: nine }, "array_max_items", "input.input_images"],
    ["flux-2-pro", { input_images: link }, "invalid_type", "input.input_images"],
    ["flux-2-pro", { input_images: [link, "x"] }, "format", "input.input_images.1"],
    ["flux-2-pro", { input_images: [link, 5] }, "invalid_type", "input.input_images.1"],
    ["flux-2-pro", { resolution: "3 MP" }, "enum", "input.resolution"],
    ["flux-2-pro", { aspect_ratio: "21:9" }, "enum", "input.aspect_ratio"],
    ["flux-2-pro", { width: 1000 }, "multiple_of", "input.width"],
    ["flux-2-pro", { height: 2064 }, "number_lte", "input.height"],
    ["flux-2-pro", { safety_tolerance: 6 }, "number_lte", "input.safety_tolerance"],
    ["flux-2-pro", { steps: 20 }, "additional_property_not_allowed", "input"],
    ["flux-2-flex", { input_images: [...nine, link, link] }, "array_max_items", "input.input_images"],
    ["flux-2-flex", { width: 1008 }, "multiple_of", "input.width"],
    ["flux-2-flex", { steps: 51 }, "number_lte", "input.steps"],
    ["flux-2-flex", { guidance: 1 }, "number_gte", "input.guidance"],
  ];

  test.each(bad)("422 %s %p: %s", async (model, input, type, field) => {
    const before = { billed: double.billed, made: double.predictionIds.length };
    const { invalid_fields } = await ask(model, input, 422);
    expect(invalid_fields).toMatchObject([{ type, field }]);
    expect({ billed: double.billed, made: double.predictionIds.length }).toEqual(before);
    expect(double.inputImages).toEqual([]);
  });

  test("ten for flex, eight for pro", async () => {
    expect((await ask("flux-2-flex", { input_images: [...nine, link] })).status).toBe("succeeded");
    expect((await ask("flux-2-pro", { input_images: nine.slice(1) })).status).toBe("succeeded");
  });
});
