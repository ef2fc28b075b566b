/** The insides of the pictures that come with an edit: what the image service behind the front finds (§2.6). */
import { refuse } from "./openai-checks.ts";
import type { InputFile } from "./openai-edits.ts";
import { imageUserError, type OpenAiError } from "./openai-errors.ts";

export interface Seen {
  width: number;
  height: number;
}

/** Decodes whatever came as bytes. Gives the images' sizes, undefined for addresses and file ids. */
export async function lookAt(inputs: readonly InputFile[]): Promise<(Seen | undefined)[]> {
  const images = inputs.filter(({ field }) => field === "image");
  const seen: (Seen | undefined)[] = [];
  for (const [index, { bytes }] of images.entries()) {
    const found = bytes && (await decoded(bytes));
    // Counting from 1 is [U]: the captures have 0, 1 and 3.
    if (bytes && !["png", "jpeg", "webp"].includes(found?.format ?? "")) refuse(unreadable(index + 1));
    seen.push(found);
  }
  for (const overlay of inputs.filter(({ field }) => field !== "image")) await checkOverlay(overlay, seen[0]);
  return seen;
}

/** [M] */
function unreadable(position: number): OpenAiError {
  const message = `Invalid image file or mode for image ${position}, please check your image file.`;
  return imageUserError("invalid_image_file", null, message);
}

/** §2.1: a PNG with the dimensions of the first image; the alpha channel's and the size's words are [M]. */
async function checkOverlay({ field, bytes }: InputFile, first: Seen | undefined): Promise<void> {
  if (!bytes) return;
  const bad = (why: string) => {
    const code = `invalid_${field}_image_format`; // [M] for the mask, [U] for markup
    return refuse(imageUserError(code, null, `Invalid ${field} image format - ${why}`));
  };
  const found = await decoded(bytes);
  if (found?.format !== "png") return bad(`${field} image must be a PNG`); // [U] words
  if (!hasAlpha(bytes)) return bad(`${field} image missing alpha channel`);
  if (first && (first.width !== found.width || first.height !== found.height))
    return bad(`${field} size does not match image size`);
}

/** A colour type with alpha, or a transparent palette entry. */
function hasAlpha(png: Uint8Array): boolean {
  const colourType = png[25];
  return colourType === 4 || colourType === 6 || Buffer.from(png).includes("tRNS");
}

async function decoded(bytes: Uint8Array): Promise<(Seen & { format: string }) | undefined> {
  try {
    const { width, height, format } = await new Bun.Image(bytes).metadata();
    // Metadata reads the header alone; this reads every pixel.
    await new Bun.Image(bytes).resize(1, 1).png().bytes();
    return { width, height, format };
  } catch {
    return undefined; // not a picture
  }
}
