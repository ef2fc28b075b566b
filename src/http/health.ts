/** Liveness and readiness, open to everybody. */
import type { Hono } from "hono";
import { methods } from "./methods.ts";
import type { Env, Server } from "./types.ts";

export function addHealth(app: Hono<Env>, server: Server): void {
  methods(app, "/healthz", { GET: (c) => c.json({ status: "ok", version: server.version }) });
  methods(app, "/readyz", {
    GET: async (c) => {
      if (server.isDraining()) return c.json({ status: "draining" }, 503);
      try {
        await server.checkReady();
        return c.json({ status: "ready" });
      } catch (error) {
        server.logger.error({ err: error }, "not ready");
        return c.json({ status: "not ready" }, 503);
      }
    },
  });
}
