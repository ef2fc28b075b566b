/** Takes one delivered picture in: bytes go to the store while they arrive, type, size and dimensions are checked. */
import type { ImageStore, ImageWriter } from "../ports.ts";
import { type ImageIntake, ImageIntakeError, ImageStoreError, type TakenImage } from "../providers/intake.ts";
import { maxHeadBytes, PictureHead } from "./head.ts";
import { inspect, type PictureFacts } from "./inspect.ts";

/**
 * @param id the picture's id, `img-…`
 * @param maxBytes a larger picture is refused
 */
export function takeImage(store: ImageStore, id: string, maxBytes: number): ImageIntake {
  let writer: ImageWriter | undefined;
  const head = new PictureHead();
  let facts: PictureFacts | undefined;
  let bytes = 0;

  return {
    async write(chunk) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw new ImageIntakeError(`the delivered picture is larger than ${maxBytes} bytes`);
      if (facts === undefined) {
        const found = head.add(chunk);
        if (found === null)
          throw new ImageIntakeError("the delivered bytes are not a PNG, JPEG, WebP, GIF or SVG picture");
        if (found !== "more") facts = found;
      }
      try {
        writer ??= await store.create(id);
        await writer.write(chunk);
      } catch (error) {
        throw new ImageStoreError("the picture could not be stored", { cause: error });
      }
    },
    async finish(): Promise<TakenImage> {
      facts ??= head.end() ?? undefined;
      if (facts === undefined || writer === undefined) {
        await writer?.abort();
        throw new ImageIntakeError("the delivered bytes are not a complete picture");
      }
      try {
        await writer.finish();
      } catch (error) {
        throw new ImageStoreError("the picture could not be stored", { cause: error });
      }
      return { id, bytes, ...facts };
    },
    async abort() {
      await writer?.abort();
    },
  };
}

/** The facts of a picture that is stored already; null when there is none under this id. */
export async function inspectStored(store: ImageStore, id: string): Promise<TakenImage | null> {
  const stored = await store.open(id);
  if (stored === null) return null;
  const facts = inspect(await stored.slice(0, maxHeadBytes).bytes());
  return facts === null || facts === "more" ? null : { id, bytes: stored.size, ...facts };
}
