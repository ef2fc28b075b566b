/** What a handler finds beside the request. */
import type { Context as HonoContext } from "hono";
import type { Context } from "../generation/context.ts";
import type { Links } from "../images/links.ts";

/** The server's parts, put together by `serve.ts`. */
export interface Server extends Context {
  links: Links;
  version: string;
  /** Set once the program has begun to stop: what runs is finished, nothing new is begun. */
  isDraining(): boolean;
  /** Tells whether rows and pictures can be written. @throws with the reason */
  checkReady(): Promise<void>;
}

/** Fields of the request's one log line. Never a prompt, a secret or a query string. */
export interface LogFields {
  key?: string;
  generation?: string;
  model?: string;
  provider?: string;
  cost?: string;
  code?: string;
}

export interface Env {
  Bindings: {
    /** Lifts the runtime's idle limit for this request: a generation may take minutes. */
    keepOpen(request: Request): void;
    /** The client's address as the connection has it: behind a reverse proxy, the proxy's. Null when it has gone. */
    address(): string | null;
  };
  Variables: { requestId: string; log: LogFields };
}

export type HttpContext = HonoContext<Env>;
