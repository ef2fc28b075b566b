/** Previews of a running generation, on their way from the provider to the client that streams it. Nothing is stored. */
import type { PartialImage } from "../providers/transport.ts";

export interface Partials extends AsyncIterable<PartialImage> {
  push(partial: PartialImage): void;
  /** No more previews will come. */
  end(): void;
  /** Nobody watches any more: what is waiting is forgotten, what still comes is not kept. */
  leave(): void;
}

/** For one reader. A provider sends three previews at most, so what waits for a slow client is small. */
export function createPartials(): Partials {
  const waiting: PartialImage[] = [];
  let ended = false;
  let left = false;
  let wake = () => {};
  const changed = () => new Promise<void>((resolve) => (wake = resolve));
  return {
    push(partial) {
      if (ended || left) return;
      waiting.push(partial);
      wake();
    },
    end() {
      ended = true;
      wake();
    },
    leave() {
      left = true;
      waiting.length = 0;
      wake();
    },
    async *[Symbol.asyncIterator]() {
      while (!left) {
        const partial = waiting.shift();
        if (partial !== undefined) yield partial;
        else if (ended) return;
        else await changed();
      }
    },
  };
}
