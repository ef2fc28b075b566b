/** The router about itself: landing page, reference, OpenAPI description. Open to everybody, so nothing here is secret. */
import type { Hono } from "hono";
import { type LandingFacts, landingPage } from "./landing-page.ts";
import { methods } from "./methods.ts";
import { type OpenApiDocument, openApiDocument } from "./openapi.ts";
import { answerPage, openHeaders } from "./page.ts";
import { referencePage } from "./reference-page.ts";
import { originOf } from "./request.ts";
import type { Env, HttpContext, Server } from "./types.ts";

export function addDocs(app: Hono<Env>, server: Server): void {
  let made: OpenApiDocument | undefined;
  const document = () => (made ??= openApiDocument(server.catalogue, server.version, server.config.publicUrl));

  methods(app, "/", {
    GET: async (c) => {
      const facts = await landingFacts(server, c);
      c.header("vary", "accept");
      if (acceptsHtml(c)) return answerPage(c, "ARouter", landingPage(facts));
      return c.json(facts, 200, openHeaders);
    },
  });
  methods(app, "/docs", { GET: (c) => answerPage(c, "ARouter: API reference", referencePage(document())) });
  methods(app, "/openapi.json", {
    // Editors and viewers on other origins may read it: there is nothing in it that a key protects.
    GET: (c) => c.json(document(), 200, { ...openHeaders, "access-control-allow-origin": "*" }),
  });
}

/** Browsers name HTML; a program that takes anything, as curl does, is happier with JSON. */
function acceptsHtml(c: HttpContext): boolean {
  return /text\/(html|\*)|application\/xhtml\+xml/i.test(c.req.header("accept") ?? "");
}

async function landingFacts(server: Server, c: HttpContext): Promise<LandingFacts> {
  const origin = originOf(server, c);
  return {
    name: "arouter",
    version: server.version,
    status: server.isDraining() ? "draining" : await readiness(server),
    docs: `${origin}/docs`,
    openapi: `${origin}/openapi.json`,
    base_url: `${origin}/v1`,
    models: server.catalogue.models.map(({ id }) => id),
  };
}

async function readiness(server: Server): Promise<"ready" | "not ready"> {
  try {
    await server.checkReady();
    return "ready";
  } catch {
    return "not ready"; // `/readyz` logs why
  }
}
