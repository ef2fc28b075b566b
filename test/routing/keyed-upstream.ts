/** An upstream in OpenAI's protocol with several credentials, each with answers of its own, that notes when calls came. */
import { picture } from "../doubles/picture.ts";

export interface Answer {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

export interface KeyedCall {
  key: string;
  /** By performance.now(). */
  atMs: number;
}

const pictureBase64 = Buffer.from(picture({ width: 1024, height: 1024, type: "png", seed: 7 })).toString("base64");
const words = {
  429: { message: "Rate limit reached", type: "requests", code: "rate_limit_exceeded" },
  402: { message: "You exceeded your current quota", type: "insufficient_quota", code: "insufficient_quota" },
  401: { message: "Incorrect API key provided", type: "invalid_request_error", code: "invalid_api_key" },
  500: { message: "The server had an error", type: "server_error", code: null },
} as const;

/** OpenAI's own errors (§2.6); out of quota is 429 there. */
export function failure(status: keyof typeof words, headers: Record<string, string> = {}): Answer {
  return { status: status === 402 ? 429 : status, body: { error: { param: null, ...words[status] } }, headers };
}

export function startKeyedUpstream() {
  const calls: KeyedCall[] = [];
  const scripts = new Map<string, Answer[]>();
  const standing = new Map<string, Answer>();
  const held = new Map<string, PromiseWithResolvers<void>>();
  const keyOf = (request: Request) => request.headers.get("authorization")?.replace("Bearer ", "") ?? "";
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const key = keyOf(request);
      const { n = 1 } = (await request.json()) as { n?: number };
      calls.push({ key, atMs: performance.now() });
      await held.get(key)?.promise;
      const told = scripts.get(key)?.shift() ?? standing.get(key);
      if (told !== undefined) return Response.json(told.body, { status: told.status, headers: told.headers ?? {} });
      return Response.json({ created: 1, data: Array.from({ length: n }, () => ({ b64_json: pictureBase64 })) });
    },
  });
  return {
    url: `${server.url.origin}/v1`,
    calls,
    keys: () => calls.map(({ key }) => key),
    /** The next answers to a key; then it works. */
    next: (key: string, ...answers: Answer[]) => void scripts.set(key, [...(scripts.get(key) ?? []), ...answers]),
    always: (key: string, answer: Answer) => void standing.set(key, answer),
    clear: (key: string) => void standing.delete(key),
    /** Calls of this key are not answered until the returned function is called. */
    hold(key: string): () => void {
      const gate = Promise.withResolvers<void>();
      held.set(key, gate);
      return () => {
        held.delete(key);
        gate.resolve();
      };
    },
    async arrived(count: number): Promise<void> {
      while (calls.length < count) await Bun.sleep(5);
    },
    stop: () => server.stop(true),
  };
}

export type KeyedUpstream = ReturnType<typeof startKeyedUpstream>;
