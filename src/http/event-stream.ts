/**
 * A generation as OpenAI's event stream (upstream-apis.md §2.5): previews as they come, then the picture; comments while
 * nothing comes, so that no proxy takes the connection for dead. There is no `[DONE]`.
 */
import { PublicError } from "../errors.ts";
import type { FinishedGeneration } from "../generation/finished.ts";
import type { StartedGeneration } from "../generation/generate.ts";
import type { Clock } from "../ports.ts";
import { openPicture } from "./answer.ts";
import { completedEvent, errorEvent, partialEvent } from "./stream-events.ts";
import type { Server } from "./types.ts";

/** The status waits this long for the first event: a failure that is quick is a proper HTTP error. */
const firstEventMs = 2_000;
const commentEveryMs = 10_000;

export interface Events {
  /** The end, good or bad, where it comes before any event and soon; null: the stream begins now. @throws PublicError */
  early: Promise<FinishedGeneration | null>;
  answer(headers: Record<string, string>): Response;
}

/** @param left aborts when the client leaves: the job goes on, its previews are forgotten */
export function beginEvents(server: Server, started: StartedGeneration, left: AbortSignal): Events {
  const { id, checked, partials, finished } = started;
  const leave = () => partials?.leave();
  if (left.aborted) leave();
  else left.addEventListener("abort", leave, { once: true });
  const previews = partials?.[Symbol.asyncIterator]();
  let next = previews?.next();
  const end = finished
    .then(async (ended) => ended.error ?? { finished: ended, picture: await openFirst(server, ended) })
    .catch((error: unknown) => publicErrorOf(server, id, error));

  async function early(): Promise<FinishedGeneration | null> {
    const waiting = new AbortController();
    const soon = server.clock.sleep(firstEventMs, waiting.signal).then(() => null);
    const preview = next?.then(({ done }) => (done === true ? finished : null));
    try {
      return await Promise.race([finished, soon, ...(preview === undefined ? [] : [preview])]);
    } finally {
      waiting.abort();
    }
  }

  async function* body(): AsyncGenerator<string> {
    const closed = server.metrics.streamOpened();
    try {
      yield `: generation ${id}\n\n`;
      while (previews !== undefined && next !== undefined) {
        const preview = yield* commentsUntil(server.clock, next, left);
        if (preview === null) return;
        if (preview.done === true) break;
        yield* partialEvent(checked, preview.value, server.clock.now());
        next = previews.next();
      }
      const ended = yield* commentsUntil(server.clock, end, left);
      if (ended instanceof PublicError) yield errorEvent(ended);
      else if (ended !== null) yield* completedEvent(checked, ended.finished, ended.picture);
    } finally {
      leave();
      closed();
    }
  }

  return {
    early: early(),
    // The runtime asks for the next piece when the client is ready for it, and ends the generator when the client leaves.
    answer: (headers) =>
      new Response(body(), {
        headers: {
          "content-type": "text/event-stream; charset=utf-8",
          "cache-control": "no-cache",
          // nginx would keep the events back until there are enough of them.
          "x-accel-buffering": "no",
          ...headers,
        },
      }),
  };
}

/** The one picture of a stream. @throws PublicError image_expired when its bytes are gone */
function openFirst(server: Server, { images: [image] }: FinishedGeneration): Promise<Blob> {
  if (image === undefined) throw new Error("a generation without an error has no picture");
  return openPicture(server.images, image);
}

/** @returns what was awaited, with comments on the way; null when the client left first */
async function* commentsUntil<T>(
  clock: Clock,
  awaited: Promise<T>,
  left: AbortSignal,
): AsyncGenerator<string, T | null> {
  const quiet = Symbol("quiet");
  for (;;) {
    if (left.aborted) return null;
    const over = new AbortController();
    const leave = () => over.abort();
    left.addEventListener("abort", leave, { once: true });
    const pause = clock.sleep(commentEveryMs, over.signal).then(() => quiet);
    try {
      const first = await Promise.race([awaited, pause]);
      if (first !== quiet) return first as T;
    } finally {
      over.abort();
      left.removeEventListener("abort", leave);
    }
    if (!left.aborted) yield ": still running\n\n";
  }
}

function publicErrorOf(server: Server, generation: string, error: unknown): PublicError {
  if (error instanceof PublicError) return error;
  server.logger.error({ generation, err: error }, "unexpected error in an event stream");
  return new PublicError("internal_error", "The router failed while it handled this request.");
}
