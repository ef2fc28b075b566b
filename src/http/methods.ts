/** Registers a path with its methods; every other method is answered 405 with `Allow`. */
import type { Hono } from "hono";
import { PublicError } from "../errors.ts";
import type { Env, HttpContext } from "./types.ts";

type Handler = (c: HttpContext) => Response | Promise<Response>;

export function methods(
  app: Hono<Env>,
  path: string,
  handlers: Partial<Record<"GET" | "POST" | "PATCH" | "DELETE" | "OPTIONS", Handler>>,
): void {
  for (const [method, handler] of Object.entries(handlers)) app.on(method, path, handler);
  // Hono answers HEAD through GET.
  const allowed = [...Object.keys(handlers), ...("GET" in handlers ? ["HEAD"] : [])].join(", ");
  app.all(path, (c) => {
    c.header("allow", allowed);
    throw new PublicError("method_not_allowed", `${c.req.method} is not allowed here. Allowed: ${allowed}.`);
  });
}
