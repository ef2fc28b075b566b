/** How an answer leaves a double: whole, or as its fault has it. */
import type { ServerResponse } from "node:http";
import type { Call, Reply } from "./double.ts";
import { type Fault, isResultFault } from "./faults.ts";

/** Sends the reply, or what the fault makes of it, and notes the status and the cut in the record. */
export async function deliver(response: ServerResponse, call: Call, reply: Reply, fault: Fault | undefined) {
  const { request, signal } = call;
  const whole = (spoilt: Reply) => {
    request.status = spoilt.status;
    sendWhole(response, spoilt);
  };
  if (signal.aborted) return;
  if (!fault || isResultFault(fault)) return whole(reply);
  switch (fault.kind) {
    case "delay":
      await sleep(fault.ms, signal);
      return signal.aborted ? undefined : whole(reply);
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
      const bytes = bytesOf(reply.body);
      return whole({ ...reply, status: 200, body: bytes.subarray(0, Math.floor(bytes.length / 2)) });
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
      return whole({ ...reply, headers: { ...reply.headers, "content-type": fault.contentType } });
    case "oversized":
      request.status = 200;
      return fillUp(response, reply, fault.bytes, fault.declared ?? false, signal);
  }
}

const BAD_GATEWAY = `<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>
<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n`;

function answerAsTold(fault: Extract<Fault, { kind: "answer" }>): Reply {
  const { status, body = "", headers } = fault;
  if (typeof body === "string" || body instanceof Uint8Array) return { status, headers: { ...headers }, body };
  return { status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
}

function sendWhole(response: ServerResponse, reply: Reply): void {
  const bytes = bytesOf(reply.body);
  response.writeHead(reply.status, { ...reply.headers, "content-length": String(bytes.length) });
  response.end(bytes);
}

async function sendHalf(response: ServerResponse, reply: Reply): Promise<void> {
  const bytes = bytesOf(reply.body);
  response.writeHead(reply.status, { ...reply.headers, "content-length": String(bytes.length) });
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
  // JSON that never gets as far as its closing quote; or a picture that goes on after its end.
  let piece = bytesOf(isJson ? '{"created":1,"data":[{"b64_json":"' : reply.body).subarray(0, total);
  const filler = new Uint8Array(FILLER_BYTES).fill(isJson ? 0x41 : 0);
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

function bytesOf(body: string | Uint8Array): Uint8Array {
  return typeof body === "string" ? new TextEncoder().encode(body) : body;
}
