/** The HTTP face: request ids, one log line a request, errors in OpenAI's envelope, and the groups of operations. */
import { Hono } from "hono";
import { routePath } from "hono/route";
import { PublicError } from "../errors.ts";
import { newId } from "../ids.ts";
import { addDocs } from "./docs.ts";
import { addFiles } from "./files.ts";
import { addGenerations } from "./generations.ts";
import { addHealth } from "./health.ts";
import { addKeys } from "./keys.ts";
import { addMetrics } from "./metrics.ts";
import { addModels } from "./models.ts";
import { addProviders } from "./providers.ts";
import { addQuote } from "./quote.ts";
import { addReports } from "./reports.ts";
import type { Env, HttpContext, Server } from "./types.ts";
import { addWebhooks } from "./webhooks.ts";

export function createApp(server: Server): Hono<Env> {
  const app = new Hono<Env>();
  app.use(async (c, next) => {
    const begun = server.clock.now();
    c.set("requestId", newId("req", server.clock, server.random));
    c.set("log", {});
    await next();
    c.res.headers.set("x-request-id", c.get("requestId"));
    // The path without its query: a key may be in there.
    const { method, path } = c.req;
    const ms = server.clock.now() - begun;
    const code = c.get("log").code ?? null;
    server.metrics.requestEnded({ method, route: routePath(c), status: c.res.status, code, durationMs: ms });
    server.logger.info(
      { request: c.get("requestId"), method, path, status: c.res.status, ms, ...c.get("log") },
      "request",
    );
  });
  addHealth(app, server);
  addDocs(app, server);
  addMetrics(app, server);
  addModels(app, server);
  addGenerations(app, server);
  addQuote(app, server);
  addFiles(app, server);
  addReports(app, server);
  addProviders(app, server);
  addKeys(app, server);
  addWebhooks(app, server);
  app.notFound((c) =>
    answerError(c, new PublicError("not_found", `There is nothing at ${c.req.method} ${c.req.path}.`)),
  );
  app.onError((error, c) => {
    if (error instanceof PublicError) return answerError(c, error);
    server.logger.error({ request: c.get("requestId"), err: error }, "unexpected error");
    return answerError(c, new PublicError("internal_error", "The router failed while it handled this request."));
  });
  return app;
}

function answerError(c: HttpContext, error: PublicError): Response {
  c.get("log").code = error.code;
  c.header("x-should-retry", String(error.shouldRetry));
  if (error.retryAfterMs !== undefined) {
    c.header("retry-after", String(Math.max(1, Math.ceil(error.retryAfterMs / 1000))));
    c.header("retry-after-ms", String(Math.ceil(error.retryAfterMs)));
  }
  return c.json(error.toEnvelope(), error.status as 400);
}
