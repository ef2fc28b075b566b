import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { inflateSync } from "node:zlib";
import fc from "fast-check";
import { type Canvas, newCanvas } from "../../src/providers/sandbox/canvas.ts";
import { paintCaption } from "../../src/providers/sandbox/caption.ts";
import { loadTypefaces } from "../../src/providers/sandbox/fonts.ts";
import { drawPicture, type PictureRequest } from "../../src/providers/sandbox/picture.ts";
import { breakLines, signsOf } from "../../src/providers/sandbox/typesetting.ts";

const ENTRY = resolve(import.meta.dir, "../../src/providers/sandbox/picture.ts");

function request(changes: Partial<PictureRequest> = {}): PictureRequest {
  const base = { prompt: "A quiet harbour", model: "openai/dall-e-3", width: 256, height: 256, seed: 7 };
  return { ...base, format: "png", ...changes };
}

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** The pixels of one of our PNGs: a single IDAT, rows without a filter (0) or with "up" (2). */
function pixelsOf(png: Uint8Array): { width: number; height: number; rows: Uint8Array[] } {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  const width = view.getUint32(16);
  const height = view.getUint32(20);
  const raw = inflateSync(png.subarray(41, 41 + view.getUint32(33)));
  const rows: Uint8Array[] = [];
  for (let y = 0; y < height; y++) {
    const start = y * (width * 3 + 1);
    const above = raw[start] === 2 ? rows[y - 1] : undefined;
    rows.push(raw.slice(start + 1, start + 1 + width * 3).map((value, i) => value + (above?.[i] ?? 0)));
  }
  return { width, height, rows };
}

/** How many pixels of a region, in shares of the picture, differ between two pictures. */
function differing(a: Uint8Array, b: Uint8Array, from: number, to: number): number {
  const first = pixelsOf(a);
  const second = pixelsOf(b);
  let count = 0;
  for (let y = Math.floor(first.height * from); y < first.height * to; y++) {
    const row = first.rows[y];
    for (let i = 0; i < first.width; i++) {
      if ([0, 1, 2].some((channel) => row?.[i * 3 + channel] !== second.rows[y]?.[i * 3 + channel])) count++;
    }
  }
  return count;
}

describe("size and format", () => {
  const sizes = [
    [64, 64],
    [65, 97],
    [256, 256],
    [512, 333],
    [1024, 1024],
    [1792, 1024],
    [256, 1440],
    [1440, 256],
    [64, 4096],
    [4096, 64],
  ] as const;
  for (const [width, height] of sizes) {
    for (const format of ["png", "jpeg", "webp"] as const) {
      test(`${width}x${height} ${format}`, async () => {
        const bytes = await drawPicture(request({ width, height, format }));
        expect(await new Bun.Image(bytes).metadata()).toMatchObject({ width, height, format });
        // Metadata reads the header only; this decodes every pixel and checks PNG's checksums.
        const decoded = await new Bun.Image(bytes).png({ compressionLevel: 0 }).bytes();
        expect(decoded.length).toBeGreaterThan(width * height);
      });
    }
  }

  test("the largest", async () => {
    const bytes = await drawPicture(request({ width: 4096, height: 4096 }));
    expect(await new Bun.Image(bytes).metadata()).toMatchObject({ width: 4096, height: 4096, format: "png" });
  });

  test("a PNG of 1024x1024 stays below 1.5 MB", async () => {
    for (const prompt of [
      "city at night",
      "alps",
      "pine forest",
      "sea",
      "desert",
      "planet",
      "aurora forest at night",
    ]) {
      const bytes = await drawPicture(request({ width: 1024, height: 1024, prompt }));
      expect(bytes.length).toBeLessThan(1_500_000);
    }
  });

  test("a size that is none is refused", async () => {
    for (const width of [0, -1, 1.5, Number.NaN, 20_000]) {
      await expect(drawPicture(request({ width }))).rejects.toThrow(RangeError);
    }
  });
});

describe("the same request is the same picture", () => {
  test("again, between others, in every format", async () => {
    for (const format of ["png", "jpeg", "webp"] as const) {
      const first = await drawPicture(request({ format }));
      await drawPicture(request({ prompt: "something else" }));
      expect(digest(await drawPicture(request({ format })))).toBe(digest(first));
    }
  });

  test("at the same time", async () => {
    const digests = await Promise.all([1, 1, 1].map(async (seed) => digest(await drawPicture(request({ seed })))));
    expect(new Set(digests).size).toBe(1);
  });

  test("in another process, without its environment", async () => {
    const wanted = request({ prompt: "山中湖泊 at dawn", style: "vivid", label: "2 of 4" });
    const script = `
      const { drawPicture } = await import(${JSON.stringify(ENTRY)});
      const bytes = await drawPicture(${JSON.stringify(wanted)});
      console.log(new Bun.CryptoHasher("sha256").update(bytes).digest("hex"));`;
    const other = Bun.spawnSync([process.execPath, "-e", script], { cwd: tmpdir(), env: {} });
    expect(other.stdout.toString().trim()).toBe(digest(await drawPicture(wanted)));
  });

  test("and another request is another picture", async () => {
    const changes: Partial<PictureRequest>[] = [
      {},
      { prompt: "A quiet harbour." },
      { model: "openai/gpt-image-1" },
      { seed: 8 },
      { seed: -7 },
      { style: "vivid" },
      { style: "natural" },
      { label: "1 of 2" },
      { width: 257 },
    ];
    const digests = await Promise.all(changes.map(async (change) => digest(await drawPicture(request(change)))));
    expect(new Set(digests).size).toBe(changes.length);
  });

  test("seeds change the scene, not only a detail", async () => {
    const a = await drawPicture(request({ seed: 1 }));
    const b = await drawPicture(request({ seed: 2 }));
    expect(differing(a, b, 0, 0.6)).toBeGreaterThan(256 * 256 * 0.3);
  });
});

describe("the caption", () => {
  /** The caption alone, on a plain canvas: what differs between two of them is the text. */
  async function captionOf(prompt: string, label?: string, width = 512, height = 512): Promise<Canvas> {
    const canvas = newCanvas(width, height);
    canvas.pixels.fill(90);
    paintCaption(canvas, { prompt, model: "openai/dall-e-3", label }, await loadTypefaces(), [20, 20, 40]);
    return canvas;
  }

  /** Nearly white pixels within a box, in pixels. */
  function inkOf(canvas: Canvas, left: number, top: number, right: number, bottom: number): number {
    let ink = 0;
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) if ((canvas.pixels[(y * canvas.width + x) * 3] ?? 0) > 200) ink++;
    }
    return ink;
  }

  const scripts: Record<string, string> = {
    Latin: "Watercolour fox, naïve café",
    "traditional Chinese": "一隻戴著太空頭盔的柴犬，水彩風格",
    "simplified Chinese": "戴着头盔的柴犬与云雾缭绕",
    Japanese: "ネコが空をとぶ、きれいだ。",
    Korean: "하늘을 나는 고양이",
    Cyrillic: "Кошка летит",
    Greek: "Γάτα που πετά",
    Vietnamese: "Con mèo bay trên trời",
    "Central European": "Žluťoučký kůň",
  };
  for (const [script, prompt] of Object.entries(scripts)) {
    test(`writes ${script}`, async () => {
      const { text } = await loadTypefaces();
      const signs = signsOf(prompt, text);
      expect(String.fromCodePoint(...signs.map((sign) => sign.code))).toBe(prompt);
      const written = inkOf(await captionOf(prompt), 0, 300, 512, 512);
      const blank = inkOf(await captionOf(""), 0, 300, 512, 512);
      expect(written - blank).toBeGreaterThan(signs.length * 12);
    });
  }

  test("shows which characters a picture has, not only how many", async () => {
    const one = await captionOf("柴犬");
    const other = await captionOf("貓咪");
    expect(one.pixels).not.toEqual(other.pixels);
  });

  test("marks letters that no font has, once a word, and leaves emoji out", async () => {
    const { text } = await loadTypefaces();
    const codes = (prompt: string) => String.fromCodePoint(...signsOf(prompt, text).map((sign) => sign.code));
    expect(codes("مرحبا cat 🚀")).toBe("□ cat");
  });

  test("breaks lines inside long words and between Chinese characters, but not before a full stop", async () => {
    const { text } = await loadTypefaces();
    const lines = (prompt: string, width: number, most = 9) =>
      breakLines(signsOf(prompt, text), width, most, text).lines.map((line) =>
        String.fromCodePoint(...line.signs.map((sign) => sign.code)),
      );
    expect(lines("the quick brown", 5)).toEqual(["the quick", "brown"]);
    expect(lines("柴犬在太空。", 5)).toEqual(["柴犬在太", "空。"]);
    expect(lines("柴犬在太空散步", 3, 2)).toEqual(["柴犬在", "太空…"]);
    for (const line of lines("x".repeat(50), 4)) expect(line.length).toBeLessThan(9);
  });

  test("says SANDBOX in every shape", async () => {
    for (const [width, height] of [
      [64, 64],
      [64, 512],
      [512, 64],
      [256, 1440],
      [1440, 256],
    ] as const) {
      const canvas = await captionOf("", undefined, width, height);
      expect(inkOf(canvas, 3, 3, Math.min(width, 120) - 3, 34)).toBeGreaterThan(25);
    }
  });

  test("has its label in the upper right corner", async () => {
    const ink = async (label?: string) => inkOf(await captionOf("", label), 400, 20, 500, 60);
    expect(await ink()).toBe(0);
    expect(await ink("2 of 4")).toBeGreaterThan(25);
  });

  test("is in the finished picture", async () => {
    // The art of two pictures differs too, so this looks for white alone, in the line where the prompt stands.
    const size = { width: 512, height: 512 };
    const white = async (prompt: string) => {
      const { rows } = pixelsOf(await drawPicture(request({ ...size, prompt })));
      const pixels = new Uint8Array(rows.flatMap((row) => [...row]));
      return inkOf({ ...size, pixels }, 20, 430, 500, 465);
    };
    expect(await white("夜晚的森林與柴犬")).toBeGreaterThan((await white("夜")) + 200);
  });
});

describe("hostile prompts", () => {
  const cases: Record<string, string> = {
    empty: "",
    spaces: " \n\t\u3000 ",
    "control characters": "\u0000\u0007\u001b[31mred\u007f",
    markup: `</text><script>alert(1)</script>&amp;&#0;<![CDATA[`,
    emoji: "👩‍🚀🏳️‍🌈🇹🇼 1️⃣ ☀️",
    "right to left": "\u202eمرحبا بالعالم שלום",
    "lone surrogates": "\ud800 a \udc00\udbff",
    "stacked marks": `Z${"\u0335\u0300".repeat(300)}`,
    "rare characters": "𠮷𪚥 \u{10ffff} \ufffe",
    "one endless word": "w".repeat(32_000),
    "32,000 Chinese characters": "很長的提示詞，".repeat(4_572),
    "only punctuation": "」。，".repeat(400),
  };
  for (const [name, prompt] of Object.entries(cases)) {
    test(name, async () => {
      for (const [width, height] of [
        [64, 64],
        [300, 200],
      ] as const) {
        const bytes = await drawPicture(request({ prompt, model: prompt.slice(0, 200), label: prompt, width, height }));
        expect(await new Bun.Image(bytes).metadata()).toMatchObject({ width, height });
      }
    });
  }

  test("anything", async () => {
    const text = fc.string({ unit: "binary", maxLength: 300 });
    const side = fc.integer({ min: 64, max: 160 });
    await fc.assert(
      fc.asyncProperty(
        text,
        text,
        text,
        side,
        side,
        fc.integer(),
        async (prompt, model, style, width, height, seed) => {
          const bytes = await drawPicture(request({ prompt, model, style, width, height, seed }));
          expect(await new Bun.Image(bytes).metadata()).toMatchObject({ width, height, format: "png" });
        },
      ),
      { numRuns: 60 },
    );
  });
});

test("draws inside a compiled executable, in an empty folder with an empty environment", async () => {
  const build = await mkdtemp(join(tmpdir(), "sandbox-build-"));
  const empty = await mkdtemp(join(tmpdir(), "sandbox-empty-"));
  try {
    const wanted = request({ prompt: "一座城市 at dusk" });
    const source = `
      import { drawPicture } from ${JSON.stringify(ENTRY)};
      const bytes = await drawPicture(${JSON.stringify(wanted)});
      console.log(new Bun.CryptoHasher("sha256").update(bytes).digest("hex"));`;
    await writeFile(join(build, "entry.ts"), source);
    const program = join(build, "picture");
    const compiled = Bun.spawnSync([process.execPath, "build", "--compile", "entry.ts", "--outfile", program], {
      cwd: build,
    });
    expect(compiled.exitCode).toBe(0);
    const run = Bun.spawnSync([program], { cwd: empty, env: {} });
    expect(run.stdout.toString().trim()).toBe(digest(await drawPicture(wanted)));
  } finally {
    await rm(build, { recursive: true, force: true });
    await rm(empty, { recursive: true, force: true });
  }
}, 60_000);
