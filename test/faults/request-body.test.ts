/** Bodies with the client's pictures in them: to the letter, of known length, never whole in memory, never forgeable. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { systemClock } from "../../src/ports.ts";
import { InputFile, type InputImage } from "../../src/providers/input.ts";
import { openai } from "../../src/providers/openai.ts";
import type { HttpCall } from "../../src/providers/provider.ts";
import { requestBody } from "../../src/providers/request-body.ts";
import { type AttemptOutcome, runAttempt } from "../../src/providers/transport.ts";
import { base64Of, picture } from "../doubles/picture.ts";
import { cleanup, memoryImage, type RawUpstream, rawUpstream } from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(60_000);

afterEach(cleanup.run);

/** A picture on disk, as the input store keeps them. */
function inputOf(bytes: Uint8Array, contentType: InputImage["contentType"] = "image/png") {
  const folder = mkdtempSync(join(tmpdir(), "arouter-body-"));
  cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "picture");
  writeFileSync(path, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const image: InputImage = {
    contentType,
    width: 1,
    height: 1,
    bytes: bytes.length,
    sha256,
    open: () => Bun.file(path),
  };
  return { image, path };
}

/** Bytes without a pattern that a mistake could hide in. */
function noise(length: number, seed = 1): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) >>> 0;
    return state >>> 24;
  });
}

async function sent(
  body: NonNullable<HttpCall["body"]>,
): Promise<{ headers: Record<string, string>; bytes: Uint8Array }> {
  const made = requestBody(body);
  if (made === null) throw new Error("no body");
  const bytes = await new Response(made.body).bytes();
  const length = made.headers["content-length"];
  if (length !== undefined) expect(Number(length)).toBe(bytes.length);
  return { headers: made.headers, bytes };
}

/** Around the size of what is read at once, and every remainder by three. */
const lengths = [1, 2, 3, 4, 5, 196_607, 196_608, 196_609, 196_610, 393_216, 600_001];

describe("JSON", () => {
  test("without pictures is what JSON.stringify writes", async () => {
    const value = fc.jsonValue().map((json) => ({ json, absent: undefined, list: [json, undefined, null] }));
    await fc.assert(
      fc.asyncProperty(value, async (document) => {
        const { headers, bytes } = await sent({ kind: "json", value: document });
        expect(headers).toEqual({ "content-type": "application/json" });
        expect(new TextDecoder().decode(bytes)).toBe(JSON.stringify(document));
      }),
      { numRuns: 300 },
    );
  });

  test.each(lengths)("a picture of %d bytes, bare and as a data URL, wherever it stands", async (length) => {
    const bytes = noise(length);
    const { image } = inputOf(bytes, "image/webp");
    const base64 = new InputFile(image, "base64");
    const dataUrl = new InputFile(image, "data_url");
    const document = {
      'quoted "key" 🦊': [{ a: base64 }, dataUrl],
      prompt: "é\u2028",
      none: null,
      gone: undefined,
      z: dataUrl,
    };
    const { headers, bytes: body } = await sent({ kind: "json", value: document });
    const text = Buffer.from(bytes).toString("base64");
    const url = `data:image/webp;base64,${text}`;
    const expected = { 'quoted "key" 🦊': [{ a: text }, url], prompt: "é\u2028", none: null, z: url };
    expect(JSON.parse(new TextDecoder().decode(body))).toEqual(expected);
    expect(headers).toMatchObject({ "content-type": "application/json", "content-length": String(body.length) });
  });

  test("a picture as a file is our own mistake", () => {
    const file = new InputFile(inputOf(noise(9)).image, "file");
    expect(() => requestBody({ kind: "json", value: { file } })).toThrow("as a file");
  });
});

describe("multipart", () => {
  async function formOf(fields: Extract<HttpCall["body"], { kind: "multipart" }>["fields"]) {
    const { headers, bytes } = await sent({ kind: "multipart", fields });
    const form = await new Response(bytes, { headers: { "content-type": headers["content-type"] ?? "" } }).formData();
    return { form, headers, text: Buffer.from(bytes).toString("latin1") };
  }

  test.each(lengths)("files of %d bytes with name and type, a list as several fields of one name", async (length) => {
    const [first, second, mask] = [noise(length, 1), noise(length, 2), noise(7, 3)];
    const { form } = await formOf({
      prompt: "a cat\r\nwith two lines",
      "image[]": [
        new InputFile(inputOf(first).image, "file"),
        new InputFile(inputOf(second, "image/jpeg").image, "file"),
      ],
      mask: new InputFile(inputOf(mask).image, "file"),
      n: "1",
    });
    expect([...form.keys()]).toEqual(["prompt", "image[]", "image[]", "mask", "n"]);
    expect(form.get("prompt")).toBe("a cat\r\nwith two lines");
    expect(form.get("n")).toBe("1");
    const files = [...form.getAll("image[]"), form.get("mask")] as File[];
    expect(files.map(({ name, type }) => [name, type])).toEqual([
      ["image-1.png", "image/png"],
      ["image-2.jpg", "image/jpeg"],
      ["mask.png", "image/png"],
    ]);
    for (const [index, bytes] of [first, second, mask].entries())
      expect(Buffer.from((await files[index]?.bytes()) ?? []).equals(Buffer.from(bytes))).toBe(true);
  });

  test("text alone has no files, and a picture as text is base64", async () => {
    const { form, text } = await formOf({ prompt: "x", image: new InputFile(inputOf(noise(10)).image, "data_url") });
    expect(form.get("image")).toBe(`data:image/png;base64,${Buffer.from(noise(10)).toString("base64")}`);
    expect(text).not.toContain("filename");
    expect((await formOf({ prompt: "x" })).form.get("prompt")).toBe("x");
  });

  test("no prompt, name or picture adds a field: the boundary is a digest of them all", async () => {
    const boundaryIn = (contentType = "") => contentType.split("boundary=")[1] ?? "";
    const known = await formOf({ prompt: "x", n: "1" });
    const boundary = boundaryIn(known.headers["content-type"]);
    expect(boundary.length).toBeGreaterThan(40);
    const forged = `x\r\n--${boundary}\r\nContent-Disposition: form-data; name="n"\r\n\r\n10`;
    const { form, headers, text } = await formOf({ prompt: forged, n: "1", 'a"\r\nb': "y" });
    expect(form.getAll("n")).toEqual(["1"]);
    expect(form.get("prompt")).toBe(forged);
    expect(text).toContain('name="a%22%0D%0Ab"');
    expect(boundaryIn(headers["content-type"])).not.toBe(boundary);
    // One byte in a picture, too.
    const boundaries = [1, 2].map((seed) => {
      const image = new InputFile(inputOf(noise(50, seed)).image, "file");
      return boundaryIn(requestBody({ kind: "multipart", fields: { image } })?.headers["content-type"]);
    });
    expect(new Set(boundaries).size).toBe(2);
  });
});

const answer = JSON.stringify({ created: 1, data: [{ b64_json: base64Of(picture({ width: 8, height: 8 })) }] });
const answering = () =>
  rawUpstream((socket) => socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${answer.length}\r\n\r\n${answer}`));

function edit({ origin }: Pick<RawUpstream, "origin">, image: InputImage): Promise<AttemptOutcome> {
  const parameters = { prompt: "x", "image[]": [new InputFile(image, "file")] };
  return runAttempt(
    { adapter: openai, baseUrl: `${origin}/v1`, trustedOrigin: origin, credential: "key" },
    { operation: "edit", model: "gpt-image-2", parameters, count: 1 },
    { newImage: memoryImage, onPending: async () => {} },
    { fetch, resolve: async () => [], clock: systemClock },
    { timeoutMs: 50_000 },
  );
}

describe("on the wire", () => {
  test("the length is told before, and the body is not cut into chunks", async () => {
    const upstream = answering();
    const bytes = noise(700_000);
    expect(await edit(upstream, inputOf(bytes).image)).toMatchObject({ kind: "done" });
    const [head = "", ...rest] = upstream.requests[0]?.split("\r\n\r\n") ?? [];
    expect(head).toMatch(/^content-length: 700\d{3}\r?$/im);
    expect(head).not.toMatch(/^transfer-encoding:/im);
    expect(Number(/content-length: (\d+)/i.exec(head)?.[1])).toBe(rest.join("\r\n\r\n").length);
    expect(rest.join("\r\n\r\n")).toContain(Buffer.from(bytes).toString("latin1"));
  });

  test("a picture that is gone, or shorter than it was, is our own fault, and no whole request arrives", async () => {
    const upstream = answering();
    const gone = inputOf(noise(300_000));
    unlinkSync(gone.path);
    await expect(edit(upstream, gone.image)).rejects.toThrow();
    const shorter = inputOf(noise(300_000));
    truncateSync(shorter.path, 250_000);
    await expect(edit(upstream, shorter.image)).rejects.toThrow("not whole any more");
    expect(upstream.requests).toEqual([]);
  });

  test("a kept connection that the upstream has closed in the meantime is not used for the next picture", async () => {
    const upstream = rawUpstream((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: ${answer.length}\r\n\r\n${answer}`);
      setTimeout(() => socket.end(), 5);
    });
    const { image } = inputOf(noise(50_000));
    for (let turn = 0; turn < 5; turn += 1) {
      expect(await edit(upstream, image)).toMatchObject({ kind: "done" });
      await Bun.sleep(40);
    }
    expect(upstream.requests).toHaveLength(5);
  });

  test("an upstream that refuses before it has read all is heard, whatever becomes of the rest", async () => {
    const refusing = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      maxRequestBodySize: 1 << 20,
      fetch: () => Response.json({}),
    });
    cleanup.add(() => refusing.stop(true));
    const outcome = await edit({ origin: refusing.url.origin }, inputOf(noise(3 << 20)).image);
    expect(outcome.kind === "failed" ? outcome.failure.class : "").toBeOneOf(["invalid_request", "outcome_unknown"]);
  });

  test("ten pictures of 20 MB at once, each in a call of its own, take a fraction of their size", async () => {
    const program = `
      const answer = ${JSON.stringify(answer)};
      const server = Bun.serve({ port: 0, hostname: "127.0.0.1", maxRequestBodySize: 1 << 30, async fetch(request) {
        let bytes = 0;
        for await (const chunk of request.body) bytes += chunk.length;
        return bytes === Number(request.headers.get("content-length")) ? new Response(answer) : new Response("", { status: 500 });
      } });
      console.log(server.port);
    `;
    // In a process of its own, so that its memory is not ours.
    const upstream = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", stderr: "inherit" });
    cleanup.add(() => upstream.kill());
    const { value } = await upstream.stdout.getReader().read();
    const origin = `http://127.0.0.1:${new TextDecoder().decode(value).trim()}`;
    const bytes = new Uint8Array(20 << 20).fill(65);
    const { image } = inputOf(bytes);
    await edit({ origin }, image);
    Bun.gc(true);
    const before = process.memoryUsage.rss();
    let peak = before;
    const timer = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage.rss());
    }, 5);
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => edit({ origin }, image)));
    clearInterval(timer);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ kind: "done" });
    expect(peak - before).toBeLessThan(10 * bytes.length * 0.6);
  });
});
