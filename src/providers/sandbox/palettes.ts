import { clamp, mix, pick, type Random } from "./random.ts";

/** Red, green, blue; each 0 to 255, not necessarily whole. */
export type Colour = readonly [number, number, number];

export type Light = "sunset" | "dawn" | "day" | "night" | "pastel" | "winter";

export type Palette = {
  /** From the zenith down to the horizon. */
  sky: readonly [Colour, Colour, Colour, Colour];
  /** The sun or the moon. */
  sun: Colour;
  /** The nearest, darkest land; also the ink behind the caption. */
  ground: Colour;
  night: boolean;
};

type Entry = { lights: readonly Light[]; sky: string; sun: string; ground: string };

const ENTRIES: readonly Entry[] = [
  { lights: ["sunset"], sky: "2b1a4f 7a2f6b e8615a ffb26b", sun: "ffe6b0", ground: "1d1233" },
  { lights: ["sunset"], sky: "1c1037 66204f d0404a ff9550", sun: "ffdfa6", ground: "16081a" },
  { lights: ["sunset"], sky: "2a2f73 8a4a9c f2728c ffc38f", sun: "fff0cf", ground: "20143f" },
  { lights: ["sunset", "dawn"], sky: "35508a 8c83ab f2b083 ffdca0", sun: "fff6d6", ground: "232234" },
  { lights: ["dawn", "pastel"], sky: "433a80 9067a6 f29fb2 ffd9c4", sun: "fff4e6", ground: "2b2150" },
  { lights: ["dawn"], sky: "12405a 3b7d85 a3c79a f8e3a2", sun: "fff8d4", ground: "0a2733" },
  { lights: ["dawn", "day"], sky: "3f8fae 84c4bf d6ebca fff3d0", sun: "fffce8", ground: "134049" },
  { lights: ["day"], sky: "1f6fc8 5fabe8 aedbf6 eef7f6", sun: "ffffff", ground: "0e3550" },
  { lights: ["day", "winter"], sky: "2a4f7c 6695bd aecde2 f0f2f0", sun: "fffdf2", ground: "15304c" },
  { lights: ["pastel"], sky: "9dbcec c8c4f0 f5cbdc ffe9d2", sun: "fffaf0", ground: "4a4f86" },
  { lights: ["pastel"], sky: "8fb8c9 bcd6cf f3dfc7 fbd0b6", sun: "fffaf0", ground: "4b566e" },
  { lights: ["night"], sky: "050a20 0d1b46 24427f 6284b5", sun: "f6f1dc", ground: "040919" },
  { lights: ["night"], sky: "0c0726 2a1558 5d2f92 b86db8", sun: "ffeaf5", ground: "090520" },
  { lights: ["night", "winter"], sky: "03141f 06303f 0f5a66 4aa394", sun: "eafff5", ground: "021119" },
];

/** A palette for the light the prompt asks for, or any; `style` is the client's, of which "vivid" and "natural" are known. */
export function choosePalette(random: Random, light: Light | undefined, style: string | undefined): Palette {
  const fitting = ENTRIES.filter((entry) => light === undefined || entry.lights.includes(light));
  const [first = FALLBACK, ...rest] = fitting;
  const entry = pick(random, [first, ...rest]);
  const saturation = style === "vivid" ? 1.18 : style === "natural" ? 0.78 : 1;
  const colour = (hex: string) => saturate(parse(hex), saturation);
  const [a = "000000", b = a, c = b, d = c] = entry.sky.split(" ");
  return {
    sky: [colour(a), colour(b), colour(c), colour(d)],
    sun: colour(entry.sun),
    ground: colour(entry.ground),
    night: entry.lights.includes("night"),
  };
}

const FALLBACK: Entry = { lights: [], sky: "2b1a4f 7a2f6b e8615a ffb26b", sun: "ffe6b0", ground: "1d1233" };

/** The colour of the sky at `height`, 0 at the zenith, 1 at the horizon. */
export function skyColour(palette: Palette, height: number): Colour {
  const position = clamp(height, 0, 1) * 3;
  const index = Math.min(2, Math.floor(position));
  const from = palette.sky[index] ?? palette.sky[0];
  const to = palette.sky[index + 1] ?? palette.sky[3];
  return blend(from, to, position - index);
}

/** A mixture of two colours, in squared values: close to what light does, and exact on every machine. */
export function blend(from: Colour, to: Colour, share: number): Colour {
  const channel = (a: number, b: number) => Math.sqrt(mix(a * a, b * b, share));
  return [channel(from[0], to[0]), channel(from[1], to[1]), channel(from[2], to[2])];
}

function saturate([red, green, blue]: Colour, factor: number): Colour {
  const grey = 0.3 * red + 0.59 * green + 0.11 * blue;
  const channel = (value: number) => clamp(mix(grey, value, factor), 0, 255);
  return [channel(red), channel(green), channel(blue)];
}

function parse(hex: string): Colour {
  const value = Number.parseInt(hex, 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
