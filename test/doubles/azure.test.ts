/** The Azure OpenAI double against upstream-apis.md §6.3; what it shares with OpenAI is in the tests of that double. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { AzureOpenAI } from "openai";
import { azureErrors, azureFault, startAzure } from "./azure.ts";
import { formOf, maskFile, pngFile, post, readEvents } from "./openai-asking.ts";

const double = startAzure({
  deployments: { fox: "gpt-image-2", "gpt-image-1.5": "gpt-image-1.5" },
  entraToken: "ey.J",
});
afterEach(() => double.clear());
afterAll(() => double.stop());

const keyed = { "api-key": double.key };
const order = { model: "fox", prompt: "a lighthouse", size: "1024x1024", quality: "low" };
const v1 = (operation = "generations", version = "?api-version=v1") =>
  `${double.url}/openai/v1/images/${operation}${version}`;
const dated = (name = "fox", operation = "generations", version = "?api-version=2025-04-01-preview") =>
  `${double.url}/openai/deployments/${name}/images/${operation}${version}`;

async function answerOf(response: Response) {
  const body = (await response.json()) as { error: Record<string, unknown> };
  return { status: response.status, ...body };
}

describe("what is made", () => {
  test("generations, by either address, with either credential", async () => {
    const before = double.billed;
    for (const address of [v1(), v1("generations", ""), v1("generations", "?api-version=preview"), dated()]) {
      const response = await post(address, keyed, order);
      expect(response.status).toBe(200);
      expect(response.headers.get("apim-request-id")).not.toBeNull();
      const body = (await response.json()) as { data: object[] };
      expect(body).toMatchObject({ size: "1024x1024", quality: "low", usage: { output_tokens: 196 } });
      expect(Object.keys(body.data[0] ?? {})).toEqual(["b64_json"]);
    }
    for (const token of [double.key, "ey.J"])
      expect((await post(v1(), { authorization: `Bearer ${token}` }, order)).status).toBe(200);
    expect((await post(dated(), keyed, { ...order, model: undefined })).status).toBe(200);
    expect(double.billed - before).toBe(7);
  });

  test("edits and streams", async () => {
    const form = formOf({ ...order, image: pngFile(), mask: maskFile(), stream: "true", partial_images: "1" });
    const names = [];
    for await (const { name } of readEvents(await post(dated("fox", "edits"), keyed, form))) names.push(name);
    expect(names).toEqual(["image_edit.partial_image", "image_edit.completed"]);
    expect(double.inputs.map(({ field }) => field)).toEqual(["image", "mask"]);
    expect((await post(v1("edits"), keyed, { ...order, images: [{ file_id: "file-1" }] })).status).toBe(200);
  });

  test("the official client is understood", async () => {
    const client = new AzureOpenAI({
      endpoint: double.url,
      apiKey: double.key,
      apiVersion: "2025-04-01-preview",
      deployment: "fox",
      maxRetries: 0,
    });
    const made = await client.images.generate({ ...order, quality: "low" });
    expect(made.data).toHaveLength(1);
    expect((await client.images.edit({ ...order, quality: "low", image: pngFile() })).data).toHaveLength(1);
    expect(double.lastRequest?.path).toBe("/openai/deployments/fox/images/edits");
  });
});

describe("what is refused", () => {
  test("keys, deployments, versions and paths, in Azure's own words", async () => {
    const denied = { status: 401, error: { code: "401", message: azureErrors["401"].message } };
    expect(await answerOf(await post(v1(), {}, order))).toEqual(denied);
    expect(await answerOf(await post(v1(), { "api-key": "wrong" }, order))).toEqual(denied);
    expect(await answerOf(await post(v1(), { authorization: "Bearer wrong" }, order))).toEqual(denied);
    const nowhere = { status: 404, error: { code: "DeploymentNotFound" } };
    expect(await answerOf(await post(dated("owl"), keyed, order))).toMatchObject(nowhere);
    expect(await answerOf(await post(v1(), keyed, { ...order, model: "owl" }))).toMatchObject(nowhere);
    const unknown = { status: 404, error: { code: "404", message: "Resource not found" } };
    expect(await answerOf(await post(dated("fox", "generations", ""), keyed, order))).toEqual(unknown);
    expect(await answerOf(await post(v1("variations"), keyed, order))).toEqual(unknown);
    const old = await answerOf(await post(v1("generations", "?api-version=2024-02-01"), keyed, order));
    expect(old).toEqual({ status: 400, error: { code: "BadRequest", message: "API version not supported" } });
  });

  test("parameters, in OpenAI's words, by the rules of the deployed model", async () => {
    const size = await answerOf(await post(v1(), keyed, { ...order, model: "gpt-image-1.5", size: "512x512" }));
    expect(size).toMatchObject({ status: 400, error: { code: "invalid_value", param: "size" } });
    const format = await answerOf(await post(dated(), keyed, { ...order, response_format: "url" }));
    expect(format).toMatchObject({ status: 400, error: { code: "unknown_parameter", type: "invalid_request_error" } });
    const nobody = await answerOf(await post(v1(), keyed, { ...order, model: undefined }));
    expect(nobody).toMatchObject({ status: 400, error: { code: "missing_required_parameter", param: "model" } });
  });

  test("content: the filter's own shape, and the model's refusal", async () => {
    const before = double.billed;
    const told = async (word: string) => answerOf(await post(v1(), keyed, { ...order, prompt: `[[${word}]]` }));
    const filter = await told("moderate");
    expect(Object.keys(filter.error)).toEqual(["code", "message", "param", "innererror"]);
    expect(filter).toMatchObject({
      status: 400,
      error: {
        code: "content_filter",
        param: "prompt",
        innererror: {
          code: "ResponsibleAIPolicyViolation",
          content_filter_result: { sexual: { filtered: true, severity: "high" } },
        },
      },
    });
    expect(await told("fail:content_policy_violation")).toMatchObject({
      status: 400,
      error: { inner_error: { content_filter_results: { sexual: { filtered: true } } } },
    });
    for (const word of ["fail:moderation_blocked", "fail:E005"]) {
      const { status, error } = await told(word);
      expect({ status, ...error }).toMatchObject({ status: 400, code: "moderation_blocked", param: "" });
      expect(String(error.message)).toContain("contact us at Azure support ticket and include the request ID");
    }
    const blocked = { status: 403, error: { code: "Forbidden", message: azureErrors.Forbidden.message } };
    expect(await told("fail:Forbidden")).toEqual(blocked);
    expect(double.billed).toBe(before);
  });

  test("limits and faults", async () => {
    const limited = await post(v1(), keyed, { ...order, prompt: "[[429]]" });
    expect(limited.headers.get("retry-after")).toBe("12");
    expect(await answerOf(limited)).toMatchObject({ status: 429, error: { code: "429" } });
    for (const name of Object.keys(azureErrors) as (keyof typeof azureErrors)[]) {
      double.next(azureFault(name));
      const { status, body } = azureErrors[name];
      expect(await answerOf(await post(v1(), keyed, order))).toEqual({ status, error: body });
    }
    const failed = await post(v1(), keyed, { ...order, prompt: "[[fail:stream]]", stream: true });
    const names = [];
    for await (const { name } of readEvents(failed)) names.push(name);
    expect([failed.status, names]).toEqual([200, ["error"]]);
  });
});
