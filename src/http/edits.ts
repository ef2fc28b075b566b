/** The body of `POST /v1/images/edits`: a form with files, or JSON with data URLs and links. */
import type { GenerationRequest } from "../generation/generate.ts";
import { readFormEdit } from "./edit-form.ts";
import { readJsonEdit } from "./edit-json.ts";
import { contentTypeOf, readJsonObject, requireIdentity } from "./request.ts";
import type { HttpContext, Server } from "./types.ts";

/** Sixteen data URLs would be more; whoever has that much sends a form, which is never whole in memory. */
export const maxEditJsonBytes = 32 << 20;

/** @throws PublicError for a body that cannot be read; no picture of it is left behind then */
export async function readEdit(server: Server, c: HttpContext): Promise<GenerationRequest> {
  if (contentTypeOf(c) === "multipart/form-data") {
    requireIdentity(c);
    return readFormEdit(server, c.req.raw);
  }
  const body = await readJsonObject(c, undefined, { maxBytes: maxEditJsonBytes, accepted: "multipart/form-data" });
  // From here on links are fetched, in which the runtime sees an idle connection.
  c.env.keepOpen?.(c.req.raw);
  return readJsonEdit(server, body);
}
