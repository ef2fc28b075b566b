/** A TCP proxy that cuts connections, each at the moment that was told for it. The connections after those pass. */

import type { AddressInfo } from "node:net";
import { createServer, connect as open, type Socket } from "node:net";

export type Cut =
  /** As soon as the client has connected. */
  | "onConnect"
  /** When the client has sent its request, of which nothing is passed on. */
  | "requestNotPassed"
  /** When all but the last bytes of the request have been passed on. */
  | "requestPassedInPart"
  /** When the whole request has been passed on and `until` has come. */
  | { until: () => Promise<unknown> }
  /** When this many bytes of the answer have been passed on. */
  | { answerBytes: number };

export interface CuttingProxy {
  url: string;
  /** How many connections there were. */
  readonly connections: number;
  stop(): Promise<void>;
}

export async function startCuttingProxy(target: string, cuts: Cut[]): Promise<CuttingProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((client) => {
    connections += 1;
    sockets.add(client);
    pass(client, () => open(Number(port), hostname), cuts.shift());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() {
      return connections;
    },
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function pass(client: Socket, connect: () => Socket, cut: Cut | undefined): void {
  client.on("error", () => {});
  if (cut === "onConnect") return void client.destroy();
  if (cut === "requestNotPassed") return void client.once("data", () => client.destroy());
  const router = connect();
  const end = () => {
    client.destroy();
    router.destroy();
  };
  router.on("error", end);
  router.on("close", () => client.destroy());
  client.on("close", () => router.destroy());
  const arrived: Buffer[] = [];
  client.on("data", (chunk: Buffer) => {
    if (cut !== "requestPassedInPart") router.write(chunk);
    arrived.push(chunk);
    if (!isWhole(Buffer.concat(arrived))) return;
    if (cut === "requestPassedInPart") {
      const request = Buffer.concat(arrived);
      // Given time to be read, so that the router has seen the request begin.
      router.write(request.subarray(0, request.length - 3), () => setTimeout(end, 50));
    } else if (typeof cut === "object" && "until" in cut) void cut.until().then(end);
  });
  let passed = 0;
  router.on("data", (chunk: Buffer) => {
    if (typeof cut !== "object" || !("answerBytes" in cut)) return void client.write(chunk);
    const part = chunk.subarray(0, cut.answerBytes - passed);
    passed += part.length;
    client.write(part, () => {
      if (passed >= cut.answerBytes) end();
    });
  });
}

/** Headers and a body of the declared length. */
function isWhole(request: Buffer): boolean {
  const headersEnd = request.indexOf("\r\n\r\n");
  if (headersEnd < 0) return false;
  const length = Number(/content-length: (\d+)/i.exec(request.toString("latin1", 0, headersEnd))?.[1] ?? 0);
  return request.length >= headersEnd + 4 + length;
}
