/** Clients that ask for pictures of every kind, hang up, come back, and remember what they were told. */
import { type Asked, ask } from "./harness.ts";

/** Numbers from a seed, so that a failing run can be played again (as far as processes and clocks allow). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One thing a client wants; its prompt is its own, so that its generations can be found again. */
export interface Order {
  name: string;
  body: Record<string, unknown>;
  /** Undefined: the client does not protect itself, and asks only once. */
  idempotencyKey: string | undefined;
  answers: Asked[];
}

export interface Load {
  orders: Order[];
  /** Starts clients that go on until `pause`. */
  run(): void;
  /** Resolves when no client asks any more. */
  pause(): Promise<void>;
}

const wishes = [
  { model: "openai/dall-e-2", size: "256x256" },
  { model: "openai/dall-e-2", size: "256x256", n: 3 },
  { model: "stability/stable-diffusion-3-large" },
  { model: "stability/stable-diffusion-3-large", n: 3 },
  { model: "black-forest-labs/flux-1-pro", size: "256x256" },
  { model: "black-forest-labs/flux-1-pro", size: "256x256", n: 2 },
  { model: "openai/dall-e-2", models: ["black-forest-labs/flux-1-pro"], size: "512x512", n: 2 },
  {
    model: "stability/stable-diffusion-3-large",
    models: ["openai/dall-e-2", "black-forest-labs/flux-1-pro"],
    size: "1024x1024",
  },
];
/** Played by the doubles: mostly nothing. */
const words = ["", "", "", "", "", "", "", "", "[[500]]", "[[moderate]]"];
const clients = 6;
const triesPerVisit = 3;

/** @param target where to ask now; it changes with every restart */
export function createLoad(random: () => number, target: () => { url: string; key: string }): Load {
  const orders: Order[] = [];
  const unfinished: Order[] = [];
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  let going = false;
  let working: Promise<unknown> = Promise.resolve();

  function newOrder(): Order {
    const name = `order-${orders.length}.`;
    const body = { ...pick(wishes), prompt: `${name} a lighthouse ${pick(words)}`, response_format: "url" };
    const order: Order = { name, body, idempotencyKey: random() < 0.75 ? name : undefined, answers: [] };
    orders.push(order);
    return order;
  }

  async function visit(order: Order): Promise<void> {
    for (let tries = 0; tries < triesPerVisit; tries += 1) {
      // A client that hangs up leaves its job running and may come back for it.
      const patience = random() < 0.25 ? AbortSignal.timeout(20 + random() * 600) : undefined;
      const answer = await askFor(order, target(), patience);
      if (answer !== null) {
        order.answers.push(answer);
        return;
      }
      if (order.idempotencyKey === undefined) return;
      if (patience?.aborted || !going) break;
      await Bun.sleep(100 + random() * 200);
    }
    unfinished.push(order);
  }

  async function client(): Promise<void> {
    while (going) {
      const again = random() < 0.4 ? unfinished.shift() : undefined;
      await visit(again ?? newOrder());
      await Bun.sleep(random() * 60);
    }
  }

  return {
    orders,
    run() {
      going = true;
      working = Promise.all(Array.from({ length: clients }, client));
    },
    async pause() {
      going = false;
      await working;
    },
  };
}

export function askFor(
  order: Order,
  { url, key }: { url: string; key: string },
  signal?: AbortSignal,
): Promise<Asked | null> {
  const headers = order.idempotencyKey === undefined ? {} : { "idempotency-key": order.idempotencyKey };
  return ask(url, key, order.body, headers, signal);
}
