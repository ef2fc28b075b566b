/** Upstreams that mean no good: where they send us, what their pictures carry, what their words try to become. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { systemClock } from "../../src/ports.ts";
import { bfl } from "../../src/providers/bfl.ts";
import { fal } from "../../src/providers/fal.ts";
import type { Adapter } from "../../src/providers/provider.ts";
import { runAttempt } from "../../src/providers/transport.ts";
import { readEvents } from "../contracts/events.ts";
import { startOpenAi } from "../doubles/openai.ts";
import { picture } from "../doubles/picture.ts";
import { answerOf, cleanup, memoryImage, type RawUpstream, rawUpstream, router } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);
afterEach(cleanup.run);

const credential = "Canary-credential";
const reply = (body: unknown, type = "application/json") => {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`;
};

/** One attempt at an upstream that answers its calls with these, in turn, the last one for ever. */
async function lead(adapter: Adapter, answers: (sink: RawUpstream) => unknown[]) {
  const sink = rawUpstream((socket) => socket.end(reply({ id: "t1", status: "Pending" })));
  const said = answers(sink);
  const upstream = rawUpstream((socket, count) => socket.end(reply(said[count - 1] ?? said.at(-1))));
  const outcome = await runAttempt(
    { adapter, baseUrl: upstream.origin, trustedOrigin: upstream.origin, credential },
    { operation: "generate", model: "fal-ai/flux", parameters: { prompt: "x" }, count: 1 },
    { newImage: memoryImage, onPending: async () => {} },
    { fetch, resolve: async () => ["127.0.0.1"], clock: systemClock },
    { timeoutMs: 1_500 },
  );
  return { outcome, sink, upstream };
}

const elsewhere = (sink: RawUpstream) => {
  const { port } = new URL(sink.origin);
  const hosts = [`localhost:${port}`, `[::1]:${port}`, "169.254.169.254", "10.0.0.1", "metadata.google.internal"];
  return [
    ...hosts.flatMap((host) => [`http://${host}/a`, `https://${host}/a`]),
    ...[`http://user:pw@127.0.0.1:${port}/a`, "file:///etc/passwd", "gopher://127.0.0.1/_x", "//evil.example/a"],
  ];
};

describe("a job that is said to be elsewhere", () => {
  test("at fal: the documented paths are asked instead, status, result and cancelation alike", async () => {
    const links = elsewhere({ origin: "http://127.0.0.1:1", requests: [], connections: 0 }).length;
    for (let index = 0; index < links; index += 1) {
      const { sink, upstream } = await lead(fal, (at) => {
        const url = elsewhere(at)[index];
        const job = { request_id: "r1", status_url: url, response_url: url, cancel_url: url };
        return [
          { ...job, status: "IN_QUEUE" },
          { ...job, status: "COMPLETED" },
          { images: [{ url: `${at.origin}/a.png` }] },
        ];
      });
      expect(sink.connections).toBe(0);
      const lines = upstream.requests.map((request) => request.split("\r\n")[0]);
      expect(lines.slice(0, 3)).toEqual([
        "POST /fal-ai/flux HTTP/1.1",
        "GET /fal-ai/flux/requests/r1/status HTTP/1.1",
        "GET /fal-ai/flux/requests/r1 HTTP/1.1",
      ]);
    }
  });

  test("at BFL: only another port of the same host is asked, and without the key", async () => {
    const { sink, outcome } = await lead(bfl, (at) => [{ id: "t1", polling_url: `${at.origin}/v1/get_result?id=t1` }]);
    expect(outcome).toMatchObject({ kind: "failed", failure: { class: "timeout" } });
    expect(sink.requests.length).toBeGreaterThan(0);
    for (const request of sink.requests) expect(request).not.toContain(credential);
    const { sink: other, upstream } = await lead(bfl, (at) => [
      { id: "t1", polling_url: elsewhere(at)[0] },
      { id: "t1", status: "Error" },
    ]);
    expect(other.connections).toBe(0);
    expect(upstream.requests[1]).toStartWith("GET /get_result?id=t1 HTTP/1.1");
  });

  test("a picture elsewhere: not fetched from inside this network, nor with any credential", async () => {
    const ready = (url: string | undefined) => ({ id: "t1", status: "Ready", result: { sample: url } });
    for (const pick of [
      (sink: RawUpstream) => `${sink.origin}/a.png`,
      ...Array.from({ length: 14 }, (_, index) => (sink: RawUpstream) => elsewhere(sink)[index]),
    ]) {
      const { sink, outcome } = await lead(bfl, (at) => [{ id: "t1", polling_url: "" }, ready(pick(at))]);
      expect(outcome).toMatchObject({ kind: "failed", failure: { class: "contract_changed" } });
      expect(sink.connections).toBe(0);
    }
  });

  test("ids that are paths are none", async () => {
    for (const id of ["../../admin", "a/b", "a?b", "x".repeat(200), "a\r\nx: y"]) {
      for (const [adapter, body] of [
        [bfl, { id, status: "Pending" }],
        [fal, { request_id: id, status: "IN_QUEUE" }],
      ] as const) {
        const { outcome, upstream } = await lead(adapter, () => [body]);
        expect(outcome).toMatchObject({ kind: "failed", failure: { class: "contract_changed" } });
        expect(upstream.requests).toHaveLength(1);
      }
    }
  });
});

const script = "<script>alert(document.domain)</script>";
const png = Buffer.from(picture({ width: 256, height: 256 }));
const polyglots: [what: string, bytes: Buffer, type: string][] = [
  ["a PNG with a page behind it", Buffer.concat([png, Buffer.from(`<html>${script}`)]), "image/png"],
  ["a GIF that is a script", Buffer.from("GIF89a\x2f\x2a\x00\x01\x00\x01\x00*/=1;alert(1)//", "latin1"), "image/gif"],
  [
    "a JPEG with a page in its comment",
    Buffer.from(
      `\xff\xd8\xff\xfe\0${String.fromCharCode(script.length + 2)}${script}\xff\xc0\0\x11\x08\0\x10\0\x10\x03\x01\x22\0\x02\x11\x01\x03\x11\x01`,
      "latin1",
    ),
    "image/jpeg",
  ],
  [
    "a drawing that is a program",
    Buffer.from(
      `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="alert(1)">${script}<foreignObject><iframe src="javascript:alert(1)"/></foreignObject></svg>`,
    ),
    "image/svg+xml",
  ],
];

describe("pictures that are more than pictures", () => {
  test.each(polyglots)("%s: served as what it is, and nothing of it runs", async (_what, bytes, type) => {
    const upstream = startOpenAi();
    cleanup.add(() => upstream.stop());
    const server = await router({ OPENAI_API_KEY: upstream.key, OPENAI_BASE_URL: upstream.url });
    const body = { model: "openai/dall-e-2", prompt: "x", size: "256x256" };
    const answer = {
      kind: "answer",
      status: 200,
      body: { created: 1, data: [{ b64_json: bytes.toString("base64") }] },
    } as const;
    upstream.always(answer);
    const { body: linked } = await answerOf(server.generate(body));
    const link = linked.data?.[0]?.url ?? "";
    const views = [
      await fetch(link),
      await fetch(link, { method: "HEAD" }),
      await fetch(link, { headers: { range: "bytes=0-3" } }),
      await fetch(link, { headers: { "if-none-match": "*" } }),
      await fetch(link, { headers: { accept: "text/html" } }),
      await server.generate(body, { headers: { accept: "image/*" } }),
    ];
    expect(views.map(({ status }) => status)).toEqual([200, 200, 206, 304, 200, 200]);
    for (const { headers } of views) {
      expect([headers.get("content-type"), headers.get("x-content-type-options")]).toEqual([type, "nosniff"]);
      const policy = headers.get("content-security-policy") ?? "";
      if (type === "image/svg+xml") {
        expect(policy).toMatch(/(^|; )sandbox(;|$)/);
        expect(policy).toContain("default-src 'none'");
        expect(policy).not.toMatch(/script-src|allow-scripts|allow-same-origin/);
      }
    }
  });

  test("pages, documents and scripts are none, whatever type they come under", async () => {
    const upstream = startOpenAi();
    cleanup.add(() => upstream.stop());
    const server = await router({ OPENAI_API_KEY: upstream.key, OPENAI_BASE_URL: upstream.url });
    for (const text of [
      `<!doctype html>${script}`,
      `<html>${script}<svg width="9" height="9"/></html>`,
      `<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg width="9" height="9">&x;</svg>`,
      `<x:script xmlns:x="http://www.w3.org/1999/xhtml">alert(1)</x:script>`,
      "alert(1)",
      "%PDF-1.7",
    ]) {
      upstream.next({
        kind: "answer",
        status: 200,
        body: { created: 1, data: [{ b64_json: Buffer.from(text.padEnd(40)).toString("base64") }] },
      });
      const answer = await answerOf(server.generate({ model: "openai/dall-e-2", prompt: "x", size: "256x256" }));
      expect([text, answer.code]).toEqual([text, "provider_contract_changed"]);
    }
  });
});

describe("words that want to be events or headers", () => {
  const forged =
    '\r\n\r\nevent: image_generation.completed\r\ndata: {"type":"image_generation.completed","b64_json":"Rm9yZ2Vk"}\r\n\r\n';
  const event = (name: string, data: unknown) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
  const image = { b64_json: png.toString("base64"), created_at: 1 };
  const facts = { size: forged, quality: forged, background: forged, output_format: forged };
  const low = {
    model: "openai/gpt-image-2",
    prompt: "x",
    size: "1024x1024",
    quality: "low",
    stream: true,
    partial_images: 1,
  };

  async function stream(text: string) {
    const upstream = rawUpstream((socket) => socket.end(reply(text, "text/event-stream")));
    const server = await router({ OPENAI_API_KEY: "sk-x", OPENAI_BASE_URL: `${upstream.origin}/v1` });
    const answer = await server.generate(low);
    if (answer.status !== 200) return { answer, events: [], text: await answer.text() };
    return { answer, ...(await readEvents(answer)) };
  }

  test("facts of previews and of the picture stay inside their event, and are none of the documented ones", async () => {
    const { events, text } = await stream(
      event("image_generation.partial_image", {
        type: "image_generation.partial_image",
        partial_image_index: 0,
        ...image,
        ...facts,
      }) +
        event("image_generation.completed", {
          type: "image_generation.completed",
          ...image,
          ...facts,
          usage: { [forged]: forged },
        }),
    );
    expect(events.map(({ name }) => name)).toEqual(["image_generation.partial_image", "image_generation.completed"]);
    for (const { data } of events) {
      expect(data).toMatchObject({ quality: "low", background: "auto", output_format: "png", size: "256x256" });
      expect(data.b64_json).toBe(image.b64_json);
    }
    expect(text).not.toMatch(/^data: .*Forged/m);
    expect(text).not.toContain("\r");
  });

  test("an error's words stay inside their event", async () => {
    const first = event("image_generation.partial_image", {
      type: "image_generation.partial_image",
      partial_image_index: 0,
      ...image,
    });
    const { events, text } = await stream(
      first +
        event("error", { type: "error", error: { message: `no${forged}`, code: forged, param: forged, type: forged } }),
    );
    expect(events.map(({ name }) => name)).toEqual(["image_generation.partial_image", "error"]);
    expect(text.match(/^event: /gm)).toHaveLength(2);
    expect(text).not.toContain("\r");
  });

  test("names that a client gives become no headers", async () => {
    const server = await router({});
    const planted = "x\r\nset-cookie: planted=1\r\n\r\n<html>";
    for (const body of [
      { model: planted, prompt: "x" },
      { model: `openai/dall-e-2\r\nset-cookie: planted=1`, prompt: "x" },
      { model: "openai/dall-e-2:floor\nplanted", prompt: "x" },
      { models: [planted], prompt: "x" },
      { model: "openai/dall-e-2", prompt: "x", [planted]: planted },
      { model: "openai/dall-e-2", prompt: "x", provider: { only: [planted], sort: planted } },
      { model: "openai/dall-e-2", prompt: "x", webhook_url: `https://hooks.example/${planted}`, size: planted },
    ]) {
      for (const path of ["/v1/images/generations", "/v1/images/edits", "/v1/images/quote"]) {
        const headers = { authorization: `Bearer ${server.keys.test}`, "content-type": "application/json" };
        const answer = await fetch(server.url + path, { method: "POST", headers, body: JSON.stringify(body) });
        expect(answer.status).toBeWithin(400, 405);
        expect(JSON.stringify([...answer.headers])).not.toContain("planted");
        await answer.json();
      }
    }
  });
});
