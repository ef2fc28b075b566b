/**
 * Turns for work that never waits by itself, such as decoding what has arrived already: one piece between two looks at
 * everything else that goes on. Who began first goes first, so that things are finished rather than all begun.
 */
import { setImmediate } from "node:timers/promises";

interface Waiter {
  order: number;
  start(): void;
}

const waiting: Waiter[] = [];
let serving = false;
let begun = 0;

/** The place of something that begins now among all that have begun. */
export function newOrder(): number {
  begun += 1;
  return begun;
}

/** Resolves when the next piece may be worked on, without anything awaited in between. */
export function nextTurn(order: number): Promise<void> {
  return new Promise((start) => {
    const place = waiting.findIndex((other) => other.order > order);
    waiting.splice(place < 0 ? waiting.length : place, 0, { order, start });
    if (!serving) void serve();
  });
}

async function serve(): Promise<void> {
  serving = true;
  while (waiting.length > 0) {
    await setImmediate();
    waiting.shift()?.start();
  }
  serving = false;
}
