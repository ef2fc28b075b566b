/** The client's pictures: what is kept while they arrive, what is refused, where a link of theirs may lead. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PublicError } from "../../src/errors.ts";
import { decodeInputImage, fetchInputImage } from "../../src/generation/inputs.ts";
import { createInputStore, type InputRules } from "../../src/images/inputs.ts";
import { systemClock, systemRandom } from "../../src/ports.ts";
import type { Resolve } from "../../src/providers/address.ts";
import { incompressiblePng, picture } from "../doubles/picture.ts";
import { cleanup, tlsCertificate } from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(60_000);

afterEach(cleanup.run);

function open() {
  const folder = join(mkdtempSync(join(tmpdir(), "arouter-inputs-")), "inputs");
  cleanup.add(() => rmSync(join(folder, ".."), { recursive: true, force: true }));
  const inputs = createInputStore(folder, { clock: systemClock, random: systemRandom });
  return { folder, inputs, files: () => readdirSync(folder) };
}

const rules: InputRules = { name: "image 3", maxBytes: 50 << 20 };
const notAPicture = "Invalid image file or mode for image 3, please check your image file.";

/** Yields the bytes in pieces, each spoilt once the next is asked for. */
async function* pieces(bytes: Uint8Array, length: number, closed = () => {}): AsyncGenerator<Uint8Array> {
  try {
    for (let at = 0; at < bytes.length; at += length) {
      const piece = new Uint8Array(bytes.subarray(at, at + length));
      yield piece;
      piece.fill(0);
    }
  } finally {
    closed();
  }
}

async function refusal(work: Promise<unknown>): Promise<PublicError> {
  const error = await work.then(
    () => expect.unreachable("was accepted"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof PublicError)) throw error;
  expect(error.code).toBe("invalid_image_file");
  return error;
}

const gif = Buffer.from("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "base64");

describe("a picture that arrives", () => {
  test.each([1, 1_000, 300_000])("is kept to the byte, known by its digest, in pieces of %d bytes", async (length) => {
    const { inputs, files, folder } = open();
    const size = length === 1 ? { width: 20, height: 10 } : { width: 1024, height: 1024 };
    for (const type of ["png", "jpeg", "webp"] as const) {
      const bytes = length > 1 && type === "png" ? incompressiblePng() : picture({ ...size, type });
      const image = await inputs.take(pieces(bytes, length), rules);
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      expect(image).toMatchObject({ ...size, contentType: `image/${type}`, bytes: bytes.length, sha256 });
      expect(Buffer.from(await image.open().bytes()).equals(bytes)).toBe(true);
      expect(image.open().type).toBe(`image/${type}`);
    }
    expect(files()).toHaveLength(3);
    for (const name of files()) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  test.each([1, 700, 300_000])(
    "must be all of it, where its file says how long it is, in pieces of %d bytes",
    async (length) => {
      const { inputs, files } = open();
      for (const type of ["png", "webp"] as const) {
        const bytes = picture({ width: 64, height: 48, type });
        // Of a PNG only the checksum of its last chunk may be missing.
        for (const missing of type === "png" ? [5, 9, 60] : [1, 4]) {
          const error = await refusal(inputs.take(pieces(bytes.subarray(0, -missing), length), rules));
          expect(error.message).toBe("Invalid image file for image 3: it is cut off.");
        }
        // What some programs leave behind a picture is no fault of it.
        const longer = Buffer.concat([bytes, Buffer.alloc(1_000, 7)]);
        expect((await inputs.take(pieces(longer, length), rules)).bytes).toBe(longer.length);
      }
      const jpeg = picture({ width: 64, height: 48, type: "jpeg" });
      await inputs.take(pieces(jpeg.subarray(0, -9), length), rules);
      expect(files()).toHaveLength(3);
    },
  );

  test("is gone when it is released, once more is fine, another store's is left alone", async () => {
    const [one, other] = [open(), open()];
    const bytes = picture({ width: 8, height: 8 });
    const images = await Promise.all([1, 2, 3].map(() => one.inputs.take([bytes], rules)));
    await other.inputs.release(images);
    expect(one.files()).toHaveLength(3);
    await one.inputs.release(images.slice(1));
    expect(one.files()).toHaveLength(1);
    await one.inputs.release(images);
    await one.inputs.release(images);
    expect(one.files()).toEqual([]);
  });

  test("is swept soon after its program has died, and while that lives never", async () => {
    const folder = mkdtempSync(join(tmpdir(), "arouter-inputs-"));
    cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
    let now = Date.now();
    const clock = { ...systemClock, now: () => now };
    const [dies, lives] = [1, 2].map(() => createInputStore(folder, { clock, random: systemRandom }));
    const bytes = picture({ width: 8, height: 8 });
    const lost = await dies?.take([bytes], rules);
    const kept = await lives?.take([bytes], rules);
    writeFileSync(join(folder, "notes.txt"), "mine");
    // A job may run for hours: it is the program's silence that counts, not the picture's age.
    for (let look = 0; look < 300; look += 1) {
      now += 25_000;
      await dies?.sweep();
      await lives?.sweep();
    }
    now += 29_000;
    await lives?.sweep();
    expect(readdirSync(folder)).toHaveLength(3);
    expect(await lost?.open().bytes()).toHaveLength(bytes.length);
    now += 2_000;
    await lives?.sweep();
    expect(readdirSync(folder)).toHaveLength(2);
    await expect(lost?.open().bytes()).rejects.toThrow();
    expect(await kept?.open().bytes()).toHaveLength(bytes.length);
    await lives?.release(kept === undefined ? [] : [kept]);
    expect(readdirSync(folder)).toEqual(["notes.txt"]);
  });
});

describe("a picture that is refused leaves nothing, and its source is closed", () => {
  const garbage: [name: string, bytes: Uint8Array][] = [
    ["text", Buffer.from("this is not a picture at all")],
    ["nothing", new Uint8Array(0)],
    ["a few bytes", Buffer.from("\x89PNG", "latin1")],
    ["half a head", picture({ width: 8, height: 8 }).slice(0, 20)],
    ["a drawing", Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
    ["a GIF, where it is not asked for", gif],
    ["a JPEG whose head never ends", Buffer.concat([Buffer.from([0xff, 0xd8]), ...endless(0xffe1)])],
  ];
  function endless(marker: number): Buffer[] {
    const segment = Buffer.alloc(65_002);
    segment.writeUInt16BE(marker, 0);
    segment.writeUInt16BE(65_000, 2);
    return Array.from({ length: 20 }, () => segment);
  }
  test.each(garbage)("%s: OpenAI's words", async (_name, bytes) => {
    const { inputs, files } = open();
    let closed = false;
    const source = pieces(bytes, 100, () => {
      closed = true;
    });
    const error = await refusal(inputs.take(source, rules));
    expect(error.toEnvelope()).toMatchObject({
      error: { message: notAPicture, param: null, code: "invalid_image_file" },
    });
    expect(closed).toBe(true);
    expect(files()).toEqual([]);
  });

  test("one byte too large, without waiting for the rest", async () => {
    const { inputs, files } = open();
    const bytes = Buffer.concat([picture({ width: 8, height: 8 }), Buffer.alloc(5_000)]);
    expect(await inputs.take(pieces(bytes, 64), { name: "the mask", maxBytes: bytes.length })).toMatchObject({
      width: 8,
    });
    let given = 0;
    const counted = async function* () {
      for await (const piece of pieces(bytes, 64)) {
        given += piece.length;
        yield piece;
      }
    };
    const error = await refusal(inputs.take(counted(), { name: "the mask", maxBytes: 1_000, param: "mask" }));
    expect(error.message).toBe("Invalid image file for the mask: it is larger than 1000 bytes.");
    expect(error.param).toBe("mask");
    expect(given).toBeLessThan(1_100);
    const large = { name: "image 1", maxBytes: 1 << 20 };
    const message = (await refusal(inputs.take([new Uint8Array((1 << 20) + 1)], large))).message;
    expect(message).toBe("Invalid image file for image 1: it is larger than 1 MB.");
    expect(files()).toHaveLength(1);
  });

  test("one whose source fails: the failure comes out as it is", async () => {
    const { inputs, files } = open();
    const broken = async function* () {
      yield picture({ width: 8, height: 8 });
      throw new Error("the client has left");
    };
    await expect(inputs.take(broken(), rules)).rejects.toThrow("the client has left");
    expect(files()).toEqual([]);
  });

  test("a GIF is taken where it is asked for", async () => {
    const { inputs } = open();
    expect(await inputs.take([gif], { ...rules, gif: true })).toMatchObject({ contentType: "image/gif", width: 1 });
  });
});

describe("data URLs", () => {
  const bytes = incompressiblePng(300_000);
  const base64 = Buffer.from(bytes).toString("base64");

  test.each([
    ["as usual", `data:image/png;base64,${base64}`],
    ["with another type than its own, and parameters", `DATA:text/plain;charset=utf-8;BASE64,${base64}`],
    ["in lines", `data:image/png;base64,${base64.replace(/(.{76})/g, "$1\r\n")}`],
    ["without padding", `data:image/png;base64,${base64.replace(/=+$/, "")}`],
  ])("%s", async (_name, url) => {
    const { inputs } = open();
    const image = await decodeInputImage(inputs, url, rules);
    expect(Buffer.from(await image.open().bytes()).equals(bytes)).toBe(true);
  });

  test.each([
    ["no base64", `data:image/png,${base64}`],
    ["a character that base64 has not", `data:image/png;base64,${base64.slice(0, 100)}!${base64.slice(100)}`],
    ["cut", `data:image/png;base64,${base64.slice(0, 4001)}`],
    ["nothing", "data:image/png;base64,"],
    ["no data URL", `image/png;base64,${base64}`],
  ])("%s", async (_name, url) => {
    const { inputs, files } = open();
    await refusal(decodeInputImage(inputs, url, rules));
    expect(files()).toEqual([]);
  });
});

const publicAddress = "203.0.114.7";
const bytes = picture({ width: 64, height: 32 });

/** A public server of the name `files.test`, which really is this machine: what is asked of anything else is told. */
function internet(answer: (request: Request, url: URL) => Response | Promise<Response>) {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    tls: tlsCertificate,
    fetch: (request) => answer(request, new URL(request.url)),
  });
  cleanup.add(() => server.stop(true));
  const asked: string[] = [];
  const names: Record<string, string[]> = { "files.test": [publicAddress] };
  const resolve: Resolve = async (name) => {
    const found = names[name];
    if (found === undefined) throw Object.assign(new Error(`no address for ${name}`), { code: "ENOTFOUND" });
    return found;
  };
  const send = (async (link: string, init: RequestInit & { tls?: object }) => {
    const url = new URL(link);
    asked.push(url.host);
    if (url.hostname !== publicAddress) throw Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    url.host = `127.0.0.1:${server.port}`;
    return fetch(url, { ...init, tls: { ...init.tls, ca: tlsCertificate.cert } } as RequestInit);
  }) as typeof fetch;
  return { asked, names, transport: { fetch: send, resolve }, port: server.port };
}

describe("links", () => {
  test("a picture at a public address is fetched, without any credential, and checked as any other", async () => {
    const { inputs, files } = open();
    let headers: Record<string, string> = {};
    const { transport, asked } = internet((request, { pathname }) => {
      headers = Object.fromEntries(request.headers);
      if (pathname === "/moved") return new Response(null, { status: 302, headers: { location: "/cat.png?a=1#b" } });
      return new Response(bytes, { headers: { "content-type": "text/plain" } });
    });
    const image = await fetchInputImage({ inputs, transport }, "https://files.test/moved", rules);
    expect(image).toMatchObject({ contentType: "image/png", width: 64, height: 32, bytes: bytes.length });
    expect(asked).toEqual([publicAddress, publicAddress]);
    expect(headers.host).toBe("files.test");
    for (const name of ["authorization", "cookie", "x-api-key"]) expect(headers).not.toHaveProperty(name);
    expect(files()).toHaveLength(1);
  });

  const unreachable = "Invalid image file for image 3: it could not be fetched from its URL.";

  test("what must not be reached looks like what cannot be reached", async () => {
    const { inputs, files } = open();
    const location = (to: string) => () => new Response(null, { status: 307, headers: { location: to } });
    const { transport, asked, names } = internet(location("https://10.0.0.1/"));
    Object.assign(names, {
      "inside.test": ["10.1.2.3"],
      "both.test": [publicAddress, "127.0.0.1"],
      "away.test": ["203.0.114.9"],
    });
    const links = [
      ...["https://127.0.0.1/", "https://[::1]/a.png", "https://169.254.169.254/latest/meta-data", "https://10.0.0.1/"],
      ...["https://2130706433/", "https://[::ffff:10.0.0.1]/", "https://inside.test/a", "https://both.test/a"],
      // Nobody there; no such name; a redirect inside.
      ...["https://away.test/a", "https://nowhere.test/a", "https://files.test/redirected"],
    ];
    const answers = await Promise.all(
      links.map((link) =>
        refusal(fetchInputImage({ inputs, transport }, link, { ...rules, param: "images[2].image_url" })),
      ),
    );
    for (const answer of answers)
      expect(answer.toEnvelope().error).toEqual({
        message: unreachable,
        type: "invalid_request_error",
        param: "images[2].image_url",
        code: "invalid_image_file",
      });
    expect(asked.sort()).toEqual(["203.0.114.7", "203.0.114.9"]);
    expect(files()).toEqual([]);
  });

  test.each([
    "http://files.test/a",
    "ftp://files.test/a",
    "https://user:pw@files.test/a",
    "file:///etc/passwd",
    "/a.png",
    "",
  ])("%j is no link to a picture", async (link) => {
    const { inputs } = open();
    const { transport, asked } = internet(() => new Response(bytes));
    const error = await refusal(fetchInputImage({ inputs, transport }, link, rules));
    expect(error.message).toContain("not an https URL");
    expect(asked).toEqual([]);
  });

  test("a redirect to plain http, with a password, or without end is not followed", async () => {
    const { inputs } = open();
    for (const to of [
      "http://files.test/a",
      "https://user:pw@files.test/a",
      "/again",
      "file:///etc/passwd",
      "https://",
    ]) {
      const { transport, asked } = internet(() => new Response(null, { status: 302, headers: { location: to } }));
      expect((await refusal(fetchInputImage({ inputs, transport }, "https://files.test/a", rules))).message).toBe(
        unreachable,
      );
      expect(asked.length).toBeLessThan(10);
    }
  });

  const answers: [name: string, answer: () => Response, words: string][] = [
    ["404", () => new Response("gone", { status: 404 }), "its server answered 404"],
    ["500", () => new Response("no", { status: 500 }), "its server answered 500"],
    ["a page", () => new Response("<!doctype html><html></html>"), "please check your image file"],
    ["nothing", () => new Response(null, { status: 204 }), "please check your image file"],
    ["endless bytes", () => new Response(endlessBytes()), "it is larger than 1 MB"],
    ["a body that stops coming", () => new Response(stuckBytes()), "it did not arrive within 0.7 seconds"],
  ];
  async function* endlessBytes() {
    yield bytes;
    for (;;) yield new Uint8Array(100_000);
  }
  async function* stuckBytes() {
    yield bytes;
    await Bun.sleep(60_000);
  }
  test.each(answers)("an answer with %s", async (_name, answer, words) => {
    const { inputs, files } = open();
    const { transport } = internet(answer);
    const limited = { name: "image 3", maxBytes: 1 << 20 };
    const fetching = fetchInputImage({ inputs, transport }, "https://files.test/a", limited, { timeoutMs: 700 });
    expect((await refusal(fetching)).message).toContain(words);
    expect(files()).toEqual([]);
  });

  test("a server that says nothing, and a name that is never resolved, end with the time", async () => {
    const { inputs } = open();
    const silent = internet(() => new Promise<Response>(() => {}));
    const lost = { ...silent.transport, resolve: () => new Promise<string[]>(() => {}) };
    for (const transport of [silent.transport, lost]) {
      const fetching = fetchInputImage({ inputs, transport }, "https://files.test/a", rules, { timeoutMs: 300 });
      expect((await refusal(fetching)).message).toBe(unreachable);
    }
  });
});
