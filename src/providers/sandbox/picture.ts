import { setImmediate } from "node:timers/promises";
import { newCanvas } from "./canvas.ts";
import { paintCaption } from "./caption.ts";
import { paintCity } from "./city.ts";
import { encodePicture, type PictureFormat } from "./encode.ts";
import { loadTypefaces } from "./fonts.ts";
import { landLayers, paintLayers } from "./land.ts";
import { paintLife } from "./life.ts";
import { paintPlanet } from "./planet.ts";
import { randomFrom } from "./random.ts";
import { composeScene } from "./scene.ts";
import { paintSky } from "./sky.ts";
import { paintWater } from "./water.ts";

export type PictureRequest = {
  prompt: string;
  model: string;
  /** In pixels, 1 to 16,384; made for 64 to 4,096. */
  width: number;
  height: number;
  format: PictureFormat;
  seed: number;
  /** "vivid" and "natural" change the colours; any other value only makes a different picture. */
  style?: string;
  /** A short note in the upper right corner, such as "2 of 4"; left out where it does not fit. */
  label?: string;
};

/**
 * Draws the sandbox picture. Pure: same request, same bytes.
 *
 * A landscape that depends on prompt, model, seed, style and label, not on size and format: the same scene in every shape.
 * The caption says what it is, so that nobody takes it for a model's work.
 */
export async function drawPicture(request: PictureRequest): Promise<Uint8Array> {
  const { prompt, model, width, height, format, seed, style, label } = request;
  if (!isSide(width) || !isSide(height)) throw new RangeError(`not a picture size: ${width} x ${height}`);
  const typefaces = await loadTypefaces();
  const random = randomFrom(JSON.stringify([prompt, model, seed, style, label]));
  const scene = composeScene(random, prompt, style, width, height);
  const canvas = newCanvas(width, height);
  // Large pictures take a second: let other requests in between the steps.
  const breathe = () => (width * height > 2_500_000 ? setImmediate() : undefined);

  const glow = paintSky(canvas, scene);
  await breathe();
  if (scene.subject === "space") paintPlanet(canvas, scene);
  if (scene.subject === "city") paintCity(canvas, scene, glow);
  else paintLayers(canvas, landLayers(canvas, scene), scene.waterline ?? height, glow);
  paintLife(canvas, scene);
  await breathe();
  if (scene.waterline !== undefined) paintWater(canvas, scene, scene.waterline);
  await breathe();
  paintCaption(canvas, { prompt, model, label }, typefaces, scene.palette.ground);
  await breathe();
  return encodePicture(canvas, format);
}

function isSide(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 16_384;
}
