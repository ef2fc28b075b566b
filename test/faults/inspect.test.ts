/** Type and dimensions of real pictures, from as few bytes as tell them; and of bytes that are no picture. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { inspect } from "../../src/images/inspect.ts";
import { takeImage } from "../../src/images/intake.ts";
import { readInlineJson } from "../../src/providers/inline-json.ts";
import { ImageIntakeError } from "../../src/providers/intake.ts";
import { type PictureType, picture } from "../doubles/picture.ts";
import { forgetfulStore } from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(40_000);

const types: Record<PictureType, string> = { png: "image/png", jpeg: "image/jpeg", webp: "image/webp" };
const bytesOf = (...parts: (string | number[] | Uint8Array)[]) =>
  new Uint8Array(
    Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : Buffer.from(part)))),
  );
const be16 = (value: number) => [value >> 8, value & 255];
const le16 = (value: number) => [value & 255, value >> 8];
const le24 = (value: number) => [value & 255, (value >> 8) & 255, value >> 16];
const le32 = (value: number) => [...le16(value & 0xffff), ...le16(value >>> 16)];

/** A JPEG frame header of the given kind. */
const frame = (marker: number, width: number, height: number) =>
  bytesOf([0xff, marker, ...be16(11), 8, ...be16(height), ...be16(width), 1, 1, 0x11, 0]);
const segment = (marker: number, length: number) =>
  bytesOf([0xff, marker, ...be16(length + 2)], new Uint8Array(length).fill(0xff));
const webp = (kind: string, data: number[]) =>
  bytesOf("RIFF", le32(4 + 8 + data.length), "WEBP", kind, le32(data.length), data, new Uint8Array(12));

describe("real pictures", () => {
  const sizes = [
    [1, 1],
    [7, 3],
    [256, 256],
    [1792, 1024],
    [1440, 256],
    [16_383, 5],
  ] as const;
  test.each(sizes)("%d x %d", async (width, height) => {
    for (const type of ["png", "jpeg", "webp"] as const) {
      expect(inspect(picture({ width, height, type }))).toEqual({
        contentType: types[type] as "image/png",
        width,
        height,
      });
    }
  });

  test("of the runtime's own encoders, lossy and lossless", async () => {
    const source = () => new Bun.Image(picture({ width: 40, height: 24 }));
    const encoded = [
      [await source().png().bytes(), "image/png"],
      [await source().jpeg().bytes(), "image/jpeg"],
      [await source().webp({ quality: 70 }).bytes(), "image/webp"],
      [await source().webp({ lossless: true }).bytes(), "image/webp"],
    ] as const;
    for (const [bytes, contentType] of encoded) expect(inspect(bytes)).toEqual({ contentType, width: 40, height: 24 });
  });

  test("WebP of the three kinds, with their flags and scales", () => {
    const lossy = webp("VP8 ", [0x30, 1, 0, 0x9d, 0x01, 0x2a, ...le16(0x4000 | 640), ...le16(0xc000 | 480)]);
    expect(inspect(lossy)).toEqual({ contentType: "image/webp", width: 640, height: 480 });
    const bits = (1023 | (767 << 14) | (1 << 28)) >>> 0;
    expect(inspect(webp("VP8L", [0x2f, ...le32(bits)]))).toEqual({
      contentType: "image/webp",
      width: 1024,
      height: 768,
    });
    const extended = webp("VP8X", [0x10, 0, 0, 0, ...le24(99_999), ...le24(0)]);
    expect(inspect(extended)).toEqual({ contentType: "image/webp", width: 100_000, height: 1 });
  });

  test("GIF of both versions", () => {
    for (const version of ["GIF87a", "GIF89a"]) {
      const gif = bytesOf(version, le16(320), le16(200), [0xf7, 0, 0], new Uint8Array(30));
      expect(inspect(gif)).toEqual({ contentType: "image/gif", width: 320, height: 200 });
    }
  });

  test("GIF with several frames", () => {
    const control = [0x21, 0xf9, 4, 0, 20, 0, 0, 0];
    const frameOf = (width: number) => [0x2c, 0, 0, 0, 0, ...le16(width), ...le16(50), 0, 2, 2, 0x44, 1, 0];
    const looping = bytesOf([0x21, 0xff, 11], "NETSCAPE2.0", [3, 1, 0, 0, 0]);
    const head = bytesOf("GIF89a", le16(100), le16(50), [0xf0, 0, 0], new Uint8Array(6), looping);
    const gif = bytesOf(head, control, frameOf(100), control, frameOf(60), [0x3b]);
    expect(inspect(gif)).toEqual({ contentType: "image/gif", width: 100, height: 50 });
  });

  const drawings: [text: string, width: number, height: number][] = [
    ['<svg xmlns="http://www.w3.org/2000/svg" width="1024" height="1536" viewBox="0 0 10 15"></svg>', 1024, 1536],
    ["<svg height='20px' width='30px'/>", 30, 20],
    ['<svg viewBox="0 0 640 480" xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>', 640, 480],
    ['<svg viewBox="-5,-5, 12.6 8.2" width="100%" height="100%"/>', 13, 8],
    ['<svg width="200" viewBox="0 0 100 50"/>', 200, 100],
    ['<svg height="10mm" width="1in"/>', 96, 38],
    [
      '\ufeff<?xml version="1.0" encoding="UTF-8"?>\r\n<!-- <svg width="1" height="1"> -->\n<svg width="7" height="8">',
      7,
      8,
    ],
    [
      '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/svg11.dtd">\n<svg\n  width="7"\n  height="8"\n>',
      7,
      8,
    ],
    ['  \n<svg data-note="a > b" onload="alert(1)" width="3" height="4">', 3, 4],
  ];
  test.each(drawings)("SVG: %s", async (text, width, height) => {
    const facts = { contentType: "image/svg+xml", width, height } as const;
    const bytes = new TextEncoder().encode(text);
    expect(inspect(bytes)).toEqual(facts);
    const image = takeImage(forgetfulStore, "img-a", 1 << 20);
    for (const byte of bytes) await image.write(Uint8Array.of(byte));
    expect(await image.finish()).toMatchObject(facts);
  });

  test("JPEG of every kind of frame: baseline, extended, progressive, lossless, arithmetic", () => {
    const tables = [segment(0xc4, 30), segment(0xc8, 5), segment(0xcc, 4), segment(0xdb, 65), segment(0xdd, 2)];
    for (let marker = 0xc0; marker <= 0xcf; marker += 1) {
      if ([0xc4, 0xc8, 0xcc].includes(marker)) continue;
      const jpeg = bytesOf([0xff, 0xd8], ...tables, [0xff, 0xff], frame(marker, 513, 257));
      expect(inspect(jpeg)).toEqual({ contentType: "image/jpeg", width: 513, height: 257 });
    }
  });
});

/** A progressive JPEG whose frame header comes behind large profiles and previews, full of bytes like markers. */
const profiles = Array.from({ length: 9 }, (_, index) => segment(0xe0 + index, 65_000));
const late = bytesOf([0xff, 0xd8], ...profiles, segment(0xfe, 300), frame(0xc2, 1234, 567), new Uint8Array(64));

describe("a picture that arrives in pieces", () => {
  const facts = { contentType: "image/jpeg", width: 1234, height: 567, bytes: late.length };

  test.each([1_400, 16_384, 65_004, late.length])(
    "large segments before the frame, in pieces of %d bytes",
    async (length) => {
      const image = takeImage(forgetfulStore, "img-a", 1 << 22);
      for (let at = 0; at < late.length; at += length) {
        const piece = late.slice(at, at + length);
        await image.write(piece);
        piece.fill(0);
      }
      expect(await image.finish()).toMatchObject(facts);
    },
  );

  test("in a JSON reply, whose decoder writes through one buffer again and again", async () => {
    const image = takeImage(forgetfulStore, "img-a", 1 << 22);
    const json = new TextEncoder().encode(`{"b64_json":"${Buffer.from(late).toString("base64")}"}`);
    const body = async function* () {
      yield json;
    };
    await readInlineJson(body(), { fields: ["b64_json"], newImage: () => image, maxRestBytes: 100 });
    expect(await image.finish()).toMatchObject(facts);
  });

  test("any picture, byte by byte", async () => {
    for (const type of ["png", "jpeg", "webp"] as const) {
      const bytes = picture({ width: 31, height: 17, type });
      const image = takeImage(forgetfulStore, "img-a", 1 << 20);
      for (const byte of bytes) await image.write(Uint8Array.of(byte));
      expect(await image.finish()).toMatchObject({
        contentType: types[type],
        width: 31,
        height: 17,
        bytes: bytes.length,
      });
    }
  });

  test("profiles without end are not collected for ever", async () => {
    const image = takeImage(forgetfulStore, "img-a", 1 << 26);
    await image.write(Uint8Array.of(0xff, 0xd8));
    const endless = async () => {
      for (let turn = 0; turn < 200; turn += 1) await image.write(segment(0xe1, 65_000));
    };
    await expect(endless()).rejects.toBeInstanceOf(ImageIntakeError);
  });

  test("a head that is cut off anywhere is not a picture, and never another one", async () => {
    const whole = [
      picture({ width: 9, height: 8 }),
      picture({ width: 9, height: 8, type: "webp" }),
      late.subarray(0, 70_000),
    ];
    for (const bytes of [...whole, bytesOf([0xff, 0xd8], frame(0xc0, 9, 8))]) {
      for (let end = 0; end < Math.min(bytes.length, 200); end += 1) {
        const found = inspect(bytes.subarray(0, end));
        if (found === "more") {
          const image = takeImage(forgetfulStore, "img-a", 1 << 20);
          await image.write(bytes.slice(0, end));
          await expect(image.finish()).rejects.toBeInstanceOf(ImageIntakeError);
        } else expect(found).toMatchObject({ width: 9, height: 8 });
      }
    }
  });
});

describe("what is no picture", () => {
  const garbage: [name: string, bytes: Uint8Array][] = [
    ["a web page", bytesOf("<!doctype html><html><body>Sign in</body></html>")],
    ["JSON", bytesOf('{"error":{"message":"no"}}')],
    ["zeros", new Uint8Array(4000)],
    ["SVG without a size", bytesOf('<svg xmlns="http://www.w3.org/2000/svg" width="100%"/>')],
    ["SVG of no size", bytesOf('<svg width="0" height="9" viewBox="0 0 9 9"/>')],
    ["SVG of endless size", bytesOf('<svg width="1e30" height="9"/>')],
    ["another kind of XML", bytesOf('<?xml version="1.0"?>\n<svgx width="9" height="9"/>')],
    ["SVG inside a page", bytesOf('<!-- a page --><html><svg width="9" height="9"/></html>')],
    ["SVG that declares entities", bytesOf('<!DOCTYPE svg [<!ENTITY a "b">]><svg width="9" height="9"/>')],
    ["SVG as a prefix of its own", bytesOf('<svg-animation width="9" height="9"/>')],
    ["a text with an angle bracket", bytesOf("a < b and <svg width='9' height='9'>")],
    ["a comment without end", bytesOf(`<!--${" svg".repeat(20_000)}`)],
    ["PDF", bytesOf("%PDF-1.7\n%aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")],
    ["a PNG of no size", bytesOf([0x89], "PNG\r\n\x1a\n", [0, 0, 0, 13], "IHDR", new Uint8Array(17))],
    [
      "a PNG without a header",
      bytesOf([0x89], "PNG\r\n\x1a\n", [0, 0, 0, 13], "IDAT", [0, 0, 0, 1, 0, 0, 0, 1], new Uint8Array(9)),
    ],
    ["a JPEG of no size", bytesOf([0xff, 0xd8], frame(0xc0, 0, 0), new Uint8Array(20))],
    ["a JPEG without markers", bytesOf([0xff, 0xd8], new Uint8Array(40).fill(0x41))],
    ["WAV sound", bytesOf("RIFF", le32(100), "WAVEfmt ", new Uint8Array(40))],
    ["a WebP of another kind", webp("ALPH", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])],
    ["a lossy WebP of no size", webp("VP8 ", [0x30, 1, 0, 0x9d, 0x01, 0x2a, 0, 0, 0, 0])],
    ["a lossy WebP without its start code", webp("VP8 ", [0x30, 1, 0, 1, 2, 3, ...le16(9), ...le16(9)])],
    ["a lossless WebP without its signature", webp("VP8L", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])],
    ["a GIF of no version", bytesOf("GIF99z", le16(9), le16(9), new Uint8Array(20))],
  ];
  test.each(garbage)("%s", async (_name, bytes) => {
    expect(inspect(bytes)).toBeNull();
    const image = takeImage(forgetfulStore, "img-a", 1 << 20);
    await expect(image.write(bytes)).rejects.toBeInstanceOf(ImageIntakeError);
  });

  test("a JPEG whose segments claim no length of their own ends the search", () => {
    // A length below two would send the search backwards, or round in a circle.
    for (const length of [0, 1]) {
      const jpeg = bytesOf([0xff, 0xd8, 0xff, 0xe0, 0, length], frame(0xc0, 5, 5), new Uint8Array(40));
      expect(inspect(jpeg)).toBeNull();
    }
  });

  test("arbitrary bytes never throw, and facts are always whole", () => {
    const heads = [
      "",
      "\x89PNG\r\n\x1a\n",
      "\xff\xd8\xff",
      "RIFF\x10\x00\x00\x00WEBPVP8 ",
      "RIFF1234WEBPVP8L",
      "RIFF1234WEBPVP8X",
      "GIF89a",
      "<svg width='5' height='6'",
      '<?xml version="1.0"?><svg viewBox="0 0 5 6" ',
    ];
    fc.assert(
      fc.property(fc.constantFrom(...heads), fc.uint8Array({ maxLength: 300, size: "max" }), (head, tail) => {
        const found = inspect(bytesOf(head, tail));
        if (found === null || found === "more") return;
        expect(found.width).toBeWithin(1, 2 ** 32);
        expect(found.height).toBeWithin(1, 2 ** 32);
        expect(Object.values(types).concat("image/gif", "image/svg+xml")).toContain(found.contentType);
      }),
      { numRuns: 5_000 },
    );
  });

  test("a real picture with bytes changed never throws, byte by byte either", async () => {
    const changes = fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 6 });
    const type = fc.constantFrom<PictureType[]>("png", "jpeg", "webp");
    await fc.assert(
      fc.asyncProperty(type, changes, async (kind, changed) => {
        const bytes = picture({ width: 20, height: 10, type: kind }).slice();
        for (const [at, value] of changed) bytes[at] = value;
        inspect(bytes);
        const image = takeImage(forgetfulStore, "img-a", 1 << 20);
        const writing = (async () => {
          for (let at = 0; at < bytes.length; at += 3) await image.write(bytes.slice(at, at + 3));
          await image.finish();
        })();
        const error = await writing.then(() => null).catch((reason: unknown) => reason);
        if (error !== null) expect(error).toBeInstanceOf(ImageIntakeError);
      }),
      { numRuns: 600 },
    );
  });
});
