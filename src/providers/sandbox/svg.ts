import { landLayers } from "./land.ts";
import type { Colour } from "./palettes.ts";
import type { PictureRequest } from "./picture.ts";
import type { Scene } from "./scene.ts";

/** Crests are drawn through this many points. */
const points = 96;
const maxCaptionSigns = 60;

/** The scene's sky, sun and land as a vector picture of a few kilobytes, with the caption that every sandbox picture has. */
export function drawSvg({ prompt, model, width, height, label }: PictureRequest, scene: Scene): string {
  const { palette, sun } = scene;
  const stops = palette.sky.map(
    (colour, index) => `<stop offset="${rounded(index / 3)}" stop-color="${hex(colour)}"/>`,
  );
  // Cities have no layers of their own: they get hills. No pixel is painted.
  const layers = landLayers({ width, height, pixels: new Uint8Array(0) }, scene);
  const land = layers.map(({ tops, crest }) => {
    const crestLine = Array.from({ length: points + 1 }, (_, index) => {
      const x = Math.min(tops.length - 1, Math.round((index * tops.length) / points));
      return `${Math.round((index * width) / points)},${rounded(tops[x] ?? height)}`;
    });
    return `<polygon fill="${hex(crest)}" points="${crestLine.join(" ")} ${width},${height} 0,${height}"/>`;
  });
  const scale = Math.sqrt(width * height);
  const margin = Math.round(scale * 0.05);
  const small = rounded(Math.max(8, scale * 0.0185));
  const words = [...prompt.replace(/\s+/g, " ").trim()];
  const caption = words.length > maxCaptionSigns ? `${words.slice(0, maxCaptionSigns - 1).join("")}…` : words.join("");
  const size = Math.min(scale * 0.046, (width - 2 * margin) / Math.max(8, [...caption].length * 0.6));
  const water = scene.waterline === undefined ? [] : [waterOf(scene, width, height)];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<linearGradient id="sky" x2="0" y2="1">${stops.join("")}</linearGradient>`,
    `<rect width="${width}" height="${height}" fill="url(#sky)"/>`,
    `<circle cx="${rounded(sun.x)}" cy="${rounded(sun.y)}" r="${rounded(sun.radius)}" fill="${hex(palette.sun)}"/>`,
    ...land,
    ...water,
    `<g fill="#fff" font-family="Inter, Helvetica, Arial, sans-serif">`,
    text(margin, height - margin - Number(small) * 1.8, rounded(size), caption),
    text(margin, height - margin, small, `${model}  ·  ${width} × ${height}`, ' opacity="0.75"'),
    text(
      margin,
      margin + Number(small),
      small,
      `SANDBOX${label === undefined ? "" : `  ·  ${label}`}`,
      ' font-weight="700"',
    ),
    "</g>",
    "</svg>\n",
  ].join("\n");
}

function waterOf({ palette, waterline = 0 }: Scene, width: number, height: number): string {
  return `<rect y="${waterline}" width="${width}" height="${height - waterline}" fill="${hex(palette.ground)}" opacity="0.85"/>`;
}

function text(x: number, y: number, size: string, words: string, extra = ""): string {
  return `<text x="${x}" y="${rounded(y)}" font-size="${size}"${extra}>${escaped(words)}</text>`;
}

/** As XML takes it: five signs have a meaning there, and some cannot be written at all. */
function escaped(words: string): string {
  const meanings: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };
  return words
    .toWellFormed()
    .replace(/[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, "\uFFFD")
    .replace(/[&<>"']/g, (sign) => meanings[sign] ?? sign);
}

const rounded = (value: number): string => String(Math.round(value * 100) / 100);
const hex = (colour: Colour): string =>
  `#${colour.map((value) => Math.round(value).toString(16).padStart(2, "0")).join("")}`;
