/** The streaming decoder's work grows with the length of a picture, not with its square: counted, not timed. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readInlineJson } from "../../src/providers/inline-json.ts";
import type { ImageIntake } from "../../src/providers/intake.ts";

// For machines that are busy with everything else.
setDefaultTimeout(40_000);

const fields = ["b64_json"];

describe("work grows with the length, not with its square", () => {
  /** Counts the characters that go through the runtime's decoder. */
  async function decodedCharacters(work: () => Promise<void>): Promise<number> {
    const original = Uint8Array.prototype.setFromBase64;
    let characters = 0;
    Uint8Array.prototype.setFromBase64 = function (this: Uint8Array, source, options) {
      characters += source.length;
      return Reflect.apply(original, this, [source, options]);
    };
    await work().finally(() => {
      Uint8Array.prototype.setFromBase64 = original;
    });
    return characters;
  }

  async function* repeated(head: string, piece: Uint8Array, times: number, tail: string) {
    yield new TextEncoder().encode(head);
    for (let turn = 0; turn < times; turn += 1) yield piece;
    yield new TextEncoder().encode(tail);
  }

  /** Pieces that are awkward to cut: no multiple of four, or with whitespace or an escape at every end. */
  test.each([
    ["64 MiB in 16 kB", "A".repeat(16_384), 5462],
    ["pieces of no multiple of four", "A".repeat(16_381), 400],
    ["escapes at every end", `${"A".repeat(16_370)}\\/\\u002b`, 400],
    ["whitespace without end", "\\n ".repeat(5_000), 400],
    ["one character a piece", "A", 400_000],
  ])("%s", async (_name, piece, times) => {
    let bytes = 0;
    const newImage = (): ImageIntake => ({
      write: async (chunk) => {
        bytes += chunk.length;
      },
      finish: () => Promise.reject(new Error("not here")),
      abort: () => Promise.resolve(),
    });
    const body = repeated('{"b64_json":"QQ', new TextEncoder().encode(piece), times, 'AA"}');
    const characters = await decodedCharacters(async () => {
      await readInlineJson(body, { fields, newImage, maxRestBytes: 1000 });
    });
    const sent = piece.replaceAll("\\u002b", "+").replaceAll("\\/", "/").replaceAll("\\n", "\n").length * times;
    expect(characters).toBeLessThan(sent + 16 * times + 100);
    expect(bytes).toBe(Math.floor(((piece.includes("A") ? sent : 0) + 4) * 0.75));
  });
});
