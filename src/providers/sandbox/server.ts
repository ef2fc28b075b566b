/**
 * The sandbox's side of the wire: draws one picture a call, or behaves as badly as the prompt asks. Tokens in a prompt
 * (CONTRACT.md "Sandbox tokens") play what real upstreams do, so that people can test their own error handling.
 */
import { z } from "zod";
import { drawPicture, drawPreviews, type PictureRequest } from "./picture.ts";

const call = z.object({
  operation: z.enum(["generate", "edit"]),
  model: z.string(),
  prompt: z.string(),
  width: z.number(),
  height: z.number(),
  format: z.enum(["png", "jpeg", "webp", "gif", "svg"]),
  /** Of a GIF; left out, what the vendor of GIFs makes (upstream-apis.md §2.2). */
  frame_count: z.number().default(9),
  frame_duration_ms: z.number().default(200),
  seed: z.number(),
  style: z.string(),
  /** SHA-256 of the pictures that are edited. */
  inputs: z.array(z.string()).optional(),
  /** Which picture of how many this is, from 0. */
  position: z.number(),
  of: z.number(),
  /** Asks for an event stream. */
  stream: z.object({ partial_images: z.number() }).optional(),
});
type Call = z.output<typeof call>;

const rateLimitSeconds = 1;
/** A multiple of three, so that pieces of base64 can be set one after another. */
const pieceBytes = 3 << 16;

/** Answers `POST /draw`. Rejects only when the caller has hung up; so does the body of an event stream. */
export async function answerSandboxCall(request: Request): Promise<Response> {
  const asked = call.parse(await request.json());
  const { prompt, stream } = asked;
  const headers = { "x-request-id": `sandbox-${Bun.hash(JSON.stringify(asked)).toString(36)}` };
  const failure = failureIn(prompt);
  // What fails in the middle of the work fails after the first preview, where there is one.
  const previews = asked.format === "svg" ? 0 : (stream?.partial_images ?? 0);
  const playable = failure === null || (failure.body.error === "failed" && previews > 0);
  if (stream !== undefined && playable) {
    const events = play(asked, previews, failure?.body ?? null, request.signal);
    return new Response(events, { headers: { ...headers, "content-type": "text/event-stream" } });
  }
  await pause(slownessMs(prompt), request.signal);
  if (prompt.includes("[[timeout]]")) await pause(Number.POSITIVE_INFINITY, request.signal);
  if (failure !== null) {
    return Response.json(failure.body, { status: failure.status, headers: { ...headers, ...failure.headers } });
  }
  if (isLeftOut(asked)) return Response.json({ images: [] }, { headers });
  const bytes = await drawPicture(pictureOf(asked));
  const contentType = asked.format === "svg" ? "image/svg+xml" : `image/${asked.format}`;
  return new Response(bytes as Uint8Array<ArrayBuffer>, { headers: { ...headers, "content-type": contentType } });
}

interface PlayedFailure {
  status: number;
  body: { error: "refused" | "rate_limited" | "failed"; message: string };
  headers: Record<string, string>;
}

function failureIn(prompt: string): PlayedFailure | null {
  const fail = (
    status: number,
    error: PlayedFailure["body"]["error"],
    message: string,
    headers = {},
  ): PlayedFailure => ({
    status,
    body: { error, message },
    headers,
  });
  if (prompt.includes("[[refuse]]"))
    return fail(400, "refused", "Your request was rejected by the sandbox, as the token [[refuse]] asks.");
  if (prompt.includes("[[rate_limit]]")) {
    const message = "Rate limit reached, as the token [[rate_limit]] asks.";
    return fail(429, "rate_limited", message, { "retry-after": String(rateLimitSeconds) });
  }
  if (prompt.includes("[[error]]")) return fail(500, "failed", "the sandbox answered 500, as the token [[error]] asks");
  return null;
}

function slownessMs(prompt: string): number {
  return Number(/\[\[slow:(\d+(?:\.\d+)?)\]\]/.exec(prompt)?.[1] ?? 0) * 1000;
}

const isLeftOut = ({ prompt, position, of }: Call): boolean => prompt.includes("[[short]]") && position === of - 1;

function pictureOf({ stream: _stream, position, of, operation, inputs, ...picture }: Call): PictureRequest {
  const notes = [...(operation === "edit" ? ["edit"] : []), ...(of > 1 ? [`${position + 1} of ${of}`] : [])];
  return {
    ...picture,
    seed: picture.seed + position,
    ...(notes.length === 0 ? {} : { label: notes.join(" · ") }),
    ...(inputs === undefined ? {} : { inputs }),
  };
}

/** The picture's way in events: previews from coarse to fine, then the whole. Slowness is spread over the way. */
async function* play(
  asked: Call,
  count: number,
  failure: PlayedFailure["body"] | null,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const picture = pictureOf(asked);
  const stepMs = slownessMs(asked.prompt) / (count + 1);
  const facts = { size: `${asked.width}x${asked.height}`, output_format: asked.format };
  for (const [index, bytes] of (await drawPreviews(picture, count)).entries()) {
    await pause(stepMs, signal);
    yield* event("preview", { index, ...facts }, bytes);
    if (failure !== null) return yield* event("error", failure, null);
  }
  await pause(stepMs, signal);
  if (asked.prompt.includes("[[timeout]]")) await pause(Number.POSITIVE_INFINITY, signal);
  yield* event("completed", facts, isLeftOut(asked) ? null : await drawPicture(picture));
}

/** One event, its picture as base64 in pieces. */
function* event(name: string, facts: Record<string, unknown>, picture: Uint8Array | null): Generator<string> {
  const data = JSON.stringify(facts);
  if (picture === null) return yield `event: ${name}\ndata: ${data}\n\n`;
  yield `event: ${name}\ndata: ${data.slice(0, -1)},"picture":"`;
  for (let at = 0; at < picture.length; at += pieceBytes) yield picture.subarray(at, at + pieceBytes).toBase64();
  yield '"}\n\n';
}

/** Waits like a slow upstream; a caller that hangs up ends it. Longer than the timer's 24 days is for ever. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (milliseconds === 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const hungUp = () => reject(signal.reason);
    if (signal.aborted) return hungUp();
    signal.addEventListener("abort", hungUp, { once: true });
    if (milliseconds < 2 ** 31) {
      setTimeout(() => {
        signal.removeEventListener("abort", hungUp);
        resolve();
      }, milliseconds);
    }
  });
}
