/**
 * The provider of the stream benchmark: OpenAI's events (upstream-apis.md §2.5), ready-made. It accepts any number of
 * streams and sends nothing but the head of the answer until the parent says so.
 */
import { incompressiblePng } from "../test/doubles/picture.ts";
import { ready } from "./child.ts";

export interface UpstreamOrder {
  /**
   * `count`: how many streams are open. `partial`, `final`: sends that event on every open stream, each at a moment of its own
   * within `overMs`; `final` ends them.
   */
  send: "count" | "partial" | "final";
  overMs?: number;
}

export interface UpstreamAnswer {
  /** Streams that were open when the order came. */
  open: number;
  /** When each stream's first event was sent: milliseconds on this machine's clock, by the client's mark. */
  sentAt: Record<string, number>;
}

const previewBytes = 1_500_000;
const finalBytes = 2_000_000;

const facts = {
  created_at: 1_780_000_000,
  size: "1024x1024",
  quality: "high",
  background: "opaque",
  output_format: "png",
};
const usage = {
  total_tokens: 1_800,
  input_tokens: 20,
  output_tokens: 1_780,
  input_tokens_details: { text_tokens: 20, image_tokens: 0 },
};

function event(name: string, bytes: number, more: object): Buffer {
  const type = `image_generation.${name}`;
  const b64_json = Buffer.from(incompressiblePng(bytes)).toString("base64");
  return Buffer.from(`event: ${type}\ndata: ${JSON.stringify({ type, b64_json, ...facts, ...more })}\n\n`);
}

const partials = [0, 1].map((index) => event("partial_image", previewBytes, { partial_image_index: index }));
const completed = event("completed", finalBytes, { usage });

interface Stream {
  controller: ReadableStreamDefaultController<Uint8Array>;
  /** The client's mark, from its prompt, by which it finds out when its event was sent. */
  mark: string;
  sent: number;
}

const open = new Set<Stream>();

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0,
  async fetch(request): Promise<Response> {
    const mark = /mark (\d+)/.exec(await request.text())?.[1] ?? "";
    let stream: Stream | undefined;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        stream = { controller, mark, sent: 0 };
        open.add(stream);
        // The head of the answer goes out with the first bytes.
        controller.enqueue(Buffer.from(": accepted\n\n"));
      },
      cancel() {
        if (stream !== undefined) open.delete(stream);
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  },
});

const sentAt: UpstreamAnswer["sentAt"] = {};

function sendOn(stream: Stream, what: "partial" | "final"): void {
  if (!open.has(stream)) return;
  if (stream.sent === 0) sentAt[stream.mark] = performance.timeOrigin + performance.now();
  stream.sent += 1;
  if (what === "partial") {
    stream.controller.enqueue(partials[(stream.sent - 1) % partials.length] as Buffer);
    return;
  }
  open.delete(stream);
  stream.controller.enqueue(completed);
  stream.controller.close();
}

process.on("message", ({ send, overMs = 0 }: UpstreamOrder) => {
  const streams = [...open];
  if (send !== "count") {
    for (const [index, stream] of streams.entries()) {
      setTimeout(() => sendOn(stream, send), (overMs * index) / streams.length);
    }
  }
  process.send?.({ open: streams.length, sentAt });
});
ready({ origin: server.url.origin, eventBytes: [...partials, completed].map(({ length }) => length) });
