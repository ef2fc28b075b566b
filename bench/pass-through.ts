/** Floor 1: moves the request to the upstream and the answer back, and does nothing else. */
import { given, ready } from "./child.ts";

const upstream = given("BENCH_UPSTREAM");

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0,
  async fetch(request) {
    const { pathname } = new URL(request.url);
    const answer = await fetch(upstream + pathname, {
      method: request.method,
      headers: { "content-type": "application/json", authorization: "Bearer sk-bench" },
      body: request.body,
    });
    const contentType = answer.headers.get("content-type") ?? "application/json";
    return new Response(answer.body, { status: answer.status, headers: { "content-type": contentType } });
  },
});

ready({ origin: server.url.origin, key: "none" });
