/**
 * A second port that passes everything on to the double's own: what `api.us1.bfl.ai` is to `api.bfl.ai` (§5). Bytes go
 * through untouched, so that faults on the wire show there too; the `host` header of a recorded request tells which
 * of the two it came to.
 */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export class Cluster {
  readonly origin: string;
  readonly #server: ReturnType<typeof createServer>;
  readonly #sockets = new Set<Socket>();

  constructor(apiOrigin: string) {
    const port = Number(new URL(apiOrigin).port);
    this.#server = createServer((client) => {
      const api = connect(port, "127.0.0.1");
      this.#join(client, api);
      this.#join(api, client);
    });
    this.#server.listen(0, "127.0.0.1");
    // Bun binds at once, so the address is known without waiting for "listening".
    this.origin = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Whether a request with this `host` header came here. */
  isAt(host: string | undefined): boolean {
    return host === new URL(this.origin).host;
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.pipe(to);
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}
