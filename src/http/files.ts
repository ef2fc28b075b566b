/** Stored pictures behind their signed links. */
import type { Hono } from "hono";
import { PublicError } from "../errors.ts";
import { mayRead } from "../generation/records.ts";
import { fileName, pictureHeaders } from "../images/links.ts";
import { methods } from "./methods.ts";
import { authenticate } from "./request.ts";
import type { Env, HttpContext, Server } from "./types.ts";

const gone = () =>
  new PublicError("image_expired", "This image has expired; its bytes are gone. Images live for one hour.");

export function addFiles(app: Hono<Env>, server: Server): void {
  methods(app, "/v1/images/files/:file", {
    GET: (c) => serveFile(server, c),
    DELETE: (c) => deleteFile(server, c),
    OPTIONS: () =>
      new Response(null, { status: 204, headers: { ...cors, "access-control-allow-methods": "GET, HEAD, OPTIONS" } }),
  });
}

/** Pages may show and read the pictures: the signed link itself is the permission. */
const cors = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers": "Content-Length, Content-Range, ETag",
  "access-control-allow-headers": "Range, If-None-Match, If-Range",
};

async function serveFile(server: Server, c: HttpContext): Promise<Response> {
  const file = c.req.param("file") ?? "";
  const expires = c.req.query("expires") ?? "";
  const hasMore = new URL(c.req.url).searchParams.size !== 2;
  if (hasMore || !server.links.verify(file, expires, c.req.query("signature") ?? "")) {
    throw new PublicError("invalid_link", "This link is not valid: it was altered, or signed with another secret.");
  }
  const remainingMs = Number(expires) * 1000 - server.clock.now();
  if (remainingMs <= 0) throw gone();
  const image = await server.database.selectFrom("images").selectAll().where("id", "=", idOf(file)).executeTakeFirst();
  const blob = image === undefined || image.deleted_at !== null ? null : await server.images.open(image.id);
  if (image === undefined || blob === null) throw gone();

  const etag = `"${image.id}"`;
  const headers: Record<string, string> = {
    ...cors,
    ...pictureHeaders(image.content_type),
    "content-disposition": `inline; filename="${fileName(image.id, image.content_type)}"`,
    "cache-control": `private, max-age=${Math.floor(remainingMs / 1000)}, immutable`,
    "accept-ranges": "bytes",
    etag,
  };
  const known = c.req.header("if-none-match");
  if (
    known !== undefined &&
    (known.trim() === "*" || known.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag))
  ) {
    return new Response(null, { status: 304, headers });
  }
  const ifRange = c.req.header("if-range");
  const range =
    ifRange === undefined || ifRange.trim() === etag ? parseRange(c.req.header("range"), image.bytes) : null;
  if (range === "unsatisfiable") {
    const refused = { "content-range": `bytes */${image.bytes}`, "x-should-retry": "false" };
    return new Response(null, { status: 416, headers: { ...headers, ...refused } });
  }
  if (range === null) return new Response(blob, { headers: { ...headers, "content-length": String(image.bytes) } });
  return new Response(blob.slice(range.start, range.end + 1), {
    status: 206,
    headers: {
      ...headers,
      "content-range": `bytes ${range.start}-${range.end}/${image.bytes}`,
      "content-length": String(range.end - range.start + 1),
    },
  });
}

/** One range; several, or something that is not a range, count as none (RFC 9110 lets a server ignore them). */
function parseRange(header: string | undefined, size: number): { start: number; end: number } | "unsatisfiable" | null {
  const match = /^bytes=(\d*)-(\d*)$/i.exec(header?.trim() ?? "");
  if (match === null) return null;
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return null;
  if (first === "") {
    const suffix = Number(last);
    return suffix === 0 ? "unsatisfiable" : { start: Math.max(0, size - suffix), end: size - 1 };
  }
  const start = Number(first);
  const end = last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== "" && Number(last) < start) return null;
  return start >= size ? "unsatisfiable" : { start, end };
}

/** The owner's key removes the bytes at once; to any other key the picture does not exist. */
async function deleteFile(server: Server, c: HttpContext): Promise<Response> {
  const key = await authenticate(server, c);
  const id = idOf(c.req.param("file") ?? "");
  const image = await server.database
    .selectFrom("images")
    .innerJoin("generations", "generations.id", "images.generation_id")
    .select(["images.id", "images.deleted_at", "generations.key_hash"])
    .where("images.id", "=", id)
    .executeTakeFirst();
  if (image === undefined || !mayRead(key, image.key_hash))
    throw new PublicError("not_found", "No image with this name.");
  if (image.deleted_at !== null) throw gone();
  await server.images.delete(id);
  await server.database.updateTable("images").set({ deleted_at: server.clock.now() }).where("id", "=", id).execute();
  return c.json({ deleted: true });
}

const idOf = (file: string): string => file.replace(/\.[a-z0-9]+$/, "");
