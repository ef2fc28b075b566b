/** Scales stored pictures down, for models whose vendor does not make them as small as asked any more. */
import { createHash } from "node:crypto";
import type { ImageStore, ImageWriter } from "../ports.ts";
import type { TakenImage } from "../providers/intake.ts";

/** High enough that nobody sees the second encoding; the runtime's default is 80. */
const quality = 92;
const pieceBytes = 256 << 10;

/**
 * The picture in the given size, stored under an id of its own in place of the given one, in the same format. A picture
 * that cannot become this one (another aspect ratio, smaller already, an animation, a drawing, bytes that cannot be
 * decoded or stored again) stays as it is: it was paid for, and its real size is told with it.
 */
export async function scaleStored(
  store: ImageStore,
  image: TakenImage,
  size: { width: number; height: number },
): Promise<TakenImage> {
  const isLarger = image.width > size.width && image.height > size.height;
  const isSameShape = image.width * size.height === image.height * size.width;
  if (!isLarger || !isSameShape) return image;
  let writer: ImageWriter | undefined;
  try {
    const stored = await store.open(image.id);
    const bytes = stored === null ? null : await encode(new Bun.Image(stored), image.contentType, size);
    if (bytes === null) return image;
    const id = scaledId(image.id, size);
    writer = await store.create(id);
    for (let at = 0; at < bytes.length; at += pieceBytes) await writer.write(bytes.subarray(at, at + pieceBytes));
    await writer.finish();
    // A file that stays behind belongs to no generation, and is swept.
    await store.delete(image.id).catch(() => {});
    return { id, bytes: bytes.length, contentType: image.contentType, ...size };
  } catch {
    await writer?.abort();
    return image;
  }
}

async function encode(
  image: Bun.Image,
  contentType: string,
  { width, height }: { width: number; height: number },
): Promise<Uint8Array | null> {
  const scaled = image.resize(width, height);
  switch (contentType) {
    case "image/png":
      return scaled.png().bytes();
    case "image/jpeg":
      return scaled.jpeg({ quality }).bytes();
    case "image/webp":
      return scaled.webp({ quality }).bytes();
    default:
      return null;
  }
}

/** Always the same, so that recovery finds the picture. Keeps the time that the id tells. */
export function scaledId(id: string, { width, height }: { width: number; height: number }): string {
  const digest = createHash("sha256").update(`${id} ${width}x${height}`).digest();
  let tail = "";
  for (const byte of digest.subarray(0, 16)) tail += "0123456789abcdefghjkmnpqrstvwxyz".charAt(byte & 31);
  return `${id.slice(0, 14)}${tail}`;
}
