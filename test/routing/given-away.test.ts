/** Pictures that cost nothing although something was held: a charge of nothing, which the ledger's check understands. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { picture } from "../doubles/picture.ts";
import { type Routing, startRouting, threeRoutes } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

let routing: Routing;
const undone: (() => unknown)[] = [];
// Stopping the router checks its ledger.
afterEach(async () => {
  await routing.stop();
  for (const end of undone.splice(0)) await end();
});

const movements = () =>
  routing.sql<{ kind: string; nanos: number; images: number | null }>(
    "select kind, amount_nanos nanos, images from movements order by rowid",
  );

test("a route that is free answers where a dearer one was held for", async () => {
  const [first, second, third] = threeRoutes.routes;
  const free = { ...second, price: { unit: "image", rows: [{ usd: "0" }], source: "test", checked: "2026-11-22" } };
  const models = mkdtempSync(join(tmpdir(), "arouter-free-"));
  undone.push(() => rmSync(models, { recursive: true, force: true }));
  writeFileSync(join(models, "free.json"), JSON.stringify({ ...threeRoutes, routes: [first, free, third] }));
  routing = await startRouting({ env: { AROUTER_MODELS: models } });
  const answer = await routing.router.generate({
    model: threeRoutes.id,
    prompt: "a cup",
    n: 2,
    provider: { order: ["stability"] },
  });
  expect([answer.status, answer.headers.get("x-arouter-cost-usd")]).toEqual([200, "0"]);
  expect(movements()).toEqual([
    { kind: "hold", nanos: 100_000_000, images: null },
    { kind: "charge", nanos: 0, images: 2 },
    { kind: "release", nanos: 100_000_000, images: null },
  ]);
});

test("a provider says that it takes nothing", async () => {
  const bytes = picture({ width: 1_024, height: 1_024 });
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname, origin } = new URL(request.url);
      if (pathname === "/sample.png") return new Response(bytes, { headers: { "content-type": "image/png" } });
      if (request.method === "POST") return Response.json({ id: "t", polling_url: `${origin}/v1/get_result`, cost: 0 });
      return Response.json({ id: "t", status: "Ready", result: { sample: `${origin}/sample.png` } });
    },
  });
  undone.push(() => server.stop(true));
  routing = await startRouting({ env: { BFL_API_KEY: "one", BFL_BASE_URL: `${server.url.origin}/v1` } });
  const answer = await routing.router.generate({
    model: "black-forest-labs/flux-1.1-pro",
    prompt: "a cup",
    provider: { only: ["bfl"] },
  });
  expect([answer.status, answer.headers.get("x-arouter-cost-usd")]).toEqual([200, "0"]);
  expect(movements().map(({ kind, nanos }) => [kind, nanos])).toEqual([
    ["hold", 40_000_000],
    ["charge", 0],
    ["release", 40_000_000],
  ]);
});
