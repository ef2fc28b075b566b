/** What the fault tests share: routers in front of doubles and raw sockets, readings of answers, cleaning up. */
import { expect } from "bun:test";
import { readdirSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { takeImage } from "../../src/images/intake.ts";
import type { ImageStore } from "../../src/ports.ts";
import type { ImageIntake } from "../../src/providers/intake.ts";
import type { TestRouter, TestRouterOptions } from "../router.ts";

const undone: (() => unknown)[] = [];
/** What a test has started ends with it: `afterEach(cleanup.run)`. */
export const cleanup = {
  add: (end: () => unknown) => void undone.push(end),
  async run() {
    for (const end of undone.splice(0).reverse()) await end();
  },
};

export async function router(env: Record<string, string>, more: TestRouterOptions = {}): Promise<TestRouter> {
  // Loaded here: most tests of the wire need no router.
  const { startRouter } = await import("../router.ts");
  const started = await startRouter({ ...more, env });
  cleanup.add(() => started.remove());
  return started;
}

/** Every file below the router's image folder, half-written ones included. */
export function filesOf({ dataFolder }: Pick<TestRouter, "dataFolder">): string[] {
  const entries = readdirSync(join(dataFolder, "images"), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

export interface Answer {
  status: number;
  code: string | undefined;
  /** `x-should-retry`. */
  retry: string | null;
  cost: string | null;
  headers: Headers;
  body: { code?: string; data?: { url?: string; b64_json?: string }[]; size?: string; error?: { message: string } };
}

export async function answerOf(responding: Response | Promise<Response>): Promise<Answer> {
  const response = await responding;
  const { status, headers } = response;
  const body = (await response.json()) as Answer["body"];
  const retry = headers.get("x-should-retry");
  return { status, code: body.code, retry, cost: headers.get("x-arouter-cost-usd"), headers, body };
}

const nothing = async () => {};
/** Keeps nothing. */
export const forgetfulStore: ImageStore = {
  create: async () => ({ write: nothing, finish: nothing, abort: nothing }),
  open: async () => null,
  delete: nothing,
  async *list() {},
};

/** An intake that checks like the real one. */
export function memoryImage(): ImageIntake {
  return takeImage(forgetfulStore, "img-memory", 1 << 20);
}

export interface RawUpstream {
  origin: string;
  /** Requests as they came, to the end of their bodies. */
  requests: string[];
  /** Connections, used or not. */
  connections: number;
}

/** A server without manners: `respond` has the bare socket once a whole request has arrived. */
export function rawUpstream(respond: (socket: Socket, count: number) => unknown): RawUpstream {
  const upstream: RawUpstream = { origin: "", requests: [], connections: 0 };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    upstream.connections += 1;
    sockets.add(socket);
    let received = "";
    socket.on("error", () => {});
    socket.on("data", (data) => {
      received += data.toString("latin1");
      const head = received.indexOf("\r\n\r\n");
      const length = Number(/^content-length: (\d+)/im.exec(received)?.[1] ?? 0);
      if (head < 0 || received.length < head + 4 + length) return;
      upstream.requests.push(received);
      received = "";
      respond(socket, upstream.requests.length);
    });
  }).listen(0, "127.0.0.1");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the raw upstream could not listen");
  upstream.origin = `http://127.0.0.1:${address.port}`;
  cleanup.add(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return upstream;
}

/** A port on which nobody listens. */
export function closedPort(): number {
  const server = createServer().listen(0, "127.0.0.1");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Self-signed, for `files.test` alone, valid for a century; it guards nothing. */
export const tlsCertificate = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQglErvxmDeKIBFhG1l
zls3IQtYMTt75btRw8194dVzGxuhRANCAARhBGeCugwmW0lmG5c9rs9FlruTCS70
YvUawEqrBWquFQHExBKDptLJDdg/3fYB9yeoY0vc+bmyU6KyxKJ1qw2T
-----END PRIVATE KEY-----
`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBlzCCAT6gAwIBAgIUbP1cuqZRukKDMnoTeN9MwIVypGMwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKZmlsZXMudGVzdDAgFw0yNjExMjIxNjE3MzRaGA8yMTI2MTAy
OTE2MTczNFowFTETMBEGA1UEAwwKZmlsZXMudGVzdDBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABGEEZ4K6DCZbSWYblz2uz0WWu5MJLvRi9RrASqsFaq4VAcTEEoOm
0skN2D/d9gH3J6hjS9z5ubJTorLEonWrDZOjajBoMB0GA1UdDgQWBBT3/GyH616y
5B3T/jCdMt/09Skk9TAfBgNVHSMEGDAWgBT3/GyH616y5B3T/jCdMt/09Skk9TAP
BgNVHRMBAf8EBTADAQH/MBUGA1UdEQQOMAyCCmZpbGVzLnRlc3QwCgYIKoZIzj0E
AwIDRwAwRAIgPxDy3yaLQNNJGzTApOKwInGViAapAj6IbAcwBVl6zFMCIFcUE3iw
vf2YonCOmf4YtJNglUP4mKxRb9hRHujD5/MK
-----END CERTIFICATE-----
`,
};

export interface Vendor {
  name: "openai" | "stability" | "replicate";
  /** The shortest good request for one picture. */
  body: Record<string, unknown>;
  keyVariable: string;
  urlVariable: string;
  /** What its clients' base URL has behind the origin. */
  path: string;
}

export const vendors: readonly [openai: Vendor, stability: Vendor, replicate: Vendor] = [
  {
    name: "openai",
    body: { model: "openai/dall-e-2", prompt: "a lighthouse", size: "256x256" },
    keyVariable: "OPENAI_API_KEY",
    urlVariable: "OPENAI_BASE_URL",
    path: "/v1",
  },
  {
    name: "stability",
    body: { model: "stability/stable-diffusion-3-large", prompt: "a lighthouse" },
    keyVariable: "STABILITY_API_KEY",
    urlVariable: "STABILITY_BASE_URL",
    path: "",
  },
  {
    name: "replicate",
    body: { model: "black-forest-labs/flux-1-pro", prompt: "a lighthouse", size: "256x256", output_format: "png" },
    keyVariable: "REPLICATE_API_TOKEN",
    urlVariable: "REPLICATE_BASE_URL",
    path: "/v1",
  },
];

/** Settings for a vendor somewhere: a double, or any origin. */
export function envFor(vendor: Vendor, upstream: { origin: string; key?: string }): Record<string, string> {
  return {
    [vendor.keyVariable]: upstream.key ?? "upstream-canary-key",
    [vendor.urlVariable]: upstream.origin + vendor.path,
  };
}

/** Settings with every vendor at the same address. */
export function envForAll(upstream: { origin: string; key?: string }): Record<string, string> {
  return Object.assign({}, ...vendors.map((vendor) => envFor(vendor, upstream)));
}

/** What a client is told when nothing came and nothing is charged. */
export async function expectFailure(
  responding: Response | Promise<Response>,
  expected: { status: number; code: string; retry: boolean },
): Promise<Answer> {
  const answer = await answerOf(responding);
  const { status, code, retry, cost } = answer;
  expect({ status, code, retry, cost }).toEqual({ ...expected, retry: String(expected.retry), cost: "0" });
  return answer;
}

export const outcomes = {
  unknown: { status: 502, code: "upstream_outcome_unknown", retry: false },
  timeout: { status: 504, code: "upstream_timeout", retry: false },
  failed: { status: 502, code: "upstream_error", retry: true },
  changed: { status: 502, code: "provider_contract_changed", retry: false },
  refused: { status: 400, code: "content_policy_violation", retry: false },
  internal: { status: 500, code: "internal_error", retry: false },
} as const;
