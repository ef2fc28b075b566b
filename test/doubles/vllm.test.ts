/** The vLLM-Omni double against upstream-apis.md §7. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { pictureFacts } from "./selfhosted-inputs.ts";
import { startVllmOmni } from "./vllm.ts";

const double = startVllmOmni();
beforeEach(() => {
  double.ignored.length = 0;
  double.made.length = 0;
});
afterAll(() => double.stop());

function post(body: unknown, headers: Record<string, string> = {}, on = double): Promise<Response> {
  const all = { "content-type": "application/json", ...headers };
  return fetch(`${on.url}/images/generations`, { method: "POST", headers: all, body: JSON.stringify(body) });
}

interface Answer {
  created: number;
  data: { b64_json: string; url: null; revised_prompt: null }[];
}

async function ask(fields: Record<string, unknown> = {}): Promise<Answer> {
  const response = await post({ prompt: "a fox", ...fields });
  expect(response.status).toBe(200);
  return (await response.json()) as Answer;
}

test("base64 and nothing else, the other keys are null", async () => {
  const before = double.billed;
  const answer = await ask({ n: 2, size: "256x128", response_format: "b64_json" });
  expect(Object.keys(answer)).toEqual(["created", "data"]);
  expect(answer.data).toHaveLength(2);
  expect(double.billed - before).toBe(2);
  for (const item of answer.data) {
    expect(item).toEqual({ b64_json: expect.any(String), url: null, revised_prompt: null });
    const facts = await pictureFacts(Uint8Array.fromBase64(item.b64_json));
    expect(facts).toEqual({ width: 256, height: 128, format: "png" });
  }
  expect(answer.data[0]?.b64_json).not.toBe(answer.data[1]?.b64_json);
});

test("the same seed makes the same picture, no seed another one; the model's size without a size", async () => {
  const seeded = async (seed?: number) => (await ask({ seed })).data[0]?.b64_json;
  expect(await seeded(7)).toBe(await seeded(7));
  expect(await seeded(7)).not.toBe(await seeded(8));
  expect(await seeded()).not.toBe(await seeded());
  expect(double.made[0]).toMatchObject({ width: 1024, height: 1024, seed: 7 });
});

test("its own fields have an effect, unknown ones are passed over, another model too", async () => {
  const settings = { num_inference_steps: 200, guidance_scale: 0, true_cfg_scale: 20 };
  await ask({ ...settings, negative_prompt: "dogs", seed: null, model: double.model, user: "me" });
  expect(double.made[0]).toMatchObject({ settings, negativePrompt: "dogs", seed: undefined });
  expect(double.ignored).toEqual([]);
  await ask({ model: "other/model", quality: "hd", output_format: "jpeg", background: null });
  expect(double.ignored).toEqual(["quality", "output_format", "model"]);
  expect(double.made[1]?.type).toBe("png");
});

describe("FastAPI's errors", () => {
  const unprocessable: [fields: Record<string, unknown>, field: string, type: string][] = [
    [{ prompt: 5 }, "prompt", "string_type"],
    [{ prompt: null }, "prompt", "string_type"],
    [{ n: 0 }, "n", "greater_than_equal"],
    [{ n: 11 }, "n", "less_than_equal"],
    [{ n: null }, "n", "int_type"],
    [{ n: 1.5 }, "n", "int_from_float"],
    [{ n: "two" }, "n", "int_parsing"],
    [{ size: "1024" }, "size", "value_error"],
    [{ response_format: "url" }, "response_format", "value_error"],
    [{ num_inference_steps: 201 }, "num_inference_steps", "less_than_equal"],
    [{ guidance_scale: -1 }, "guidance_scale", "greater_than_equal"],
    [{ guidance_scale: true }, "guidance_scale", "float_type"],
    [{ true_cfg_scale: 20.5 }, "true_cfg_scale", "less_than_equal"],
  ];

  test.each(unprocessable)("422 %j: %s %s", async (fields, field, type) => {
    const before = double.billed;
    const response = await post({ prompt: "a fox", ...fields });
    expect(response.status).toBe(422);
    const { detail } = (await response.json()) as { detail: unknown[] };
    expect(detail).toEqual([{ type, loc: ["body", field], msg: expect.any(String), input: fields[field] }]);
    expect([double.billed, double.made.length]).toEqual([before, 0]);
  });

  test("422 names every defect at once; no prompt; no object", async () => {
    const two = (await (await post({ n: 11 })).json()) as { detail: { loc: unknown[] }[] };
    expect(two.detail.map(({ loc }) => loc)).toEqual([
      ["body", "prompt"],
      ["body", "n"],
    ]);
    expect((await post(["x"])).status).toBe(422);
    expect((await post({ prompt: "a fox" }, { "content-type": "text/plain" })).status).toBe(422);
  });

  test("a number in a text is a number", async () => {
    expect((await ask({ n: "2" })).data).toHaveLength(2);
  });

  const details: [fields: Record<string, unknown>, status: number, words: string][] = [
    [{ size: "1024x" }, 400, "Invalid size format: '1024x'. Expected format: 'WIDTHxHEIGHT' (e.g., '1024x1024')."],
    [{ size: "0x64" }, 400, "Invalid size: '0x64'. Width and height must be positive integers."],
    [{ prompt: "[[503]]" }, 503, "Diffusion engine not initialized. Start server with a diffusion model."],
    [{ prompt: "[[500]]" }, 500, "Image generation failed: CUDA out of memory"],
  ];

  test.each(details)("%j is %d with a text", async (fields, status, words) => {
    const response = await post({ prompt: "a fox", ...fields });
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({ detail: words });
  });

  test("503 for everyone while the engine is not ready", async () => {
    double.engineReady = false;
    expect((await post({ prompt: "a fox" })).status).toBe(503);
    double.engineReady = true;
    expect((await post({ prompt: "a fox" })).status).toBe(200);
  });

  test("404 for edits, 405 for another method, 401 without the key where one is set", async () => {
    const edits = await fetch(`${double.url}/images/edits`, { method: "POST", body: new FormData() });
    expect([edits.status, await edits.json()]).toEqual([404, { detail: "Not Found" }]);
    expect((await fetch(`${double.url}/images/generations`)).status).toBe(405);
    const locked = startVllmOmni({ key: "vllm-key" });
    const refused = await post({ prompt: "a fox" }, {}, locked);
    expect([refused.status, await refused.json()]).toEqual([401, { error: "Unauthorized" }]);
    expect((await post({ prompt: "a fox" }, { authorization: "Bearer vllm-key" }, locked)).status).toBe(200);
    await locked.stop();
  });
});
