/** The client's pictures on their way in, whichever way they come (upstream-apis.md §2.1). */
import type { GivenInputs } from "../catalogue/index.ts";
import { invalidValue, shown } from "../catalogue/wording.ts";
import { PublicError } from "../errors.ts";
import { decodeInputImage, fetchInputImage } from "../generation/inputs.ts";
import type { InputRules } from "../images/inputs.ts";
import type { InputImage } from "../providers/input.ts";
import type { Server } from "./types.ts";

export const maxPictures = 16;
const maxPictureBytes = 50 << 20;
const maxOverlayBytes = 4 << 20;

/** The places of an edit that hold a picture. */
export type PicturePlace = "image" | "mask" | "markup";

/** What belongs to a request that is refused has to be given back. */
export const picturesOf = ({ images, mask, markup }: GivenInputs): InputImage[] =>
  [...images, mask ?? [], markup ?? []].flat();

/** Several may arrive at once; their order is the client's. */
export class Arriving {
  readonly #server: Server;
  readonly #taken: Record<PicturePlace, Promise<InputImage>[]> = { image: [], mask: [], markup: [] };

  constructor(server: Server) {
    this.#server = server;
  }

  /** How many of a place there are so far. */
  count(place: PicturePlace): number {
    return this.#taken[place].length;
  }

  /** @returns its end, which `given` tells as well */
  take(place: PicturePlace, chunks: AsyncIterable<Uint8Array>): Promise<InputImage> {
    const rules = this.#rules(place);
    return this.#add(place, this.#server.inputs.take(capped(chunks, rules), rules));
  }

  /** @param url a data URL. @param param where it stands */
  takeDataUrl(place: PicturePlace, url: string, param: string): void {
    this.#add(place, decodeInputImage(this.#server.inputs, url, { ...this.#rules(place), param }));
  }

  /** @param url of https. @param param where it stands */
  takeLink(place: PicturePlace, url: string, param: string): void {
    this.#add(place, fetchInputImage(this.#server, url, { ...this.#rules(place), param }));
  }

  /**
   * All of them, once they are there.
   * @throws the first one's failure, in the client's order; nothing is left behind then
   */
  async given(field: "image" | "images"): Promise<GivenInputs> {
    const { image, mask, markup } = this.#taken;
    try {
      const images = await Promise.all(image);
      return { operation: "edit", images, mask: await mask[0], markup: await markup[0], field };
    } catch (error) {
      await this.forget();
      throw error;
    }
  }

  /** Waits for what is still arriving, and removes all. */
  async forget(): Promise<void> {
    const ended = await Promise.allSettled(Object.values(this.#taken).flat());
    await this.#server.inputs.release(ended.flatMap((one) => (one.status === "fulfilled" ? [one.value] : [])));
  }

  #rules(place: PicturePlace): InputRules {
    // Whether a model takes GIFs is the catalogue's to say.
    if (place === "image") return { name: `image ${this.count("image") + 1}`, maxBytes: maxPictureBytes, gif: true };
    return { name: `the ${place}`, maxBytes: maxOverlayBytes };
  }

  #add(place: PicturePlace, picture: Promise<InputImage>): Promise<InputImage> {
    picture.catch(() => {});
    this.#taken[place].push(picture);
    return picture;
  }
}

/** What comes in a body is judged as part of it. */
async function* capped(chunks: AsyncIterable<Uint8Array>, { name, maxBytes }: InputRules): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes)
      throw new PublicError(
        "payload_too_large",
        `The request body is too large: ${name} has more than ${maxBytes >> 20} MB.`,
      );
    yield chunk;
  }
}

/** OpenAI's recorded words; its code for it is not in our table. */
export function duplicate(name: string): PublicError {
  const field = shown(name);
  return invalidValue(
    field,
    `Duplicate parameter: '${field}'. You provided multiple values for this parameter, whereas only one is allowed. If you are trying to provide a list of values, use the array syntax instead e.g. '${field}[]=<value>'.`,
  );
}
