/** How an answer leaves a double: whole, or as its fault has it. */
import type { ServerResponse } from "node:http";
import type { Call, Reply, StreamEvent } from "./double.ts";
import { type Fault, isResultFault } from "./faults.ts";

/** Counts pictures that the vendor charges for. */
type Bill = (pictures: number) => void;

/** Sends the reply, or what the fault makes of it, and notes the status and the cut in the record. */
export async function deliver(
  response: ServerResponse,
  call: Call,
  reply: Reply,
  fault: Fault | undefined,
  bill: Bill = () => {},
) {
  const { request, signal } = call;
  const whole = (spoilt: Reply) => {
    request.status = spoilt.status;
    if (spoilt.usage) request.usage = spoilt.usage;
    sendWhole(response, spoilt);
  };
  const right = async (answer: Reply): Promise<void> => {
    if (!answer.events) return whole(answer);
    await sendEvents(response, call, answer, answer.events, bill);
    if (!signal.aborted) response.end();
  };
  if (fault && endsStream(fault)) return spoilStream(response, call, reply, fault, bill);
  // A client that has left does not stop the work; and what does not leave as events is charged for as a whole.
  const asEvents = !fault || isResultFault(fault) || fault.kind === "delay" || fault.kind === "contentType";
  if (signal.aborted || !asEvents) billRest(reply, 0, bill);
  if (signal.aborted) return;
  if (!fault || isResultFault(fault)) return right(reply);
  switch (fault.kind) {
    case "delay":
      await sleep(fault.ms, signal);
      if (!signal.aborted) return right(reply);
      return billRest(reply, 0, bill);
    case "hang":
      return sleep(Number.POSITIVE_INFINITY, signal);
    case "cut":
      request.outcome = "cut";
      response.socket?.destroy();
      return;
    case "truncate":
      request.status = reply.status;
      request.outcome = "cut";
      return sendHalf(response, reply);
    case "malformed": {
      const bytes = bodyOf(reply);
      const { status: _, usage: __, events: ___, ...rest } = reply;
      return whole({ ...rest, status: 200, body: bytes.subarray(0, Math.floor(bytes.length / 2)) });
    }
    case "answer":
      return whole(answerAsTold(fault));
    case "htmlBadGateway":
      return whole({ status: 502, headers: { "content-type": "text/html; charset=utf-8" }, body: BAD_GATEWAY });
    case "redirect":
      return whole({ status: fault.status ?? 302, headers: { location: fault.to }, body: "" });
    case "text": {
      const headers = { "content-type": fault.contentType ?? "text/plain; charset=utf-8" };
      return whole({ status: 200, headers, body: fault.body ?? "This is not what you asked for." });
    }
    case "contentType":
      return right({ ...reply, headers: { ...reply.headers, "content-type": fault.contentType } });
    case "oversized":
      request.status = 200;
      return fillUp(response, reply, fault.bytes, fault.declared ?? false, signal);
  }
}

const CUT_PAUSE_MS = 30;

type StreamFault =
  | Extract<Fault, { kind: "errorEvent" }>
  | (Extract<Fault, { kind: "hang" | "cut" }> & { afterEvents: number });

function endsStream(fault: Fault): fault is StreamFault {
  if (fault.kind === "errorEvent") return true;
  return (fault.kind === "hang" || fault.kind === "cut") && fault.afterEvents !== undefined;
}

async function spoilStream(response: ServerResponse, call: Call, reply: Reply, fault: StreamFault, bill: Bill) {
  const { request, signal } = call;
  if (!reply.events) throw new Error(`fault ${fault.kind} with events told for an answer that is no event stream`);
  const count = Math.min(fault.afterEvents ?? 0, reply.events.length);
  await sendEvents(response, call, reply, reply.events.slice(0, count), bill);
  if (fault.billed ?? fault.kind !== "errorEvent") billRest(reply, count, bill);
  if (signal.aborted) return;
  if (fault.kind === "hang") return sleep(Number.POSITIVE_INFINITY, signal);
  if (fault.kind === "cut") {
    // Bun's fetch throws away what its reader has not yet taken when the connection breaks: let the events get there.
    if (count > 0) await sleep(CUT_PAUSE_MS, signal);
    request.outcome = "cut";
    response.socket?.destroy();
    return;
  }
  await written(response, eventText(fault.event ?? "error", fault.data), signal);
  if (!signal.aborted) response.end();
}

/** A server-sent event with a name (§2.5 of upstream-apis.md). */
export function eventText(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** Headers at once, then event by event. The client that leaves gets no more, and is charged for all of them. */
async function sendEvents(
  response: ServerResponse,
  { request, signal }: Call,
  reply: Reply,
  events: readonly StreamEvent[],
  bill: Bill,
): Promise<void> {
  request.status = reply.status;
  response.writeHead(reply.status, { ...reply.headers });
  response.flushHeaders();
  for (const [index, event] of events.entries()) {
    await sleep(reply.pauseMs ?? 0, signal);
    if (signal.aborted) return billRest({ events }, index, bill);
    // Before the bytes leave: who has read the event finds it charged and recorded.
    bill(event.billed ?? 0);
    if (event.usage) request.usage = event.usage;
    await written(response, event.text, signal);
  }
}

function billRest(reply: Pick<Reply, "events">, from: number, bill: Bill): void {
  for (const event of reply.events?.slice(from) ?? []) bill(event.billed ?? 0);
}

/** Resolves when the bytes were handed to the socket, or the client has left. */
async function written(response: ServerResponse, text: string | Uint8Array, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = () => resolve();
  signal.addEventListener("abort", done, { once: true });
  response.write(text, done);
  await promise;
  signal.removeEventListener("abort", done);
}

const BAD_GATEWAY = `<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>
<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n`;

function answerAsTold(fault: Extract<Fault, { kind: "answer" }>): Reply {
  const { status, body = "", headers } = fault;
  if (typeof body === "string" || body instanceof Uint8Array) return { status, headers: { ...headers }, body };
  return { status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
}

function sendWhole(response: ServerResponse, reply: Reply): void {
  const bytes = bodyOf(reply);
  response.writeHead(reply.status, { ...reply.headers, "content-length": String(bytes.length) });
  response.end(bytes);
}

async function sendHalf(response: ServerResponse, reply: Reply): Promise<void> {
  const bytes = bodyOf(reply);
  const length = reply.events ? {} : { "content-length": String(bytes.length) };
  response.writeHead(reply.status, { ...reply.headers, ...length });
  // The write's callback says that the bytes were handed to the socket: only then may it be closed.
  await new Promise<void>((resolve) => {
    response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => resolve());
  });
  response.socket?.destroy();
}

const FILLER_BYTES = 65_536;

/** Streams the reply's beginning and then filler, exactly `total` bytes, as fast as the client takes them. */
async function fillUp(response: ServerResponse, reply: Reply, total: number, declared: boolean, signal: AbortSignal) {
  const isJson = reply.headers?.["content-type"]?.startsWith("application/json") ?? false;
  // JSON, or an event, that never gets as far as its closing quote; or a picture that goes on after its end.
  const start = reply.events ? 'data: {"b64_json":"' : isJson ? '{"created":1,"data":[{"b64_json":"' : reply.body;
  let piece = bytesOf(start).subarray(0, total);
  const filler = new Uint8Array(FILLER_BYTES).fill(isJson || reply.events ? 0x41 : 0);
  response.writeHead(200, { ...reply.headers, ...(declared ? { "content-length": String(total) } : {}) });
  let left = total;
  while (left > 0 && !signal.aborted) {
    left -= piece.length;
    if (!response.write(piece)) await drained(response, signal);
    piece = filler.subarray(0, left);
  }
  if (!signal.aborted) response.end();
}

async function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = () => resolve();
  response.once("drain", done);
  signal.addEventListener("abort", done, { once: true });
  await promise;
  response.off("drain", done);
  signal.removeEventListener("abort", done);
}

/** Waits, or stops waiting when the client leaves; never throws. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0 || signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = Number.isFinite(ms) ? setTimeout(resolve, ms) : undefined;
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}

function bodyOf(reply: Reply): Uint8Array {
  return bytesOf(reply.events ? reply.events.map(({ text }) => text).join("") : reply.body);
}

function bytesOf(body: string | Uint8Array): Uint8Array {
  return typeof body === "string" ? new TextEncoder().encode(body) : body;
}
