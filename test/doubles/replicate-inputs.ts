/** Pictures in a prediction's input: an https link or a data URL of at most 256 kB (upstream-apis.md §4.1 "Files"). */
import type { ReplicateModel } from "./replicate-schemas.ts";
import { dataUrl, type InputImage, imageOfBytes } from "./selfhosted-inputs.ts";

/** Of the file itself. Whether a kB is 1000 bytes there is [U]; a router within 1000 is on the safe side. */
export const DATA_URL_BYTES = 256_000;

export interface PredictionImage extends InputImage {
  model: string;
}

/** Why this is no picture Replicate would take, in gojsonschema's words where it has some [U]. */
export function defectOfImage(value: unknown): string | undefined {
  const text = String(value);
  if (/^https:\/\/[^/]/i.test(text) && URL.canParse(text)) return undefined;
  if (!text.startsWith("data:")) return "Does not match format 'uri'";
  const file = dataUrl(text);
  if (!file) return "Does not match format 'uri'";
  return file.bytes.length > DATA_URL_BYTES ? "Data URL is larger than 256kb" : undefined;
}

/** The pictures of a checked input, in the schema's order of fields. Links are kept and not followed. */
export async function imagesOfInput(model: ReplicateModel, input: Record<string, unknown>): Promise<PredictionImage[]> {
  const images: PredictionImage[] = [];
  for (const [name, rule] of Object.entries(model.input)) {
    if (rule.type !== "image" && rule.type !== "images") continue;
    for (const [index, value] of [input[name] ?? []].flat().entries()) {
      const field = rule.type === "images" ? `${name}.${index}` : name;
      const file = dataUrl(String(value));
      const image = file ? await imageOfBytes(field, file.bytes, file.contentType) : { field, url: String(value) };
      images.push({ ...image, model: model.id });
    }
  }
  return images;
}
