/** A finished generation as the client asked to see it: links, base64, or the picture itself. */
import { PublicError } from "../errors.ts";
import type { FinishedGeneration, FinishedImage } from "../generation/finished.ts";
import { expirySeconds } from "../generation/settle.ts";
import { fileName, pictureHeaders } from "../images/links.ts";
import type { ImageStore } from "../ports.ts";
import type { Server } from "./types.ts";

type Headers = Record<string, string>;

/** A multiple of three, so that pieces of base64 can be set one after another. */
const pieceBytes = 3 << 18;
/** Of a stream: hundreds of them may be open at once. */
const streamedPieceBytes = 3 << 15;

/** OpenAI's image answer with links served by us. */
export function answerWithLinks(
  server: Server,
  finished: FinishedGeneration,
  headers: Headers,
  origin: string,
): Response {
  const expires = expirySeconds(finished);
  const data = finished.images.map((image) => ({
    url: server.links.make(origin, fileName(image.id, image.contentType), expires),
    ...revisedPrompt(image),
  }));
  return Response.json({ ...frame(finished), data }, { headers });
}

/**
 * OpenAI's image answer with the pictures as base64, encoded piece by piece while the client reads.
 * @throws PublicError image_expired when bytes are gone
 */
export async function answerWithBase64(
  server: Server,
  finished: FinishedGeneration,
  headers: Headers,
): Promise<Response> {
  const pictures = await Promise.all(finished.images.map((image) => openPicture(server.images, image)));
  const { created, ...facts } = frame(finished);
  const tail = Object.entries(facts)
    .map(([name, value]) => `,${JSON.stringify(name)}:${JSON.stringify(value)}`)
    .join("");
  async function* body(): AsyncGenerator<string> {
    let lead = `{"created":${created},"data":[`;
    for (const [position, picture] of pictures.entries()) {
      const revised = JSON.stringify(revisedPrompt(finished.images[position] as FinishedImage)).slice(1, -1);
      lead += `${position === 0 ? "" : ","}{${revised === "" ? "" : `${revised},`}"b64_json":"`;
      for (let at = 0; at < picture.size; at += pieceBytes) {
        const piece = await picture.slice(at, at + pieceBytes).bytes();
        if (lead !== "") yield lead;
        yield piece.toBase64();
        lead = "";
      }
      lead += '"}';
    }
    yield `${lead}]${tail}}`;
  }
  // The runtime asks for the next piece when the client is ready for it, and ends the generator when the client leaves.
  return new Response(body(), { headers: { "content-type": "application/json", ...headers } });
}

/** The picture itself, for `Accept: image/*`. */
export async function answerWithPicture(
  server: Server,
  finished: FinishedGeneration,
  headers: Headers,
): Promise<Response> {
  const image = finished.images[0] as FinishedImage;
  return new Response(await openPicture(server.images, image), {
    headers: { ...pictureHeaders(image.contentType), ...headers },
  });
}

/** What the vendor says about the pictures: only what OpenAI's own answers have a place for (upstream-apis.md §2.4). */
function frame({ finishedAt, size, echoed, usage }: FinishedGeneration) {
  const { background, output_format, quality, safety_identifier } = echoed ?? {};
  const facts = { background, output_format, quality, safety_identifier, size, usage };
  const known = Object.entries(facts).filter(([, value]) => value !== undefined);
  return { created: Math.floor(finishedAt / 1000), ...Object.fromEntries(known) };
}

function revisedPrompt(image: FinishedImage): { revised_prompt?: string } {
  return image.revisedPrompt === undefined ? {} : { revised_prompt: image.revisedPrompt };
}

/** A picture as pieces of base64. */
export async function* base64Of(picture: Blob | Uint8Array): AsyncGenerator<string> {
  const size = picture instanceof Blob ? picture.size : picture.length;
  for (let at = 0; at < size; at += streamedPieceBytes) {
    const end = at + streamedPieceBytes;
    const piece = picture instanceof Blob ? await picture.slice(at, end).bytes() : picture.subarray(at, end);
    yield piece.toBase64();
  }
}

/** @throws PublicError image_expired when the bytes are gone */
export async function openPicture(images: ImageStore, image: FinishedImage): Promise<Blob> {
  const blob = await images.open(image.id);
  if (blob === null) throw new PublicError("image_expired", "The image has expired; its bytes are gone.");
  return blob;
}
