/** Sides of what Replicate's FLUX models make. The ratios and limits are §4.3's; the exact sides are [U]. */

export interface Size {
  width: number;
  height: number;
}

type Input = Record<string, unknown>;

/** Sides of about one megapixel by ratio. */
const SIDES: Record<string, readonly [width: number, height: number]> = {
  "1:1": [1024, 1024],
  "16:9": [1344, 768],
  "21:9": [1536, 640],
  "3:2": [1216, 832],
  "2:3": [832, 1216],
  "4:5": [896, 1088],
  "5:4": [1088, 896],
  "3:4": [896, 1152],
  "4:3": [1152, 896],
  "9:16": [768, 1344],
  "9:21": [640, 1536],
  "2:1": [1440, 720],
  "1:2": [720, 1440],
};

function sidesOf(ratio: unknown): Size {
  const [width, height] = SIDES[String(ratio ?? "1:1")] ?? [1024, 1024];
  return { width, height };
}

/** About so many megapixels in the shape of a picture; no side above `maxSide`. */
function shapedLike({ width, height }: Size, megapixels: number, maxSide: number): Size {
  const scale = Math.sqrt((megapixels * 1024 * 1024) / (width * height));
  const side = (length: number) => Math.min(maxSide, Math.max(16, Math.round((length * scale) / 16) * 16));
  return { width: side(width), height: side(height) };
}

/** schnell and dev. With an image the output has its shape, whatever `aspect_ratio` says. */
export function openWeightSize(input: Input, first: Size | undefined): Size {
  const megapixels = input.megapixels === "0.25" ? 0.25 : 1;
  if (first) return shapedLike(first, megapixels, 1440);
  const { width, height } = sidesOf(input.aspect_ratio);
  return megapixels === 0.25 ? { width: width / 2, height: height / 2 } : { width, height };
}

/** flux-pro and 1.1-pro. `width` and `height` count only with `custom` [S]; otherwise they are passed over, as there. */
export function proSize(input: Input): Size {
  if (input.aspect_ratio !== "custom") return sidesOf(input.aspect_ratio);
  return { width: Number(input.width ?? 1024), height: Number(input.height ?? 1024) };
}

/** Four megapixels. */
export function ultraSize(input: Input): Size {
  const { width, height } = sidesOf(input.aspect_ratio);
  return { width: width * 2, height: height * 2 };
}

/** The input's shape by default; a square where there is no input, or only a link to one, which no double follows. */
export function kontextSize(input: Input, first: Size | undefined): Size {
  const ratio = input.aspect_ratio ?? "match_input_image";
  return ratio === "match_input_image" && first ? shapedLike(first, 1, 2048) : sidesOf(ratio);
}

/** At most 2048 a side, so that four megapixels in another shape than a square are fewer [S]. */
export function flux2Size(input: Input, first: Size | undefined): Size {
  const { aspect_ratio: ratio, resolution } = input;
  if (ratio === "custom") return proSize(input);
  const shape = ratio === "match_input_image" && first ? first : sidesOf(ratio);
  const ofInput = first ? (first.width * first.height) / (1024 * 1024) : 1;
  const asked = resolution === "match_input_image" ? ofInput : Number.parseFloat(String(resolution ?? "1 MP"));
  return shapedLike(shape, Math.min(4, Math.max(0.5, asked)), 2048);
}
