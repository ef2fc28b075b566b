/** What the wire itself does to a call: never sent, cut, silent, slow (CONTRACT.md "Fine points"). Nothing is resent. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Socket } from "node:net";
import { adapters } from "../../src/providers/index.ts";
import { runAttempt } from "../../src/providers/transport.ts";
import { load, type TransportFixture } from "../contracts/fixtures.ts";
import { base64Of, picture } from "../doubles/picture.ts";
import {
  cleanup,
  closedPort,
  envFor,
  envForAll,
  expectFailure,
  filesOf,
  memoryImage,
  outcomes,
  rawUpstream,
  router,
  tlsCertificate,
  type Vendor,
  vendors,
} from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(40_000);

afterAll(cleanup.run);

const [openai] = vendors;
const png = picture({ width: 256, height: 256 });
const success = JSON.stringify({ created: 1, data: [{ b64_json: base64Of(png) }] });
/** Longer than any silent resend would take to arrive. */
const afterwards = () => Bun.sleep(150);

describe("golden fixtures of the wire", () => {
  const fixtures = vendors.flatMap((vendor) => {
    const adapter = adapters.find(({ id }) => id === vendor.name);
    if (adapter === undefined) throw new Error(`no adapter ${vendor.name}`);
    const all = load(adapter).flatMap(({ fixture }) => ("transport" in fixture ? [fixture] : []));
    return all.map((fixture) => ({ name: `${vendor.name}/${fixture.case}`, vendor, adapter, fixture }));
  });

  test.concurrent("every provider has its own", () => {
    for (const vendor of vendors)
      expect(fixtures.filter((fixture) => fixture.vendor === vendor).length).toBeGreaterThan(1);
  });

  test.concurrent.each(fixtures)("$name", async ({ vendor, adapter, fixture }) => {
    const upstream = rawUpstream((socket) => play(socket, fixture.wire));
    const env = envFor(vendor, upstream);
    const baseUrl = env[vendor.urlVariable] ?? "";
    // Long enough for the call to arrive, however busy the machine is.
    const timeoutMs = fixture.expect.failure.class === "timeout" ? 2_000 : 30_000;
    const outcome = await runAttempt(
      { adapter, baseUrl, trustedOrigin: upstream.origin, credential: "key" },
      fixture.job,
      { newImage: memoryImage, onPending: () => Promise.reject(new Error("nothing is pending here")) },
      { fetch, resolve: async () => [], clock: { now: Date.now, sleep: Bun.sleep } },
      { timeoutMs },
    );
    expect(outcome).toMatchObject(fixture.expect);

    const { generate } = await router({ ...env, AROUTER_UPSTREAM_TIMEOUT_MS: String(timeoutMs) });
    const expected = fixture.expect.failure.class === "timeout" ? outcomes.timeout : outcomes.unknown;
    await expectFailure(generate(vendor.body), expected);
    await afterwards();
    expect(upstream.requests).toHaveLength(2);
  });

  function play(socket: Socket, { status, headers, sent, then }: TransportFixture["wire"]): void {
    const lines = Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
    if (status !== undefined) socket.write(`HTTP/1.1 ${status} Told\r\n${lines.join("")}\r\n`);
    if (sent !== null) socket.write(sent.kind === "text" ? sent.text : Buffer.from(sent.base64, "base64"));
    if (then === "close") socket.end();
  }
});

describe("never sent: may be tried again", () => {
  const nobody = [
    ["a refused connection", () => `http://127.0.0.1:${closedPort()}`],
    ["a name that does not exist", () => "http://nowhere.invalid"],
    ["TLS where plain HTTP is spoken", () => plainServer().replace("http:", "https:")],
  ] as const;
  test.concurrent.each(nobody)("%s", async (_name, origin) => {
    const { generate } = await router(envForAll({ origin: origin() }));
    for (const { body } of vendors) {
      const answer = await expectFailure(generate(body), outcomes.failed);
      expect(answer.body.error?.message).toContain("nothing was sent");
    }
  });

  function plainServer(): string {
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => expect.unreachable("nothing is sent") });
    cleanup.add(() => server.stop(true));
    return server.url.origin;
  }

  test.concurrent.each([
    ["a self-signed certificate", {}],
    ["a certificate of another name", { ca: tlsCertificate.cert }],
  ])("%s", async (_name, tls) => {
    let arrived = 0;
    const fetchThere = () => new Response(`${++arrived}`);
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", tls: tlsCertificate, fetch: fetchThere });
    cleanup.add(() => server.stop(true));
    const adapter = adapters.find(({ id }) => id === "openai");
    if (adapter === undefined) throw new Error("no adapter");
    const origin = `https://127.0.0.1:${server.port}`;
    const trusting = ((url: string, init: RequestInit) => fetch(url, { ...init, tls })) as typeof fetch;
    const outcome = await runAttempt(
      { adapter, baseUrl: `${origin}/v1`, trustedOrigin: origin, credential: "key" },
      { operation: "generate", model: "dall-e-2", parameters: { prompt: "x" }, count: 1 },
      { newImage: memoryImage, onPending: async () => {} },
      { fetch: trusting, resolve: async () => [], clock: { now: Date.now, sleep: Bun.sleep } },
      { timeoutMs: 30_000 },
    );
    expect(outcome).toMatchObject({ kind: "failed", failure: { class: "unreachable" } });
    if (!("ca" in tls)) {
      const { generate } = await router(envFor(openai, { origin }));
      await expectFailure(generate(openai.body), outcomes.failed);
    }
    expect(arrived).toBe(0);
  });
});

/** How far an answer gets before the connection goes. */
const cuts: [name: string, cut: (socket: Socket) => unknown][] = [
  ["closed before a byte", (socket) => socket.end()],
  ["reset before a byte", (socket) => socket.resetAndDestroy()],
  ["closed in the status line", (socket) => socket.end("HTTP/1.1 20")],
  ["closed in the headers", (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-type: applic")],
  ["closed after the headers", (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n")],
  ["closed in the body", (socket) => socket.end(`HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n${success}`)],
  ["reset in the body", (socket) => cutLater(socket, `HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n${success}`)],
  ["closed in a chunk", (socket) => socket.end(`${chunkedHead}ffff\r\n${success}`)],
  ["closed before the last chunk", (socket) => socket.end(`${chunkedHead}${chunk(success)}`)],
  ["closed in an error", (socket) => socket.end('HTTP/1.1 500 No\r\ncontent-length: 900\r\n\r\n{"error":')],
];
const chunkedHead = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
function cutLater(socket: Socket, text: string): void {
  socket.write(text, () => setTimeout(() => socket.resetAndDestroy(), 20));
}

describe("cut after sending: a billable result may exist, so nothing is resent", () => {
  test.concurrent.each(cuts)("%s", async (_name, cut) => {
    const upstream = rawUpstream(cut);
    const started = await router(envForAll(upstream));
    await Promise.all(vendors.map(({ body }) => expectFailure(started.generate(body), outcomes.unknown)));
    await afterwards();
    expect(upstream.requests).toHaveLength(vendors.length);
    expect(filesOf(started)).toEqual([]);
  });

  test.concurrent("also on a connection that was kept open and dies under the next call", async () => {
    const refusal =
      '{"error":{"message":"no","type":"image_generation_user_error","param":null,"code":"moderation_blocked"}}';
    const upstream = rawUpstream((socket, count) => {
      if (count === 2) return socket.destroy();
      return socket.write(
        `HTTP/1.1 400 No\r\ncontent-type: application/json\r\ncontent-length: ${refusal.length}\r\n\r\n${refusal}`,
      );
    });
    const { generate } = await router(envFor(openai, upstream));
    await expectFailure(generate(openai.body), outcomes.refused);
    await expectFailure(generate(openai.body), outcomes.unknown);
    await afterwards();
    expect(upstream.requests).toHaveLength(2);
    expect(upstream.connections).toBe(1);
  });
});

describe("time", () => {
  const silences: [name: string, play: (socket: Socket) => unknown][] = [
    ["no byte", () => {}],
    ["half the headers", (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-le")],
    ["half the body", (socket) => socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n${success}`)],
    ["a body without end", (socket) => drip(socket, chunkedHead, Array(10_000).fill(chunk(" ")), 20)],
  ];
  test.concurrent.each(silences)("the whole life of an attempt ends it: %s", async (_name, play) => {
    const upstream = rawUpstream(play);
    const started = await router({ ...envForAll(upstream), AROUTER_UPSTREAM_TIMEOUT_MS: "2000" });
    await Promise.all(vendors.map(({ body }) => expectFailure(started.generate(body), outcomes.timeout)));
    await afterwards();
    expect(upstream.requests).toHaveLength(vendors.length);
    expect(filesOf(started)).toEqual([]);
  });

  test.concurrent("a slow body that is alive succeeds, however small its pieces", async () => {
    const pieces = success.match(/.{1,40}/g) ?? [];
    const upstream = rawUpstream((socket) => drip(socket, chunkedHead, [...pieces.map(chunk), "0\r\n\r\n"], 30));
    const { generate } = await router(envFor(openai, upstream));
    const response = await generate({ ...openai.body, response_format: "b64_json" });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ data: [{ b64_json: base64Of(png) }] });
  });

  async function drip(socket: Socket, head: string, pieces: string[], everyMs: number): Promise<void> {
    socket.write(head);
    for (const piece of pieces) {
      await Bun.sleep(everyMs);
      if (socket.destroyed) return;
      socket.write(piece);
    }
  }
});

describe("nonsense on the wire", () => {
  test.concurrent.each([
    ["no HTTP at all", "what is this?\r\n\r\n"],
    ["a chunk without a length", `${chunkedHead}zz\r\nhello\r\n0\r\n\r\n`],
    ["a broken compression", "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello"],
  ])("%s: an error that nobody resends", async (_name, bytes) => {
    const upstream = rawUpstream((socket) => socket.end(bytes));
    const { generate } = await router(envFor(openai satisfies Vendor, upstream));
    const response = await generate(openai.body);
    expect(response.status).toBe(502);
    expect(response.headers.get("x-should-retry")).toBe("false");
    await afterwards();
    expect(upstream.requests).toHaveLength(1);
  });
});
