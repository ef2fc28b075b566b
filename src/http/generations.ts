/** Making pictures and looking at what was made. */
import type { Hono } from "hono";
import { PublicError } from "../errors.ts";
import { cancelGeneration } from "../generation/cancel.ts";
import { readGeneration } from "../generation/records.ts";
import { createImages } from "./create.ts";
import { readEdit } from "./edits.ts";
import { flatGeneration, generationObject, hasEnded, pollAfterSeconds } from "./generation-object.ts";
import { methods } from "./methods.ts";
import { authenticate, originOf, readJsonObject, requireInference } from "./request.ts";
import type { Env, HttpContext, Server } from "./types.ts";

export function addGenerations(app: Hono<Env>, server: Server): void {
  methods(app, "/v1/images/generations", {
    POST: (c) => createImages(server, c, async () => ({ body: await readJsonObject(c) })),
  });
  methods(app, "/v1/images/edits", { POST: (c) => createImages(server, c, () => readEdit(server, c)) });
  methods(app, "/v1/images/variations", { POST: (c) => refuseVariations(server, c) });
  methods(app, "/v1/images/generations/:id", {
    GET: async (c) => {
      const record = await readGeneration(server.database, c.req.param("id") ?? "", await authenticate(server, c));
      if (!hasEnded(record)) c.header("retry-after", String(pollAfterSeconds));
      return c.json(generationObject(server, record, originOf(server, c)));
    },
    DELETE: async (c) => {
      const key = await authenticate(server, c);
      const { generation } = await readGeneration(server.database, c.req.param("id") ?? "", key);
      await cancelGeneration(server, generation.id);
      const record = await readGeneration(server.database, generation.id, key);
      return c.json(generationObject(server, record, originOf(server, c)), hasEnded(record) ? 200 : 202);
    },
  });
  methods(app, "/api/v1/generation", {
    GET: async (c) => {
      const key = await authenticate(server, c);
      const id = c.req.query("id");
      if (id === undefined)
        throw new PublicError("missing_required_parameter", "Missing required parameter: 'id'.", { param: "id" });
      return c.json(flatGeneration(await readGeneration(server.database, id, key), server.clock.now()));
    },
  });
}

/** OpenAI has ended it (upstream-apis.md §1), and no other vendor has it. */
async function refuseVariations(server: Server, c: HttpContext): Promise<never> {
  requireInference(await authenticate(server, c));
  throw new PublicError(
    "endpoint_retired",
    "Image variations have been retired. Use POST /v1/images/edits with a prompt that says what to vary.",
  );
}
