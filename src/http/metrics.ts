/** `GET /metrics`: open on the machine itself, elsewhere for who holds the operator's token or a management key. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Hono } from "hono";
import { methods } from "./methods.ts";
import { authenticate, requireManagement } from "./request.ts";
import type { Env, HttpContext, Server } from "./types.ts";

export function addMetrics(app: Hono<Env>, server: Server): void {
  methods(app, "/metrics", {
    GET: async (c) => {
      if (!isFromHere(server, c) && !holdsToken(server, c)) requireManagement(await authenticate(server, c));
      const { contentType, text } = await server.metrics.read();
      return c.body(text, 200, { "content-type": contentType, "cache-control": "no-store" });
    },
  });
}

/** Behind a proxy on this machine every request comes from loopback: what one has passed on says so, or asks for another host. */
const proxyHeaders = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];
const loopback = /^(127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+)$/i;
const ownNames = new Set(["localhost", "0.0.0.0", "[::]", "[::1]"]);

function isFromHere({ config }: Server, c: HttpContext): boolean {
  if (!loopback.test(c.env.address() ?? "")) return false;
  if (proxyHeaders.some((name) => c.req.header(name) !== undefined)) return false;
  // A page in somebody's browser may have its own name lead here; then the browser asks for that name.
  const { hostname } = new URL(c.req.url);
  return ownNames.has(hostname) || loopback.test(hostname) || hostname === config.host;
}

function holdsToken({ config }: Server, c: HttpContext): boolean {
  const given = /^bearer\s+(\S+)\s*$/i.exec(c.req.header("authorization") ?? "")?.[1];
  if (config.metricsToken === undefined || given === undefined) return false;
  return timingSafeEqual(digest(given), digest(config.metricsToken));
}

/** Two texts of any length take the same time to compare. */
const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
