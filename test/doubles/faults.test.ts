/** Every fault truly happens on the wire, on every double. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { askOpenAi, askReplicate, askStability, dataOf, linkOf, read } from "./asking.ts";
import type { Fault } from "./double.ts";
import { liveModelsOn, startOpenAi } from "./openai.ts";
import { startReplicate } from "./replicate.ts";
import { startStability } from "./stability.ts";

const openai = startOpenAi({ models: liveModelsOn("2026-05-11") });
const stability = startStability({ rateLimit: Number.POSITIVE_INFINITY });
const replicate = startReplicate({ progress: { polls: 0 } });
const doubles = [openai, stability, replicate];

afterEach(() => {
  for (const double of doubles) double.clear();
});
afterAll(async () => {
  await Promise.all(doubles.map((double) => double.stop()));
});

describe("faults on the wire, on every double", () => {
  const vendors = [
    { name: "openai", double: openai, ask: (more?: RequestInit) => askOpenAi(openai, {}, more) },
    { name: "stability", double: stability, ask: (more?: RequestInit) => askStability(stability, more) },
    { name: "replicate", double: replicate, ask: (more?: RequestInit) => askReplicate(replicate, {}, more) },
  ];

  test.each(vendors)("$name: each fault, then all is well again", async ({ double, ask }) => {
    const whole = await read(ask());
    expect(whole.error).toBeUndefined();
    const outcome = async (fault: Fault) => {
      const before = double.billed;
      double.next(fault);
      const result = await read(ask());
      return { ...result, billed: double.billed - before };
    };
    expect(await outcome({ kind: "cut" })).toEqual({ error: "ECONNRESET", billed: 1 });
    expect(await outcome({ kind: "cut", billed: false })).toEqual({ error: "ECONNRESET", billed: 0 });
    expect(await outcome({ kind: "truncate" })).toMatchObject({ error: "ECONNRESET", billed: 1 });
    const malformed = await outcome({ kind: "malformed" });
    expect(malformed.status).toBe(200);
    expect(Math.abs((malformed.bytes ?? 0) - (whole.bytes ?? 0) / 2)).toBeLessThan(100);
    expect(await outcome({ kind: "answer", status: 418, body: "short" })).toEqual({ status: 418, bytes: 5, billed: 0 });
    expect(await outcome({ kind: "answer", status: 504, billed: true })).toEqual({ status: 504, bytes: 0, billed: 1 });
    expect(await outcome({ kind: "htmlBadGateway" })).toMatchObject({ status: 502, billed: 0 });
    expect(await outcome({ kind: "text" })).toMatchObject({ status: 200, billed: 1 });
    expect(await outcome({ kind: "oversized", bytes: 3_000_000 })).toMatchObject({ status: 200, bytes: 3_000_000 });
    expect((await outcome({ kind: "emptyData" })).billed).toBe(0);
    expect((await read(ask())).error).toBeUndefined();
  });

  test.each(vendors)("$name: hangs until the client leaves", async ({ double, ask }) => {
    double.next({ kind: "hang" });
    const before = { index: double.requests.length, billed: double.billed };
    const leaving = new AbortController();
    const answer = read(ask({ signal: leaving.signal }));
    expect(await Promise.race([answer, Bun.sleep(80).then(() => "nothing")])).toBe("nothing");
    expect(double.requests[before.index]?.outcome).toBe("open");
    leaving.abort();
    expect((await answer).error).toBeDefined();
    await double.idle();
    expect(double.requests[before.index]).toMatchObject({ outcome: "aborted", status: undefined });
    expect(double.billed - before.billed).toBe(1);
  });

  test("a truncated answer has its full content-length and ends in an error, half way", async () => {
    const link = await linkOf(await askOpenAi(openai));
    const whole = (await (await fetch(link)).arrayBuffer()).byteLength;
    openai.next({ kind: "truncate" }, { on: "file" });
    const response = await fetch(link);
    expect(response.headers.get("content-length")).toBe(String(whole));
    expect(await read(Promise.resolve(response))).toEqual({ status: 200, error: "ECONNRESET" });
    // What Bun's fetch hides (it throws the half away) a bare socket shows.
    openai.next({ kind: "truncate" }, { on: "file" });
    const raw = await rawGet(link);
    const body = raw.subarray(raw.indexOf("\r\n\r\n") + 4);
    expect(body.length).toBe(Math.floor(whole / 2));
    expect(openai.requestsAt("file").at(-1)).toMatchObject({ outcome: "cut", status: 200 });
  });

  test("a cut connection sends not one byte", async () => {
    openai.next({ kind: "cut" }, { on: "file" });
    expect((await rawGet(await linkOf(await askOpenAi(openai)))).length).toBe(0);
  });

  test("malformed JSON is 200, complete by its length, and does not parse", async () => {
    openai.next({ kind: "malformed" });
    const response = await askOpenAi(openai);
    expect(response.headers.get("content-type")).toBe("application/json");
    const text = await response.text();
    expect(response.headers.get("content-length")).toBe(String(text.length));
    expect(() => JSON.parse(text)).toThrow();
  });

  test("the 502 page is HTML; a text and a wrong content type are 200", async () => {
    openai.next({ kind: "htmlBadGateway" });
    const page = await askOpenAi(openai);
    expect(page.headers.get("content-type")).toStartWith("text/html");
    expect(await page.text()).toContain("<h1>502 Bad Gateway</h1>");
    openai.next({ kind: "text", contentType: "image/png" });
    const text = await askOpenAi(openai);
    expect(text.headers.get("content-type")).toBe("image/png");
    expect(await text.text()).toBe("This is not what you asked for.");
    openai.next({ kind: "contentType", contentType: "text/plain" });
    const renamed = await askOpenAi(openai);
    expect(renamed.headers.get("content-type")).toBe("text/plain");
    expect(await dataOf(renamed)).toHaveLength(1);
  });

  test("delay delays the right answer", async () => {
    openai.next({ kind: "delay", ms: 80 });
    const startedAt = performance.now();
    expect(await dataOf(await askOpenAi(openai))).toHaveLength(1);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(75);
  });

  test("an oversized file streams exactly its bytes, and stops when the client has had enough", async () => {
    const link = await linkOf(await askOpenAi(openai));
    openai.next({ kind: "oversized", bytes: 1_000_001, declared: true }, { on: "file" });
    const declared = await fetch(link);
    expect(declared.headers.get("content-length")).toBe("1000001");
    expect((await declared.arrayBuffer()).byteLength).toBe(1_000_001);
    openai.next({ kind: "oversized", bytes: 1e12 }, { on: "file" });
    const endless = await fetch(link);
    const reader = endless.body?.getReader();
    const first = (await reader?.read())?.value;
    expect([...(first ?? []).slice(1, 4)]).toEqual([0x50, 0x4e, 0x47]);
    await reader?.cancel();
    await openai.idle();
    expect(openai.requestsAt("file").at(-1)?.outcome).toBe("aborted");
  });

  test("result files: an arbitrary redirect; 404, 403, 500 for k times, then fine", async () => {
    const link = await linkOf(await askOpenAi(openai));
    openai.next({ kind: "redirect", to: "http://169.254.169.254/latest/meta-data/" });
    const redirect = await fetch(link, { redirect: "manual" });
    expect([redirect.status, redirect.headers.get("location")]).toEqual([
      302,
      "http://169.254.169.254/latest/meta-data/",
    ]);
    for (const status of [404, 403, 500]) {
      openai.next({ kind: "answer", status }, { on: "file", times: 2 });
      const seen = [];
      for (let count = 0; count < 3; count += 1) seen.push((await fetch(link)).status);
      expect(seen).toEqual([status, status, 200]);
    }
  });

  test("the queue is first in, first out, before `always`, until `clear`", async () => {
    const statuses = async (count: number) => {
      const seen = [];
      for (let index = 0; index < count; index += 1) seen.push((await askOpenAi(openai)).status);
      return seen;
    };
    openai.always({ kind: "answer", status: 503 });
    openai.next({ kind: "answer", status: 500 });
    openai.next({ kind: "answer", status: 501 });
    expect(await statuses(4)).toEqual([500, 501, 503, 503]);
    openai.clear();
    expect(await statuses(1)).toEqual([200]);
    expect(() => openai.next({ kind: "emptyData" }, { on: "file" })).toThrow("cannot happen");
  });
});

describe("faults of the result", () => {
  test("openai: no picture, fewer, other dimensions, another type", async () => {
    const before = openai.billed;
    openai.next({ kind: "emptyData" });
    expect(await dataOf(await askOpenAi(openai))).toEqual([]);
    openai.next({ kind: "fewer", images: 2 });
    expect(await dataOf(await askOpenAi(openai, { n: 4 }))).toHaveLength(2);
    expect(openai.billed - before).toBe(2);
    const made = async (fault: Fault) => {
      openai.next(fault);
      const response = await fetch(await linkOf(await askOpenAi(openai)));
      const { width, height, format } = await new Bun.Image(await response.bytes()).metadata();
      return `${width}x${height} ${format} as ${response.headers.get("content-type")}`;
    };
    expect(await made({ kind: "dimensions", width: 100, height: 50 })).toBe("100x50 png as image/png");
    expect(await made({ kind: "pictureType", type: "webp" })).toBe("256x256 webp as image/png");
  });

  test("stability and replicate have them too", async () => {
    stability.next({ kind: "dimensions", width: 100, height: 50 });
    expect(await new Bun.Image(await (await askStability(stability)).bytes()).metadata()).toMatchObject({
      width: 100,
      height: 50,
    });
    stability.next({ kind: "emptyData" });
    expect((await (await askStability(stability)).bytes()).length).toBe(0);
    replicate.next({ kind: "fewer", images: 1 });
    const { output } = (await (await askReplicate(replicate, { num_outputs: 3 })).json()) as { output: string[] };
    expect(output).toHaveLength(1);
    replicate.next({ kind: "pictureType", type: "jpeg" });
    const typed = (await (await askReplicate(replicate)).json()) as { output: string[] };
    const bytes = await (await fetch(typed.output[0] ?? "")).bytes();
    expect((await new Bun.Image(bytes).metadata()).format).toBe("jpeg");
  });
});

/** The bytes of an answer as they came, up to the end of the connection. */
async function rawGet(link: string): Promise<Buffer> {
  const { hostname, port, pathname, search } = new URL(link);
  const chunks: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      open: (socket) => {
        socket.write(`GET ${pathname}${search} HTTP/1.1\r\nhost: ${hostname}:${port}\r\nconnection: close\r\n\r\n`);
      },
      data: (_, chunk) => {
        chunks.push(Buffer.from(chunk));
      },
      close: () => resolve(),
      error: () => resolve(),
    },
  });
  await promise;
  return Buffer.concat(chunks);
}
