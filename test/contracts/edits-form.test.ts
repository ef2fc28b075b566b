/** The reader of forms alone: whatever the network makes of a body, the same parts come out of it, and it comes to an end. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { loadCatalogue } from "../../src/catalogue/index.ts";
import { readFormEdit } from "../../src/http/edit-form.ts";
import type { Server } from "../../src/http/types.ts";
import { createInputStore } from "../../src/images/inputs.ts";
import { systemClock, systemRandom } from "../../src/ports.ts";
import { picture } from "../doubles/picture.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

let folder: string;
let server: Server;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "arouter-forms-"));
  const inputs = createInputStore(folder, { clock: systemClock, random: systemRandom });
  // All that the reader of forms uses of a server.
  server = { inputs, catalogue: loadCatalogue({}) } as unknown as Server;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const boundary = "x-BOUNDARY";
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

type Part = { name: string; text: string } | { name: string; bytes: Uint8Array };

function bodyOf(parts: readonly Part[]): Buffer {
  const pieces = parts.flatMap((part) => {
    const file = "bytes" in part ? `; filename="a.png"\r\ncontent-type: image/png` : "";
    const header = `--${boundary}\r\ncontent-disposition: form-data; name="${part.name}"${file}\r\n\r\n`;
    return [Buffer.from(header), Buffer.from("bytes" in part ? part.bytes : part.text), Buffer.from("\r\n")];
  });
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]);
}

function requestOf(body: Uint8Array, sizes: readonly number[]): Request {
  let at = 0;
  let index = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= body.length) return controller.close();
      const size = sizes[index % sizes.length] ?? 1;
      index += 1;
      controller.enqueue(new Uint8Array(body.subarray(at, at + size)));
      at += size;
    },
  });
  const headers = { "content-type": `multipart/form-data; boundary=${boundary}` };
  return new Request("http://router.test/", { method: "POST", headers, body: stream });
}

/** Pictures with whatever behind their end: also what looks like a boundary. */
const pictureBytes = fc
  .tuple(
    fc.integer({ min: 0, max: 1000 }),
    fc.array(
      fc.oneof(
        fc
          .constantFrom("\r\n", "\r\n--", `\r\n--x-BOUND`, `--${boundary}`, "\r", "\n--", "\r\n\r\n")
          .map((text) => Buffer.from(text)),
        fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
        fc.integer({ min: 1, max: 90_000 }).map((length) => Buffer.alloc(length, 7)),
      ),
      { maxLength: 6 },
    ),
  )
  .map(([seed, behind]) => new Uint8Array(Buffer.concat([picture({ width: 8, height: 8, seed }), ...behind])))
  .filter((bytes) => !Buffer.from(bytes).includes(`\r\n--${boundary}`));
const part = fc.oneof(
  fc.record({ name: fc.constant("image[]"), bytes: pictureBytes }),
  fc.record({
    name: fc.stringMatching(/^[a-z]{1,8}$/).map((name) => `x_${name}`),
    text: fc.string({ unit: "binary", maxLength: 60 }),
  }),
);
const parts = fc.uniqueArray(part, { maxLength: 8, selector: (one) => ("bytes" in one ? one : one.name) });
const chunkSizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 200_000 })), {
  minLength: 1,
  maxLength: 6,
});

test("wherever the body is cut into chunks: every text, every picture to the byte, in order", async () => {
  await fc.assert(
    fc.asyncProperty(parts, chunkSizes, async (wanted, sizes) => {
      const sent = wanted.filter((one) => "bytes" in one || !one.text.includes(`\r\n--${boundary}`));
      const body = bodyOf(sent);
      // Single bytes of a megabyte prove nothing more, and take long.
      const steps = body.length / (sizes.reduce((sum, size) => sum + size, 0) / sizes.length);
      fc.pre(steps < 3_000);
      const { body: texts, given } = await readFormEdit(server, requestOf(body, sizes));
      expect(given?.images.map((image) => image.sha256)).toEqual(
        sent.flatMap((one) => ("bytes" in one ? [sha256(one.bytes)] : [])),
      );
      expect({ ...texts }).toEqual(
        Object.fromEntries(sent.flatMap((one) => ("text" in one ? [[one.name, one.text]] : []))),
      );
      await server.inputs.release([...(given?.images ?? [])]);
      expect(readdirSync(folder)).toEqual([]);
    }),
    { numRuns: 150 },
  );
});

test("wherever it ends too soon: refused, at once, and nothing is left", async () => {
  const whole = bodyOf([
    { name: "prompt", text: "a hat" },
    { name: "image[]", bytes: picture({ width: 8, height: 8, seed: 1 }) },
    { name: "image[]", bytes: picture({ width: 8, height: 8, seed: 2 }) },
  ]);
  const end = whole.length - `--${boundary}--\r\n`.length;
  for (let length = 0; length < end; length += 1) {
    const reading = readFormEdit(server, requestOf(whole.subarray(0, length), [97]));
    expect(await reading.catch((error: { code?: string }) => error.code)).toBe("invalid_json");
  }
  expect(readdirSync(folder)).toEqual([]);
});

test("a body whose source fails: refused, nothing is left", async () => {
  const whole = bodyOf([
    { name: "image", bytes: new Uint8Array(Buffer.concat([picture({ width: 8, height: 8 }), Buffer.alloc(300_000)])) },
  ]);
  let sent = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent > 100_000) return controller.error(new Error("the connection was closed"));
      controller.enqueue(new Uint8Array(whole.subarray(sent, sent + 10_000)));
      sent += 10_000;
    },
  });
  const headers = { "content-type": `multipart/form-data; boundary="${boundary}"` };
  const request = new Request("http://router.test/", { method: "POST", headers, body: stream });
  expect(await readFormEdit(server, request).catch((error: { code?: string }) => error.code)).toBe("invalid_json");
  expect(readdirSync(folder)).toEqual([]);
});

test("it holds the body up while a picture is written out", async () => {
  let taken = 0;
  let released = () => {};
  const slow = {
    catalogue: server.catalogue,
    inputs: {
      async take(source: AsyncIterable<Uint8Array>) {
        for await (const _chunk of source) {
          await new Promise<void>((resolve) => {
            released = resolve;
          });
        }
        throw new Error("done");
      },
      release: async () => {},
    },
  } as unknown as Server;
  const body = bodyOf([{ name: "image", bytes: new Uint8Array(2_000_000) }]);
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        controller.enqueue(new Uint8Array(body.subarray(taken, taken + 10_000)));
        taken += 10_000;
        if (taken >= body.length) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  const headers = { "content-type": `multipart/form-data; boundary=${boundary}` };
  const reading = readFormEdit(
    slow,
    new Request("http://router.test/", { method: "POST", headers, body: stream }),
  ).catch(() => {});
  await Bun.sleep(100);
  expect(taken).toBeLessThan(100_000);
  const going = setInterval(() => released(), 0);
  await reading;
  clearInterval(going);
  expect(taken).toBeGreaterThanOrEqual(body.length);
});
