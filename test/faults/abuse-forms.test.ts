/** Forms that nobody sends by accident: they end in a refusal, soon, and leave neither files nor memory behind. */
import { afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadCatalogue } from "../../src/catalogue/index.ts";
import { readFormEdit } from "../../src/http/edit-form.ts";
import type { Server } from "../../src/http/types.ts";
import { PictureHead } from "../../src/images/head.ts";
import { createInputStore } from "../../src/images/inputs.ts";
import { takeImage } from "../../src/images/intake.ts";
import { systemClock, systemRandom } from "../../src/ports.ts";
import { picture } from "../doubles/picture.ts";
import type { TestRouter } from "../router.ts";
import { answerOf, cleanup, forgetfulStore, router } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);
afterEach(cleanup.run);

const boundary = "abuse-BOUNDARY";
const contentType = `multipart/form-data; boundary=${boundary}`;
const MB = 1 << 20;
const catalogue = loadCatalogue({});

function open() {
  const folder = mkdtempSync(join(tmpdir(), "arouter-abuse-"));
  cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
  const inputs = createInputStore(folder, { clock: systemClock, random: systemRandom });
  // All that the reader of forms uses of a server.
  return { folder, inputs, server: { inputs, catalogue } as unknown as Server };
}

const header = (name: string, more = "") =>
  `--${boundary}\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n`;
const text = (name: string, value: string) => `${header(name)}${value}\r\n`;

/** @returns the refusal's code, how many bytes were read, and by how much memory grew at most */
async function refusalOf(pieces: Iterable<string | Uint8Array>) {
  const { server, folder } = open();
  let bytes = 0;
  let peak = 0;
  Bun.gc(true);
  const before = process.memoryUsage().rss;
  const iterator = pieces[Symbol.iterator]();
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        // As on a network: other things happen between two pieces.
        await new Promise(setImmediate);
        const { value, done } = iterator.next();
        if (done) return controller.close();
        const chunk = typeof value === "string" ? Buffer.from(value) : value;
        bytes += chunk.length;
        peak = Math.max(peak, process.memoryUsage().rss - before);
        controller.enqueue(new Uint8Array(chunk));
      },
    },
    { highWaterMark: 0 },
  );
  const request = new Request("http://router.test/", {
    method: "POST",
    headers: { "content-type": contentType },
    body: stream,
  });
  const code = await readFormEdit(server, request).then(
    () => "accepted",
    (error: { code?: string }) => error.code,
  );
  expect(readdirSync(folder)).toEqual([]);
  return { code, bytes, peakMB: Math.round(peak / MB) };
}

describe("a form", () => {
  test("of ten thousand parts", async () => {
    const parts = Array.from({ length: 10_000 }, (_, index) => text(`field_${index}`, "x"));
    expect((await refusalOf(parts)).code).toBe("payload_too_large");
  });

  test("of many texts that are each small enough: together they are not", async () => {
    function* parts() {
      for (let index = 0; index < 250; index += 1) yield text(`field_${index}`, "x".repeat(MB - 1));
    }
    const { code, bytes, peakMB } = await refusalOf(parts());
    expect(code).toBe("payload_too_large");
    expect(bytes).toBeLessThan(8 * MB);
    expect(peakMB).toBeLessThan(100);
  });

  test("whose part has a header without end", async () => {
    function* pieces() {
      yield `--${boundary}\r\ncontent-disposition: form-data; name="image"; filename="`;
      const filler = new Uint8Array(MB).fill(0x61);
      for (let index = 0; index < 300; index += 1) yield filler;
    }
    const { code, peakMB } = await refusalOf(pieces());
    expect(code).toBe("invalid_json");
    expect(peakMB).toBeLessThan(150);
  });

  test("that never ends, after something that is refused at once: reading it ends", async () => {
    function* pieces() {
      yield text("n", "1") + header("image", '; filename="a.png"');
      yield `no picture at all\r\n${header("image[]", '; filename="b.png"')}`;
      const filler = new Uint8Array(4 * MB);
      for (;;) yield filler;
    }
    const { code, bytes, peakMB } = await refusalOf(pieces());
    expect(code).toBe("invalid_image_file");
    expect(bytes).toBeLessThan(900_000_000);
    expect(peakMB).toBeLessThan(250);
  });

  test("within a form", async () => {
    const inner = `--inner\r\ncontent-disposition: form-data; name="prompt"\r\n\r\nx\r\n--inner--\r\n`;
    const nested = `--${boundary}\r\ncontent-disposition: form-data; name="image"\r\ncontent-type: multipart/mixed; boundary=inner\r\n\r\n${inner}\r\n--${boundary}--\r\n`;
    expect((await refusalOf([nested])).code).toBe("invalid_type");
  });
});

describe("pieces of one byte cost no more than the bytes", () => {
  const segment = Buffer.alloc(65_002);
  segment.writeUInt16BE(0xffe1, 0);
  segment.writeUInt16BE(65_000, 2);
  const endless = Buffer.concat([Buffer.from([0xff, 0xd8]), ...Array.from({ length: 20 }, () => segment)]);
  function* bytes(): Generator<Uint8Array> {
    for (let at = 0; at < endless.length; at += 1) yield endless.subarray(at, at + 1);
  }

  test("of a client's picture", async () => {
    const { inputs, folder } = open();
    const begun = performance.now();
    const taken = inputs.take(bytes(), { name: "image 1", maxBytes: 50 * MB });
    await expect(taken).rejects.toThrow("Invalid image file");
    // Looked at anew with every byte it would be half a terabyte.
    expect(performance.now() - begun).toBeLessThan(15_000);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("of a provider's", async () => {
    const intake = takeImage(forgetfulStore, "img-x", 50 * MB);
    const begun = performance.now();
    const taken = (async () => {
      for (const byte of bytes()) await intake.write(byte);
    })();
    await expect(taken).rejects.toThrow("not a PNG");
    expect(performance.now() - begun).toBeLessThan(15_000);
  });

  test("and what they are is found all the same", () => {
    for (const type of ["png", "jpeg", "webp"] as const) {
      const whole = picture({ width: 40, height: 30, type });
      for (const size of [1, 7, 4_095, 4_096, whole.length]) {
        const head = new PictureHead();
        let found: ReturnType<PictureHead["add"]> = "more";
        for (let at = 0; at < whole.length && found === "more"; at += size)
          found = head.add(whole.subarray(at, at + size));
        expect(found === "more" ? head.end() : found).toEqual({ contentType: `image/${type}`, width: 40, height: 30 });
      }
    }
  });
});

describe("names in a form", () => {
  let form: (fields: Array<[string, string]>) => Promise<Record<string, unknown>>;
  beforeAll(() => {
    form = async (fields) => {
      const { server } = open();
      const body = `${fields.map(([name, value]) => text(name, value)).join("")}--${boundary}--\r\n`;
      const headers = { "content-type": contentType };
      const request = new Request("http://router.test/", { method: "POST", headers, body });
      return (await readFormEdit(server, request)).body;
    };
  });

  test.each(["__proto__", "constructor", "prototype", "toString", "hasOwnProperty"])(
    "%s is a name like any other",
    async (name) => {
      for (const path of [name, `${name}[a]`, `svg[${name}][only][]`]) {
        const body = await form([
          ["model", "openai/gpt-image-2.6-flare"],
          [path, "planted"],
        ]);
        expect(JSON.stringify(body)).toContain("planted");
        expect(Object.keys(body)).toContain(path.split("[")[0] ?? "");
        expect(Object.getPrototypeOf({}).a).toBeUndefined();
        expect(({} as { only?: unknown }).only).toBeUndefined();
      }
      for (const path of [`provider[${name}]`, `provider[${name}][a]`, `provider[max_price][${name}]`])
        await expect(form([[path, "planted"]])).rejects.toMatchObject({ code: "unknown_parameter" });
    },
  );

  test("brackets are followed four deep at most, and a name has one meaning", async () => {
    await expect(form([[`a${"[b]".repeat(1_000)}`, "x"]])).rejects.toMatchObject({ code: "invalid_value" });
    for (const pair of [
      ["prompt", "prompt"],
      ["svg", "svg[a]"],
      ["svg[a]", "svg"],
      ["svg[]", "svg[a]"],
      ["svg[a]", "svg[a]"],
    ]) {
      const twice = form(pair.map((name): [string, string] => [name, "x"]));
      await expect(twice).rejects.toMatchObject({ code: "invalid_value" });
    }
  });
});

describe("a router", () => {
  const dial = (at: TestRouter): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(at.url);
      const socket = connect(Number(port), hostname, () => resolve(socket));
      socket.once("error", reject);
    });
  const head = (key: string) =>
    `POST /v1/images/edits HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${key}\r\ncontent-type: ${contentType}\r\ncontent-length: 800000000\r\n\r\n`;

  test("holds a hundred half-open uploads in files, answers others meanwhile, and is rid of them when they leave", async () => {
    const server = await router({});
    const left = () => readdirSync(join(server.dataFolder, "inputs"));
    const filler = Buffer.alloc(MB);
    Buffer.from(picture({ width: 64, height: 64 })).copy(filler);
    Bun.gc(true);
    const before = process.memoryUsage().rss;
    const sockets = await Promise.all(Array.from({ length: 100 }, () => dial(server)));
    for (const socket of sockets) {
      socket.on("error", () => {});
      socket.write(head(server.keys.test) + header("image", '; filename="../../../etc/passwd\0.png"'));
      socket.write(filler);
    }
    const until = async (holds: () => boolean) => {
      for (let look = 0; !holds(); look += 1) {
        if (look > 500) throw new Error(`waited in vain: ${left().length} files`);
        await Bun.sleep(20);
      }
    };
    await until(() => left().length === 100);
    const body = { model: "openai/dall-e-2", prompt: "x", size: "256x256" };
    expect((await answerOf(server.generate(body, { key: server.keys.test }))).status).toBe(200);
    expect((process.memoryUsage().rss - before) / MB).toBeLessThan(400);
    for (const name of left()) expect(name).toMatch(/^img-[0-9a-z]{26}$/);
    for (const socket of sockets) socket.destroy();
    await until(() => left().length === 0);
  });

  test("takes neither compressed forms nor other types, before it reads them", async () => {
    const server = await router({});
    const ask = (headers: Record<string, string>, body = text("prompt", "x")) =>
      answerOf(
        fetch(`${server.url}/v1/images/edits`, {
          method: "POST",
          headers: { authorization: `Bearer ${server.keys.test}`, ...headers },
          body,
        }),
      );
    for (const encoding of ["gzip", "br", "deflate, gzip", "zstd"]) {
      const answer = await ask({ "content-type": contentType, "content-encoding": encoding });
      expect(answer.code).toBe("unsupported_media_type");
    }
    for (const type of [
      "multipart/mixed; boundary=x",
      "multipart/form-datax; boundary=x",
      "text/plain",
      "application/xml",
    ])
      expect((await ask({ "content-type": type })).code).toBe("unsupported_media_type");
    for (const type of [
      "multipart/form-data",
      "multipart/form-data; boundary=",
      `multipart/form-data; boundary="${"x".repeat(71)}"`,
    ])
      expect((await ask({ "content-type": type })).code).toBe("invalid_json");
  });
});
