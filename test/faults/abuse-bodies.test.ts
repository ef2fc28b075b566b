/** JSON that nobody sends by accident, and links whose answers are larger than they look: a refusal, soon, and nothing is left. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { fetchInputImage } from "../../src/generation/inputs.ts";
import { createInputStore } from "../../src/images/inputs.ts";
import { systemClock, systemRandom } from "../../src/ports.ts";
import { picture } from "../doubles/picture.ts";
import { startRouter, type TestRouter } from "../router.ts";
import { cleanup } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const gpt = "openai/gpt-image-2.6-flare";
const paths = ["/v1/images/generations", "/v1/images/edits", "/v1/images/quote"];
let router: TestRouter;
beforeAll(async () => {
  router = await startRouter();
});
afterEach(cleanup.run);
afterAll(() => router.remove());

async function post(path: string, body: string): Promise<{ status: number; code: string; param: string | null }> {
  const headers = { authorization: `Bearer ${router.keys.test}`, "content-type": "application/json" };
  const answer = await fetch(router.url + path, { method: "POST", headers, body });
  const { code, error } = (await answer.json()) as { code: string; error?: { param: string | null } };
  return { status: answer.status, code, param: error?.param ?? null };
}

/** What stands as a field of a good request. */
const asked = (name: string, json: string) =>
  `{"model":${name === "model" ? json : `"${gpt}"`},"prompt":${name === "prompt" ? json : '"x"'}${["model", "prompt"].includes(name) ? "" : `,${JSON.stringify(name)}:${json}`}}`;
const depth = 1_000_000;
const arrays = "[".repeat(depth) + "]".repeat(depth);
const objects = `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
const prices = `${'{"image":'.repeat(depth)}1${"}".repeat(depth)}`;

describe("a million levels deep", () => {
  const places: Array<[where: string, body: string]> = [
    ...[
      "model",
      "prompt",
      "models",
      "provider",
      "route",
      "svg",
      "user",
      "n",
      "size",
      "webhook_url",
      "images",
      "mask",
    ].flatMap((name): [string, string][] => [
      [`${name}, arrays`, asked(name, arrays)],
      [`${name}, objects`, asked(name, objects)],
    ]),
    ["an order", asked("provider", `{"order":${arrays}}`)],
    ["a price", asked("provider", `{"max_price":${prices}}`)],
    ["an svg field", asked("svg", `{"reasoning":${objects}}`)],
    ["a picture", asked("images", `[${objects}]`)],
    ["a link", asked("images", `[{"image_url":${arrays}}]`)],
    ["all of it", arrays],
    ["an unknown field", asked("unknown", objects)],
  ];
  test.each(places)("%s", async (_where, body) => {
    for (const path of paths) {
      const { status, code } = await post(path, body);
      expect([path, status]).toEqual([path, 400]);
      expect(code).not.toBe("internal_error");
    }
  });
});

describe.each(["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf"])("%s", (name) => {
  const planted = `{${JSON.stringify(name)}:{"n":3,"order":["x"],"image_url":"https://a.example/"}}`;
  const bodies: Array<[where: string, body: string]> = [
    ["a field", `{"model":"${gpt}","prompt":"x",${planted.slice(1)}`],
    ["a field of provider", asked("provider", planted)],
    ["a field of a price", asked("provider", `{"max_price":${planted}}`)],
    ["a field of svg", asked("svg", planted)],
    ["a field of a picture", asked("images", `[${planted}]`)],
    ["a model", asked("model", `"${name}"`)],
    ["a model among others", `{"models":["${name}"],"prompt":"x"}`],
    ["a size", asked("size", `"${name}"`)],
    ["a quality", asked("quality", `"${name}"`)],
    ["a sort", asked("provider", `{"sort":"${name}"}`)],
  ];
  test.each(bodies)("as %s is an unknown one", async (_where, body) => {
    for (const path of paths) {
      const { status, code } = await post(path, body);
      expect([path, status === 400 || status === 404]).toEqual([path, true]);
      expect(code).not.toBe("internal_error");
    }
    expect(({} as { order?: unknown }).order).toBeUndefined();
  });
});

test("edits of 32 MB of JSON: whatever is in them, nothing stays behind, and the server goes on", async () => {
  const url = (bytes: Uint8Array) => `data:image/png;base64,${bytes.toBase64()}`;
  const large = new Uint8Array(14 << 20);
  large.set(picture({ width: 64, height: 64 }));
  const images = (...all: string[]) => JSON.stringify(all.map((image_url) => ({ image_url })));
  const many = Array.from({ length: 16 }, () => url(picture({ width: 64, height: 64 })));
  const bodies: Array<[body: string, code: string]> = [
    [asked("images", images(...many, many[0] ?? "")), "invalid_value"],
    [asked("images", images(url(large), "data:image/png;base64,!")), "invalid_image_file"],
    [asked("images", images(`data:image/png;base64,${"A".repeat(19 << 20)}`)), "invalid_image_file"],
    [asked("images", images(`data:${"x".repeat(5 << 20)};base64,AAAA`)), "invalid_image_file"],
    [asked("images", images(`https://${"a".repeat(5 << 20)}/`)), "invalid_image_file"],
    [asked("images", `[${"{},".repeat(5 << 20)}{}]`), "invalid_value"],
    [asked("images", images("x".repeat(31 << 20))), "string_above_max_length"],
    [" ".repeat(33 << 20), "payload_too_large"],
  ];
  for (const [body, code] of bodies) {
    const answers = await Promise.all([1, 2, 3].map(() => post("/v1/images/edits", body)));
    for (const answer of answers) expect([body.slice(50, 120), answer.code]).toEqual([body.slice(50, 120), code]);
  }
  expect(readdirSync(join(router.dataFolder, "inputs"))).toEqual([]);
  expect((await fetch(`${router.url}/healthz`)).status).toBe(200);
});

test("a link whose answer unpacks to more than it is: cut off at the limit", async () => {
  const bomb = gzipSync(Buffer.concat([picture({ width: 64, height: 64 }), Buffer.alloc(400 << 20)]), { level: 9 });
  expect(bomb.length).toBeLessThan(1 << 20);
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Response(bomb, { headers: { "content-encoding": "gzip", "content-type": "image/png" } }),
  });
  cleanup.add(() => server.stop(true));
  const folder = mkdtempSync(join(tmpdir(), "arouter-abuse-"));
  cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
  const inputs = createInputStore(folder, { clock: systemClock, random: systemRandom });
  // The host's public address is this machine.
  const send = ((_url: string, init: RequestInit) => fetch(`http://127.0.0.1:${server.port}/`, init)) as typeof fetch;
  const transport = { fetch: send, resolve: async () => ["203.0.114.7"] };
  Bun.gc(true);
  const before = process.memoryUsage().rss;
  const rules = { name: "image 1", maxBytes: 50 << 20, gif: true };
  const taken = fetchInputImage({ inputs, transport }, "https://files.test/a.png", rules);
  await expect(taken).rejects.toMatchObject({ code: "invalid_image_file", message: expect.stringContaining("50 MB") });
  expect((process.memoryUsage().rss - before) / (1 << 20)).toBeLessThan(300);
  expect(readdirSync(folder)).toEqual([]);
});
