/** What the BFL double refuses (upstream-apis.md §5): error bodies of both families, and every rule of its schemas. */
import { afterAll, describe, expect, test } from "bun:test";
import { type BflDouble, bflFault, startBfl } from "./bfl.ts";
import { picture } from "./picture.ts";

const double = startBfl({ progress: { pendingPolls: 0 } });
const guide = startBfl({ progress: { pendingPolls: 0 }, errors: "guide" });
afterAll(() => Promise.all([double.stop(), guide.stop()]));

function post(to: BflDouble, model: string, body: string, key = to.key): Promise<Response> {
  const headers = { "x-key": key, "content-type": "application/json" };
  return fetch(`${to.url}/${model}`, { method: "POST", headers, body });
}

async function refused(to: BflDouble, prompt: string, key = to.key) {
  const response = await post(to, "flux-dev", JSON.stringify({ prompt }), key);
  return { status: response.status, body: await response.json(), headers: response.headers };
}

describe("errors", () => {
  const rows: [prompt: string, status: number, guideStatus: number, error: string, detail: string][] = [
    ["[[402]]", 402, 402, "insufficient_credits", "Insufficient credits to perform this request"],
    ["[[403]]", 403, 403, "forbidden", "API key lacks access to the resource"],
    ["[[429]]", 429, 429, "rate_limit_exceeded", "Too many concurrent requests"],
    ["[[500]]", 500, 500, "internal_server_error", "Internal Server Error"],
    ["[[503]]", 503, 503, "service_unavailable", "Service temporarily unavailable"],
  ];
  test.each(rows)("%s: %p %p %s", async (prompt, status, guideStatus, error, detail) => {
    expect(await refused(double, prompt)).toMatchObject({ status, body: { detail } });
    expect(await refused(guide, prompt)).toMatchObject({
      status: guideStatus,
      body: { error, message: detail, details: {} },
    });
  });

  test("a bad key is 403 in one family, 401 in the other; the rate limit has its headers in one only", async () => {
    expect(await refused(double, "a fox", "wrong")).toMatchObject({
      status: 403,
      body: { detail: "Not authenticated - Invalid Authentication" },
    });
    expect(await refused(guide, "a fox", "wrong")).toMatchObject({ status: 401, body: { error: "invalid_api_key" } });
    const noKey = await fetch(`${double.url}/flux-dev`, { method: "POST", body: "{}" });
    expect(noKey.status).toBe(403);
    const limited = await refused(guide, "[[429]]");
    expect(limited.body).toMatchObject({ retry_after: 5 });
    expect(limited.headers.get("x-ratelimit-limit")).toBe("24");
    expect((await refused(double, "[[429]]")).headers.get("x-ratelimit-limit")).toBeNull();
  });

  test("unknown paths, faults, webhooks", async () => {
    for (const path of ["flux-pro", "flux-2-pro/extra", "images/generations"]) {
      const answer = await post(double, path, "{}");
      expect([answer.status, await answer.json()]).toEqual([404, { detail: "Not Found" }]);
    }
    double.next(bflFault("service_unavailable"));
    expect((await refused(double, "a fox")).status).toBe(503);
    double.next({ kind: "htmlBadGateway" }, { on: "poll" });
    expect((await fetch(`${double.url}/get_result?id=x`)).status).toBe(502);
    const webhook = JSON.stringify({ prompt: "x", webhook_url: "https://a.example/hook" });
    expect((await post(double, "flux-dev", webhook)).status).toBe(501);
  });
});

describe("422", () => {
  const image = picture({ width: 16, height: 16 }).toBase64();
  const bad: [model: string, input: object, type: string, field: string, msg: string][] = [
    ["flux-2-pro", { prompt: undefined }, "missing", "prompt", "Field required"],
    ["flux-2-pro", { prompt: null }, "string_type", "prompt", "Input should be a valid string"],
    ["flux-2-pro", { n: 1 }, "extra_forbidden", "n", "Extra inputs are not permitted"],
    ["flux-2-pro", { steps: 20 }, "extra_forbidden", "steps", "Extra inputs are not permitted"],
    ["flux-2-pro", { aspect_ratio: "1:1" }, "extra_forbidden", "aspect_ratio", "Extra inputs are not permitted"],
    ["flux-2-pro", { width: 48 }, "greater_than_equal", "width", "Input should be greater than or equal to 64"],
    ["flux-2-pro", { height: 1000 }, "multiple_of", "height", "Input should be a multiple of 16"],
    ["flux-2-pro", { width: 2064, height: 2048 }, "value_error", "width", "4 megapixels"],
    ["flux-2-pro", { width: "1024" }, "int_type", "width", "Input should be a valid integer"],
    ["flux-2-pro", { width: 1024.5 }, "int_type", "width", "Input should be a valid integer"],
    ["flux-2-pro", { safety_tolerance: 6 }, "less_than_equal", "safety_tolerance", "less than or equal to 5"],
    ["flux-2-pro", { output_format: "jpg" }, "enum", "output_format", "Input should be 'jpeg', 'png' or 'webp'"],
    ["flux-2-pro", { input_image_9: image }, "extra_forbidden", "input_image_9", "not permitted"],
    ["flux-2-klein-4b", { input_image_5: image }, "extra_forbidden", "input_image_5", "not permitted"],
    ["flux-2-pro", { input_image: "!" }, "value_error", "input_image", "base64 or link"],
    ["flux-2-pro", { input_image: btoa("no picture") }, "value_error", "input_image", "base64 or link"],
    ["flux-2-pro", { input_image: `data:image/png;base64,${image}` }, "value_error", "input_image", "base64 or link"],
    ["flux-2-pro", { webhook_url: "somewhere" }, "value_error", "webhook_url", "not a valid URL"],
    ["flux-2-flex", { guidance: 1 }, "greater_than_equal", "guidance", "greater than or equal to 1.5"],
    ["flux-2-flex", { guidance: 11 }, "less_than_equal", "guidance", "less than or equal to 10"],
    ["flux-2-flex", { steps: 51 }, "less_than_equal", "steps", "less than or equal to 50"],
    ["flux-2-flex", { prompt_upsampling: "yes" }, "bool_type", "prompt_upsampling", "a valid boolean"],
    ["flux-pro-1.1", { width: 1000 }, "multiple_of", "width", "Input should be a multiple of 32"],
    ["flux-pro-1.1", { height: 1472 }, "less_than_equal", "height", "less than or equal to 1440"],
    ["flux-pro-1.1", { height: 0 }, "greater_than_equal", "height", "greater than or equal to 256"],
    ["flux-pro-1.1", { width: null }, "int_type", "width", "a valid integer"],
    ["flux-pro-1.1", { aspect_ratio: "1:1" }, "extra_forbidden", "aspect_ratio", "not permitted"],
    ["flux-pro-1.1", { image_prompt: "https://a.example/x.png" }, "value_error", "image_prompt", "not base64"],
    ["flux-dev", { guidance: 6 }, "less_than_equal", "guidance", "less than or equal to 5"],
    ["flux-pro-1.1-ultra", { width: 1024 }, "extra_forbidden", "width", "not permitted"],
    ["flux-pro-1.1-ultra", { aspect_ratio: "22:9" }, "value_error", "aspect_ratio", "between 21:9 and 9:21"],
    ["flux-pro-1.1-ultra", { aspect_ratio: "wide" }, "value_error", "aspect_ratio", "between 21:9 and 9:21"],
    ["flux-pro-1.1-ultra", { image_prompt_strength: 1.1 }, "less_than_equal", "image_prompt_strength", "equal to 1"],
    ["flux-kontext-pro", { safety_tolerance: 7 }, "less_than_equal", "safety_tolerance", "less than or equal to 6"],
    ["flux-kontext-pro", { input_image_5: image }, "extra_forbidden", "input_image_5", "not permitted"],
    ["flux-kontext-pro", { aspect_ratio: "1:3" }, "value_error", "aspect_ratio", "between 21:9 and 9:21"],
    ["flux-pro-1.0-fill", {}, "missing", "image", "Field required"],
    ["flux-pro-1.0-fill", { image, steps: 14 }, "greater_than_equal", "steps", "greater than or equal to 15"],
    ["flux-pro-1.0-expand", { image, top: 2049 }, "less_than_equal", "top", "less than or equal to 2048"],
  ];

  test.each(bad)("%s %o: %s at %s", async (model, input, type, field, msg) => {
    const before = double.tasks.length;
    const response = await post(double, model, JSON.stringify({ prompt: "x", ...input }));
    expect(response.status).toBe(422);
    expect(await response.json()).toEqual({
      detail: [{ loc: ["body", field], msg: expect.stringContaining(msg), type }],
    });
    expect(double.tasks.length).toBe(before);
  });

  test("a body that is no JSON, or no object", async () => {
    const broken = await post(double, "flux-dev", "{");
    expect([broken.status, await broken.json()]).toEqual([
      422,
      { detail: [{ loc: ["body", 0], msg: "JSON decode error", type: "json_invalid" }] },
    ]);
    expect(await (await post(double, "flux-dev", "[]")).json()).toMatchObject({ detail: [{ loc: ["body"] }] });
  });
});
