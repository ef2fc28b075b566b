/**
 * Floor 2: the least Bun code that does our work. A key looked up by its hash, a checked request, a hold and its
 * settlement, each durable before the next step, the picture stored, a signed link or base64 as the answer. Whole
 * bodies in memory, no record of what was sent, no error table, no second model: what a person writes in an hour.
 *
 * BENCH_DURABLE=1 puts the picture on the disk before it is charged, as the product does; without it, a power cut may
 * leave a charged picture empty.
 */
import { Database } from "bun:sqlite";
import { createHash, createHmac, randomBytes, randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { given, ready } from "./child.ts";

const upstream = given("BENCH_UPSTREAM");
const folder = given("BENCH_FOLDER");
const durable = process.env.BENCH_DURABLE === "1";

mkdirSync(join(folder, "images"));
const database = new Database(join(folder, "least.db"), { create: true });
database.run("PRAGMA journal_mode = WAL");
database.run("PRAGMA synchronous = FULL");
database.run("CREATE TABLE keys (hash TEXT PRIMARY KEY, disabled INTEGER NOT NULL)");
database.run(
  "CREATE TABLE jobs (id TEXT PRIMARY KEY, key_hash TEXT, model TEXT, status TEXT, cost INTEGER, at INTEGER)",
);
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const key = `lr_live_${randomBytes(24).toString("hex")}`;
database.query("INSERT INTO keys VALUES (?, 0)").run(sha256(key));
const findKey = database.query<{ hash: string; disabled: number }, [string]>("SELECT * FROM keys WHERE hash = ?");
const hold = database.query("INSERT INTO jobs VALUES (?, ?, ?, 'running', ?, ?)");
const settle = database.query("UPDATE jobs SET status = 'succeeded', cost = ?, at = ? WHERE id = ?");

const prices = new Map([
  ["1024x1024", 40_000_000],
  ["1792x1024", 80_000_000],
  ["1024x1792", 80_000_000],
]);
const linkSecret = randomBytes(32);

interface Body {
  model?: unknown;
  prompt?: unknown;
  size?: unknown;
  response_format?: unknown;
}
interface Answer {
  data: [{ b64_json?: string; url?: string; revised_prompt?: string }];
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0,
  async fetch(request): Promise<Response> {
    const found = findKey.get(sha256((request.headers.get("authorization") ?? "").slice(7)));
    if (found === null || found.disabled !== 0) return refuse(401, "Incorrect API key provided.");
    const { model, prompt, size, response_format } = (await request.json()) as Body;
    const price = prices.get(String(size));
    if (model !== "openai/dall-e-3") return refuse(404, "The model does not exist.");
    if (typeof prompt !== "string" || prompt === "" || prompt.length > 4000) return refuse(400, "Invalid 'prompt'.");
    if (price === undefined) return refuse(400, "Invalid 'size'.");

    const id = randomUUID();
    hold.run(id, found.hash, model, price, Date.now());
    const reply = await fetch(`${upstream}/v1/images/generations`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: "Bearer sk-bench" },
      body: JSON.stringify({ model: "dall-e-3", n: 1, prompt, size, response_format: "b64_json" }),
    });
    const [{ b64_json, url, revised_prompt }] = ((await reply.json()) as Answer).data;
    const picture =
      b64_json === undefined
        ? Buffer.from(await (await fetch(url ?? "")).arrayBuffer())
        : Buffer.from(b64_json, "base64");
    await store(`${id}.png`, picture);
    settle.run(price, Date.now(), id);

    const created = Math.floor(Date.now() / 1000);
    if (response_format === "b64_json") {
      return Response.json({ created, data: [{ b64_json: b64_json ?? picture.toString("base64"), revised_prompt }] });
    }
    const expires = created + 3600;
    const signature = createHmac("sha256", linkSecret).update(`${id}.png\n${expires}`).digest("base64url");
    const link = `${server.url.origin}/files/${id}.png?expires=${expires}&signature=${signature}`;
    return Response.json({ created, data: [{ url: link, revised_prompt }] });
  },
});

async function store(name: string, picture: Uint8Array): Promise<void> {
  const path = join(folder, "images", name);
  if (!durable) {
    await Bun.write(path, picture);
    return;
  }
  const file = await open(path, "wx", 0o600);
  await file.writeFile(picture);
  await file.datasync();
  await file.close();
}

function refuse(status: number, message: string): Response {
  return Response.json({ error: { message, type: "invalid_request_error", param: null, code: null } }, { status });
}

ready({ origin: server.url.origin, key });
