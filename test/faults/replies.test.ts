/** Complete answers that are wrong: not understood, too large, another picture than asked, fewer, more. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Double } from "../doubles/double.ts";
import type { Fault } from "../doubles/faults.ts";
import { type OpenAiDouble, startOpenAi } from "../doubles/openai.ts";
import { base64Of, picture } from "../doubles/picture.ts";
import { startReplicate } from "../doubles/replicate.ts";
import { type StabilityDouble, startStability } from "../doubles/stability.ts";
import type { TestRouter } from "../router.ts";
import {
  type Answer,
  answerOf,
  cleanup,
  envFor,
  expectFailure,
  filesOf,
  outcomes,
  router,
  type Vendor,
  vendors,
} from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(40_000);

const maxImageBytes = 20_000;
const [openaiVendor, stabilityVendor, replicateVendor] = vendors;
let openai: OpenAiDouble;
let stability: StabilityDouble;
let started: TestRouter;
let all: { vendor: Vendor; double: Double }[];

beforeEach(async () => {
  openai = startOpenAi();
  stability = startStability();
  const replicate = startReplicate({ progress: { polls: 0 }, fileOrigin: "same" });
  all = [
    { vendor: openaiVendor, double: openai },
    { vendor: stabilityVendor, double: stability },
    { vendor: replicateVendor, double: replicate },
  ];
  for (const { double } of all) cleanup.add(() => double.stop());
  const env = Object.assign({}, ...all.map(({ vendor, double }) => envFor(vendor, double)));
  started = await router({ ...env, AROUTER_MAX_IMAGE_BYTES: String(maxImageBytes) });
});
afterEach(cleanup.run);

/** Every vendor answers its create call like this; what the client is told is the same, and asked is once. */
async function expectEverywhere(fault: Fault, expected: Parameters<typeof expectFailure>[1]): Promise<Answer[]> {
  for (const { double } of all) double.next(fault);
  const answers = await Promise.all(all.map(({ vendor }) => expectFailure(started.generate(vendor.body), expected)));
  for (const { double } of all) expect(double.requestsAt("create")).toHaveLength(1);
  expect(filesOf(started)).toEqual([]);
  return answers;
}

/** One delivered picture, by its link. */
async function fetched(answer: Answer, index = 0): Promise<{ bytes: Uint8Array; contentType: string | null }> {
  const response = await fetch(answer.body.data?.[index]?.url ?? "");
  expect(response.status).toBe(200);
  return { bytes: await response.bytes(), contentType: response.headers.get("content-type") };
}

describe("answers that are no answer", () => {
  test("a proxy's HTML page with 502 is the provider's failure", async () => {
    await expectEverywhere({ kind: "htmlBadGateway" }, outcomes.failed);
  });

  const nonsense: [name: string, fault: Fault][] = [
    ["an HTML page", { kind: "text", contentType: "text/html", body: "<html><body>Sign in</body></html>" }],
    ["a text", { kind: "text" }],
    ["half of the right body", { kind: "malformed" }],
    ["nothing", { kind: "answer", status: 200 }],
    ["nothing, said to be JSON", { kind: "text", contentType: "application/json", body: "" }],
    ["no content", { kind: "answer", status: 204 }],
    ["JSON null", { kind: "text", contentType: "application/json", body: "null" }],
    ["a JSON array", { kind: "answer", status: 200, body: [{ b64_json: "QUJD" }] }],
    ["JSON of another shape", { kind: "answer", status: 200, body: { result: "ok", images: ["QUJD"] } }],
    ["an error in a success", { kind: "answer", status: 200, body: { error: { message: "no" }, detail: "no" } }],
    ["text said to be a picture", { kind: "text", contentType: "image/png" }],
    ["nothing said to be a picture", { kind: "text", contentType: "image/png", body: "" }],
    ["partial content", { kind: "answer", status: 206, body: { data: [] } }],
    ["not modified", { kind: "answer", status: 304 }],
  ];
  test.each(nonsense)("%s is a changed contract", async (name, fault) => {
    // Half of a PNG has a head that says all we check; whether the rest is there only HTTP's length can tell.
    if (name === "half of the right body") all = all.filter(({ vendor }) => vendor !== stabilityVendor);
    const answers = await expectEverywhere(fault, outcomes.changed);
    for (const answer of answers) expect(JSON.stringify(answer.body)).not.toContain("Sign in");
  });

  const notPictures = [
    "QUJD",
    "",
    "aGVsbG8gd29ybGQsIHRoaXMgaXMgbm8gcGljdHVyZSBhdCBhbGw=",
    "?",
    base64Of(new Uint8Array(5000)),
  ];
  test.each(notPictures)("base64 that is no picture is a changed contract: %.20j", async (b64_json) => {
    openai.next({ kind: "answer", status: 200, body: { created: 1, data: [{ b64_json }] }, billed: true });
    await expectFailure(started.generate(openaiVendor.body), outcomes.changed);
    const image = { image: b64_json, finish_reason: "SUCCESS", seed: 1 };
    stability.next({ kind: "answer", status: 200, body: image, billed: true });
    await expectFailure(started.generate(stabilityVendor.body), outcomes.changed);
    expect(filesOf(started)).toEqual([]);
  });

  test("a success without a picture is a failure that costs nothing", async () => {
    for (const { double, vendor } of all.filter(({ vendor }) => vendor !== stabilityVendor)) {
      double.next({ kind: "emptyData" });
      const answer = await answerOf(started.generate(vendor.body));
      expect(answer).toMatchObject({ status: 502, cost: "0" });
      expect(answer.body.data).toBeUndefined();
    }
    stability.next({ kind: "emptyData" });
    await expectFailure(started.generate(stabilityVendor.body), outcomes.changed);
  });
});

describe("pictures above AROUTER_MAX_IMAGE_BYTES", () => {
  test.each([true, false])("of which one byte too much arrives (length declared: %p)", async (declared) => {
    stability.next({ kind: "oversized", bytes: maxImageBytes + 1, declared });
    const raw = await expectFailure(started.generate(stabilityVendor.body), outcomes.changed);
    expect(raw.body.error?.message).toContain(String(maxImageBytes));
    const linked = all.at(2)?.double;
    linked?.next({ kind: "oversized", bytes: maxImageBytes + 1, declared }, { on: "file" });
    await expectFailure(started.generate(replicateVendor.body), outcomes.changed);
    expect(linked?.requestsAt("create")).toHaveLength(1);
    expect(filesOf(started)).toEqual([]);
  });

  test("are left as soon as they are too large: an endless one does not go on", async () => {
    for (const { double, vendor } of all) {
      const stage = vendor === replicateVendor ? "file" : "create";
      double.next({ kind: "oversized", bytes: 1 << 30 }, { on: stage });
      await expectFailure(started.generate(vendor.body), outcomes.changed);
      await double.idle();
      expect(double.requestsAt(stage).at(-1)?.outcome).toBe("aborted");
    }
    expect(filesOf(started)).toEqual([]);
  });

  test("as base64", async () => {
    const padded = (bytes: number) => {
      const made = new Uint8Array(bytes);
      made.set(picture({ width: 256, height: 256 }));
      return { created: 1, data: [{ b64_json: base64Of(made) }] };
    };
    openai.next({ kind: "answer", status: 200, body: padded(maxImageBytes + 1), billed: true });
    await expectFailure(started.generate(openaiVendor.body), outcomes.changed);
    expect(filesOf(started)).toEqual([]);
    openai.next({ kind: "answer", status: 200, body: padded(maxImageBytes), billed: true });
    const answer = await answerOf(started.generate(openaiVendor.body));
    expect((await fetched(answer)).bytes).toHaveLength(maxImageBytes);
  });

  test("exactly that large is fine, raw and linked", async () => {
    stability.next({ kind: "oversized", bytes: maxImageBytes });
    all.at(2)?.double.next({ kind: "oversized", bytes: maxImageBytes }, { on: "file" });
    for (const { body } of [stabilityVendor, replicateVendor]) {
      expect((await fetched(await answerOf(started.generate(body)))).bytes).toHaveLength(maxImageBytes);
    }
  });
});

describe("another result than asked", () => {
  test("a picture of another type keeps its own type, whatever is said about it", async () => {
    for (const { double, vendor } of all) {
      double.next({ kind: "pictureType", type: "jpeg" });
      const format = vendor === openaiVendor ? {} : { output_format: "png" };
      const answer = await answerOf(started.generate({ ...vendor.body, ...format }));
      expect(answer.status).toBe(200);
      expect(answer.body.data?.[0]?.url).toContain(".jpg?");
      const { bytes, contentType } = await fetched(answer);
      expect(contentType).toBe("image/jpeg");
      expect([...bytes.subarray(0, 3)]).toEqual([0xff, 0xd8, 0xff]);
      if (vendor !== openaiVendor) expect(answer.headers.get("x-arouter-warnings")).toContain("format_mismatch");
    }
  });

  test("a picture of another size: `size` states it, charged by what came, never above the quote", async () => {
    openai.next({ kind: "dimensions", width: 512, height: 512 });
    const larger = await answerOf(started.generate(openaiVendor.body));
    expect(larger).toMatchObject({ status: 200, cost: "0.016", body: { size: "512x512" } });
    expect(larger.headers.get("x-arouter-warnings")).toBe("size_mismatch");
    openai.next({ kind: "dimensions", width: 256, height: 256 });
    const smaller = await answerOf(started.generate({ ...openaiVendor.body, size: "1024x1024" }));
    expect(smaller).toMatchObject({ status: 200, cost: "0.016", body: { size: "256x256" } });
    openai.next({ kind: "dimensions", width: 300, height: 200 });
    const unpriced = await answerOf(started.generate({ ...openaiVendor.body, size: "512x512" }));
    expect(unpriced).toMatchObject({ status: 200, cost: "0.018", body: { size: "300x200" } });
  });

  test("fewer pictures: those delivered, charged for those, short_delivery", async () => {
    openai.next({ kind: "fewer", images: 2 });
    const answer = await answerOf(started.generate({ ...openaiVendor.body, n: 5 }));
    expect(answer).toMatchObject({ status: 200, cost: "0.032" });
    expect(answer.body.data).toHaveLength(2);
    expect(answer.headers.get("x-arouter-warnings")).toBe("short_delivery");
    expect(filesOf(started)).toHaveLength(2);
  });

  test("more pictures: the first n in order, and nothing of the others stays on disk", async () => {
    const data = [1, 2, 3, 4].map((seed) => ({ b64_json: base64Of(picture({ width: 256, height: 256, seed })) }));
    openai.next({ kind: "answer", status: 200, body: { created: 1, data }, billed: true });
    const answer = await answerOf(started.generate({ ...openaiVendor.body, n: 2, response_format: "b64_json" }));
    expect(answer).toMatchObject({ status: 200, cost: "0.032" });
    expect(answer.body.data).toEqual(data.slice(0, 2));
    expect(filesOf(started)).toHaveLength(2);
  });
});
