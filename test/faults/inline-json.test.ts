/** The streaming decoder equals `JSON.parse` and `Buffer.from(…, "base64")`, whatever the document and its pieces. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import {
  type InlineJsonOptions,
  parseInlineJson,
  ReplyTooLongError,
  readInlineJson,
} from "../../src/providers/inline-json.ts";
import { type ImageIntake, ImageIntakeError } from "../../src/providers/intake.ts";
import { InlineImage } from "../../src/providers/provider.ts";

// For machines that are busy with everything else.
setDefaultTimeout(40_000);

const fields = ["b64_json", "image"];

/** Yields the text in pieces of the given lengths, over and over; each piece is spoilt once the next is asked for. */
async function* pieces(text: string | Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const length = Math.max(1, lengths[turn % lengths.length] ?? 1);
    const piece = bytes.slice(at, at + length);
    at += length;
    yield piece;
    piece.fill(0x22);
  }
}

interface Taken {
  value: unknown;
  pictures: Buffer[];
}

async function read(text: string | Uint8Array, lengths: readonly number[], more: Partial<InlineJsonOptions> = {}) {
  const written: Buffer[][] = [];
  const newImage = (): ImageIntake => {
    const chunks: Buffer[] = [];
    written.push(chunks);
    return {
      write: async (chunk) => void chunks.push(Buffer.from(chunk)),
      finish: () => Promise.reject(new Error("the decoder finishes no picture")),
      abort: () => Promise.reject(new Error("the decoder forgets no picture")),
    };
  };
  const options = { fields, newImage, maxRestBytes: 1 << 20, ...more };
  const document = await readInlineJson(pieces(text, lengths), options);
  expect(document.images).toBe(written.length);
  return { value: parseInlineJson(document, fields), pictures: written.map((chunks) => Buffer.concat(chunks)) };
}

/** The same by `JSON.parse`: pictures stand where their handles stood. */
function expected(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(expected);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) =>
      fields.includes(key) && typeof item === "string"
        ? [key, Buffer.from(item.replace(/^data:[^,]*,/, ""), "base64").toString("hex")]
        : [key, expected(item)],
    ),
  );
}

function withPictures({ value, pictures }: Taken): unknown {
  const visit = (node: unknown): unknown => {
    if (node instanceof InlineImage) return pictures[node.index]?.toString("hex");
    if (Array.isArray(node)) return node.map(visit);
    if (node === null || typeof node !== "object") return node;
    return Object.fromEntries(Object.entries(node).map(([key, item]) => [key, visit(item)]));
  };
  return visit(value);
}

/** Writes JSON as real writers do not, but may: whitespace, escapes and prefixes by the given choices. */
function written(value: unknown, choose: (ways: number) => number): string {
  const space = () => ["", "", " ", "\n", "\t", "\r\n  "][choose(6)] ?? "";
  const string = (text: string) => {
    const units = text.split("").map((unit) => {
      const way = choose(12);
      if (way === 0) return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
      if (way === 1) return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()}`;
      if (way < 5 && unit === "/") return "\\/";
      return JSON.stringify(unit).slice(1, -1);
    });
    return `"${units.join("")}"`;
  };
  const item = (node: unknown): string => {
    if (typeof node === "string") return string(node);
    if (Array.isArray(node)) return `[${space()}${node.map((inner) => item(inner) + space()).join(`,${space()}`)}]`;
    if (node === null || typeof node !== "object") return JSON.stringify(node);
    const entries = Object.entries(node).map(([key, inner]) => {
      return `${string(key)}${space()}:${space()}${item(inner)}${space()}`;
    });
    return `{${space()}${entries.join(`,${space()}`)}}`;
  };
  return space() + item(value) + space();
}

/** Short ones, and ones that are decoded piece by piece. */
const pictureBytes = fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ minLength: 300, maxLength: 700 }));
const base64 = fc
  .tuple(pictureBytes, fc.constantFrom("", "", "data:image/png;base64,", "data:;base64,"))
  .chain(([bytes, prefix]) => {
    const text = Buffer.from(bytes).toString("base64");
    const bare = text.replace(/=+$/, "");
    const lines = text.replace(/(.{7})/g, "$1\n");
    return fc.constantFrom(prefix + text, prefix + bare, prefix + lines, `${prefix}${text}\r\n\f `);
  });
const awkward = fc.constantFrom(
  ...[
    '"b64_json":"QUJD"',
    "\\",
    '\\"',
    '"',
    ":",
    "b64_json",
    "image",
    "\u0000inline:0",
    "\u0000inline:",
    "{[,]}",
    "é🦊",
  ],
);
const text = fc.oneof(fc.string({ unit: "binary" }), awkward);
const otherKey = fc.oneof(text, fc.constantFrom("data", "url")).filter((key) => !fields.includes(key));
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(text, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null)),
    fc.array(tie("tree"), { maxLength: 4 }),
    fc.dictionary(otherKey, tie("tree"), { maxKeys: 4 }),
    fc.record(
      { b64_json: fc.oneof(base64, fc.constant(null), tie("tree").filter(isNoString)), image: base64, after: text },
      { requiredKeys: [] },
    ),
  ),
}));
function isNoString(value: unknown): boolean {
  return typeof value !== "string";
}
const lengths = fc.oneof(
  fc.constant([1]),
  fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 }),
  fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 4 }),
);
/** Choices for `written`, repeated. */
const style = fc.array(fc.nat(1000), { minLength: 1, maxLength: 40 });
function chooser(choices: readonly number[]): (ways: number) => number {
  let turn = 0;
  return (ways) => (choices[turn++ % choices.length] ?? 0) % ways;
}

describe("any document", () => {
  test("in any pieces equals JSON.parse with base64 decoded", async () => {
    await fc.assert(
      fc.asyncProperty(tree, style, lengths, async (document, choices, sizes) => {
        const json = written(document, chooser(choices));
        expect(withPictures(await read(json, sizes))).toEqual(expected(JSON.parse(json)));
      }),
      { numRuns: 700 },
    );
  });

  test.each([
    ["nothing but a picture", '{"b64_json":"QUJDRA=="}'],
    ["null, absent and empty", '{"data":[{"b64_json":null},{},{"b64_json":""},{"b64_json":"QQ=="}]}'],
    ["escaped slashes and pluses", '{"b64_json":"\\/\\/8\\u002b+\\u002F8\\/"}'],
    ["an escaped key", '{"b64\\u005fjson":"QUJD","\\u0069mage":"QUJDRA=="}'],
    ["a key that only ends or begins alike", '{"xb64_json":"QUJD","b64_json ":"QUJD","b64_json\\"":"QUJD"}'],
    ["the key as a value", '{"a":"b64_json","b":["b64_json","QUJD"],"c":{"d":"image"}}'],
    ["strings that look like markup", '{"p":"\\"b64_json\\":\\"QUJD\\"","q":"\\\\","image":"QUJD","r":"\\\\\\""}'],
    ["a text that looks like a handle", '{"revised_prompt":"\\u0000inline:0","b64_json":"QUJD"}'],
    ["an array under the name", '{"b64_json":["QUJD",{"b64_json":"QUJD"}],"image":{"b64_json":"QQ=="}}'],
    ["a data URI with escapes", '{"image":"data:image\\/png;base64,QUJD\\u002b\\/8="}'],
    ["one key twice", '{"b64_json":"QUJD","b64_json":"RUZH"}'],
    ["a byte order mark", '\ufeff{"b64_json":"QUJD"}'],
    ["a picture at the top", '"QUJD"'],
  ])("%s, in pieces of every length", async (_name, json) => {
    for (let length = 1; length <= json.length; length += 1) {
      expect(withPictures(await read(json, [length]))).toEqual(expected(JSON.parse(json.replace("\ufeff", ""))));
    }
  });

  test("a document without pictures is text for the caller, whatever it is", async () => {
    for (const body of ["", '<html>it\'s "b64"</html>', '{"b64_json": 5', "[1,2"]) {
      const { text: rest, images } = await readInlineJson(pieces(body, [3]), {
        fields,
        newImage: () => expect.unreachable("no picture here"),
        maxRestBytes: 100,
      });
      expect({ rest, images }).toEqual({ rest: body, images: 0 });
    }
  });
});

describe("what is no picture", () => {
  /** Every one is one character that base64 does not have, or has only at its end. */
  const strangers = ["-", "_", "!", "*", ".", "=", "==", "é", "\\u0000", "\\b", "\\u0022", '\\"', "\\\\", "\\u003d"];

  test("a foreign character anywhere, in any pieces, is refused", async () => {
    const anywhere = fc.tuple(
      fc.uint8Array({ minLength: 450, maxLength: 450 }),
      fc.nat(590),
      fc.constantFrom(...strangers),
    );
    await fc.assert(
      fc.asyncProperty(anywhere, lengths, async ([bytes, at, stranger], sizes) => {
        const good = Buffer.from(bytes).toString("base64");
        const json = `{"data":[{"b64_json":"${good.slice(0, at)}${stranger}${good.slice(at)}"}]}`;
        await expect(read(json, sizes)).rejects.toBeInstanceOf(ImageIntakeError);
      }),
      { numRuns: 250 },
    );
  });

  test.each(["A", "QUJDR", "QUJDRA=", "QUJD=", "data:image/png;base64", "data:image/png;base64;QUJD", "=", "===="])(
    "%j",
    async (bad) => {
      for (const length of [1, 2, 3, 5, 1000]) {
        await expect(read(`{"b64_json":"${bad}"}`, [length])).rejects.toBeInstanceOf(ImageIntakeError);
      }
    },
  );

  test("a reply that ends inside a picture is refused, at whatever character", async () => {
    const json = `{"data":[{"b64_json":"${Buffer.alloc(40, 7).toString("base64")}"}]}`;
    const begin = json.indexOf('":"') + 3;
    for (let end = begin; end < json.lastIndexOf('"}'); end += 1) {
      await expect(read(json.slice(0, end), [7])).rejects.toBeInstanceOf(ImageIntakeError);
    }
  });

  test("what an intake throws comes out as it is", async () => {
    const failure = new ImageIntakeError("too large");
    const newImage = (): ImageIntake => ({
      write: () => Promise.reject(failure),
      finish: () => Promise.reject(failure),
      abort: () => Promise.resolve(),
    });
    await expect(read('{"image":"QUJDRUZH"}', [4], { newImage })).rejects.toBe(failure);
  });
});

describe("caps", () => {
  const bodies = [
    `{"x":"${"y".repeat(500)}"}`,
    `{"${"k".repeat(500)}":1}`,
    `{${" ".repeat(500)}}`,
    "[0,0,0,0".repeat(70),
  ];
  test.each(bodies)("what is not a picture is capped: %.12s", async (body) => {
    const newImage = () => expect.unreachable("no picture here");
    for (const length of [1, 64, 1000]) {
      const options = { fields, newImage, maxRestBytes: body.length };
      expect((await readInlineJson(pieces(body, [length]), options)).text).toBe(body);
      const tooSmall = { ...options, maxRestBytes: body.length - 1 };
      await expect(readInlineJson(pieces(body, [length]), tooSmall)).rejects.toBeInstanceOf(ReplyTooLongError);
    }
  });

  test("a picture does not count towards the cap of the rest", async () => {
    const json = `{"image":"${Buffer.alloc(100_000).toString("base64")}","seed":1}`;
    expect((await read(json, [777], { maxRestBytes: 100 })).pictures[0]?.length).toBe(100_000);
  });
});
