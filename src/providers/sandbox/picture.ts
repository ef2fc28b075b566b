import { setImmediate } from "node:timers/promises";
import { type Canvas, newCanvas } from "./canvas.ts";
import { paintCaption } from "./caption.ts";
import { paintCity } from "./city.ts";
import { coarsen } from "./coarsen.ts";
import { encodePicture, type RasterFormat } from "./encode.ts";
import { loadTypefaces } from "./fonts.ts";
import { encodeGif } from "./gif.ts";
import { landLayers, paintLayers } from "./land.ts";
import { paintLife } from "./life.ts";
import { paintPlanet } from "./planet.ts";
import { randomFrom } from "./random.ts";
import { composeScene, type Scene } from "./scene.ts";
import { paintSky } from "./sky.ts";
import { drawSvg } from "./svg.ts";
import { paintWater } from "./water.ts";

export type PictureRequest = {
  prompt: string;
  model: string;
  /** In pixels, 1 to 16,384; made for 64 to 4,096. */
  width: number;
  height: number;
  format: RasterFormat | "gif" | "svg";
  seed: number;
  /** "vivid" and "natural" change the colours; any other value only makes a different picture. */
  style?: string;
  /** A short note in the upper right corner, such as "2 of 4"; left out where it does not fit. */
  label?: string;
  /** Hashes of the pictures that are edited: others make another picture. */
  inputs?: readonly string[];
  /** Of a GIF. */
  frame_count?: number;
  frame_duration_ms?: number;
};

/** Larger pictures take a while: they are drawn step by step, and one after another. */
const largePixels = 2_500_000;

/**
 * Draws the sandbox picture. Pure: same request, same bytes.
 *
 * A landscape that depends on prompt, model, seed, style, label and inputs, not on size and format: the same scene in every
 * shape. The caption says what it is, so that nobody takes it for a model's work.
 */
export async function drawPicture(request: PictureRequest): Promise<Uint8Array> {
  const { format, label } = request;
  if (format === "svg") return new TextEncoder().encode(drawSvg(request, sceneOf(request)));
  return inTurn(request, async () => {
    const canvas = await drawScene(request);
    await finish(canvas, request, label);
    if (format !== "gif") return encodePicture(canvas, format);
    return encodeGif(canvas, { frames: request.frame_count ?? 1, frameMs: request.frame_duration_ms ?? 200 });
  });
}

/**
 * The same picture on its way, from coarse to fine, each as a whole file in the picture's size and format. What costs is the
 * scene, which is drawn once for all of them. None of an SVG, whose few kilobytes have no way to go.
 */
export async function drawPreviews(request: PictureRequest, count: number): Promise<Uint8Array[]> {
  const { format } = request;
  if (format === "svg" || count === 0) return [];
  return inTurn(request, async () => {
    const scene = await drawScene(request);
    const previews: Uint8Array[] = [];
    for (let index = 0; index < count; index++) {
      const canvas = coarsen(scene, 2 ** (count - index + 2));
      await finish(canvas, request, `preview ${index + 1} of ${count}`);
      previews.push(
        format === "gif" ? encodeGif(canvas, { frames: 1, frameMs: 0 }) : await encodePicture(canvas, format),
      );
    }
    return previews;
  });
}

function sceneOf({ prompt, model, width, height, seed, style, label, inputs }: PictureRequest): Scene {
  if (!isSide(width) || !isSide(height)) throw new RangeError(`not a picture size: ${width} x ${height}`);
  const facts = [prompt, model, seed, style, label, ...(inputs === undefined ? [] : [inputs])];
  return composeScene(randomFrom(JSON.stringify(facts)), prompt, style, width, height);
}

async function drawScene(request: PictureRequest): Promise<Canvas> {
  const scene = sceneOf(request);
  const canvas = newCanvas(request.width, request.height);
  const glow = paintSky(canvas, scene);
  await breathe(request);
  if (scene.subject === "space") paintPlanet(canvas, scene);
  if (scene.subject === "city") paintCity(canvas, scene, glow);
  else paintLayers(canvas, landLayers(canvas, scene), scene.waterline ?? request.height, glow);
  paintLife(canvas, scene);
  await breathe(request);
  if (scene.waterline !== undefined) paintWater(canvas, scene, scene.waterline);
  await breathe(request);
  return canvas;
}

async function finish(canvas: Canvas, request: PictureRequest, label: string | undefined): Promise<void> {
  const { prompt, model } = request;
  const { palette } = sceneOf(request);
  paintCaption(canvas, { prompt, model, label }, await loadTypefaces(), palette.ground);
  await breathe(request);
}

const isLarge = ({ width, height }: PictureRequest): boolean => width * height > largePixels;

/** Lets other requests in between the steps of a large picture. */
const breathe = (request: PictureRequest) => (isLarge(request) ? setImmediate() : undefined);

let lastLarge: Promise<unknown> = Promise.resolve();

/** Large pictures one at a time: side by side they would not be ready sooner, and each takes 25 MB and more while it is drawn. */
function inTurn<T>(request: PictureRequest, draw: () => Promise<T>): Promise<T> {
  if (!isLarge(request)) return draw();
  const turn = lastLarge.then(draw);
  lastLarge = turn.catch(() => {});
  return turn;
}

function isSide(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 16_384;
}
