/**
 * The sandbox's side of the wire: draws one picture a call, or behaves as badly as the prompt asks. Tokens in a prompt
 * (CONTRACT.md "Sandbox tokens") play what real upstreams do, so that people can test their own error handling.
 */
import { z } from "zod";
import { drawPicture } from "./picture.ts";

const call = z.object({
  model: z.string(),
  prompt: z.string(),
  width: z.number(),
  height: z.number(),
  format: z.enum(["png", "jpeg", "webp"]),
  seed: z.number(),
  style: z.string(),
  /** Which picture of how many this is, from 0. */
  position: z.number(),
  of: z.number(),
});

const rateLimitSeconds = 1;

/** Answers `POST /draw`. Rejects only when the caller has hung up. */
export async function answerSandboxCall(request: Request): Promise<Response> {
  const { prompt, position, of, ...picture } = call.parse(await request.json());
  const headers = {
    "x-request-id": `sandbox-${Bun.hash(JSON.stringify({ prompt, position, of, ...picture })).toString(36)}`,
  };
  const fail = (status: number, error: string, message: string, extra: Record<string, string> = {}) =>
    Response.json({ error, message }, { status, headers: { ...headers, ...extra } });

  const slow = /\[\[slow:(\d+(?:\.\d+)?)\]\]/.exec(prompt);
  if (slow !== null) await pause(Number(slow[1]) * 1000, request.signal);
  if (prompt.includes("[[timeout]]")) await pause(Number.POSITIVE_INFINITY, request.signal);
  if (prompt.includes("[[refuse]]"))
    return fail(400, "refused", "Your request was rejected by the sandbox, as the token [[refuse]] asks.");
  if (prompt.includes("[[rate_limit]]")) {
    return fail(429, "rate_limited", "Rate limit reached, as the token [[rate_limit]] asks.", {
      "retry-after": String(rateLimitSeconds),
    });
  }
  if (prompt.includes("[[error]]")) return fail(500, "failed", "the sandbox answered 500, as the token [[error]] asks");
  if (prompt.includes("[[short]]") && position === of - 1) return Response.json({ images: [] }, { headers });

  const seed = picture.seed + position;
  const label = of > 1 ? `${position + 1} of ${of}` : undefined;
  const bytes = await drawPicture({ ...picture, prompt, seed, ...(label === undefined ? {} : { label }) });
  return new Response(bytes as Uint8Array<ArrayBuffer>, {
    headers: { ...headers, "content-type": `image/${picture.format}` },
  });
}

/** Waits like a slow upstream; a caller that hangs up ends it. Longer than the timer's 24 days is for ever. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
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
