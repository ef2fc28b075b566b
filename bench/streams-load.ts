/**
 * The clients of the stream benchmark: hundreds of connections that read event streams, written on bare sockets, so that a
 * client can stop reading, and so that the reader itself costs next to nothing.
 */
import type { Socket } from "bun";
import { ready } from "./child.ts";
import { EventReading } from "./streams-reading.ts";

export type StreamsOrder =
  /** Opens so many connections and asks for a stream on each. `reads: false`: nothing is read until `resume`. */
  | { do: "open"; origin: string; key: string; count: number; reads: boolean; overMs: number }
  | { do: "resume" }
  /** Waits until every stream has had so many events, or has ended; gives up after a while. */
  | { do: "wait"; events: number; timeoutMs: number }
  /** Closes what is open, and forgets everything. */
  | { do: "close" };

export interface StreamFacts {
  mark: number;
  /** Milliseconds on this machine's clock: first bytes of the first event, and its end. */
  firstBegun: number | null;
  firstWhole: number | null;
  /** Names of all events, in order. */
  events: string[];
  bytes: number;
  /** What came in place of a stream. */
  failed: string | null;
}

interface Client {
  socket: Socket<Client> | null;
  reading: EventReading;
  mark: number;
  reads: boolean;
}

const clients: Client[] = [];
let marks = 0;

function bodyOf(mark: number): string {
  return JSON.stringify({
    model: "openai/gpt-image-2",
    prompt: `A lighthouse at dusk, mark ${mark}`,
    size: "1024x1024",
    quality: "high",
    stream: true,
    partial_images: 2,
  });
}

async function open(order: Extract<StreamsOrder, { do: "open" }>): Promise<void> {
  const { hostname, port } = new URL(order.origin);
  for (let index = 0; index < order.count; index += 1) {
    marks += 1;
    const client: Client = { socket: null, reading: new EventReading(), mark: marks, reads: order.reads };
    clients.push(client);
    const body = bodyOf(client.mark);
    const head = [
      "POST /v1/images/generations HTTP/1.1",
      `host: ${hostname}:${port}`,
      `authorization: Bearer ${order.key}`,
      "content-type: application/json",
      `content-length: ${Buffer.byteLength(body)}`,
    ];
    await Bun.connect<Client>({
      hostname,
      port: Number(port),
      data: client,
      socket: {
        open(socket) {
          client.socket = socket;
          if (!client.reads) socket.pause();
          socket.write(`${head.join("\r\n")}\r\n\r\n${body}`);
        },
        data(_, bytes) {
          client.reading.push(bytes);
        },
        close() {
          client.reading.end("closed");
        },
        error(_, error) {
          client.reading.end(error.message);
        },
      },
    });
    if (order.overMs > 0) await Bun.sleep(order.overMs / order.count);
  }
}

async function wait({ events, timeoutMs }: Extract<StreamsOrder, { do: "wait" }>): Promise<void> {
  const until = performance.now() + timeoutMs;
  const isOpen = ({ reading }: Client) => !reading.ended && reading.events.length < events;
  while (clients.some(isOpen) && performance.now() < until) await Bun.sleep(20);
}

function facts(): StreamFacts[] {
  return clients.map(({ mark, reading }) => {
    const { firstBegun, firstWhole, events, bytes, failed } = reading;
    return { mark, firstBegun, firstWhole, events, bytes, failed };
  });
}

process.on("message", async (order: StreamsOrder) => {
  if (order.do === "open") await open(order);
  if (order.do === "resume") for (const { socket } of clients) socket?.resume();
  if (order.do === "wait") await wait(order);
  process.send?.({ streams: facts() });
  if (order.do === "close") {
    for (const { socket } of clients) socket?.terminate();
    clients.length = 0;
  }
});
ready({});
