/** `GET /api/v1/providers`: how this program's upstreams stand, for the operator. */
import type { Hono } from "hono";
import type { Catalogue } from "../catalogue/index.ts";
import type { Health } from "../generation/health.ts";
import { baseUrlOf, credentialLabel, isConfigured, type Provider } from "../generation/providers.ts";
import { methods } from "./methods.ts";
import { authenticate, requireManagement } from "./request.ts";
import type { Env, Server } from "./types.ts";

export function addProviders(app: Hono<Env>, server: Server): void {
  methods(app, "/api/v1/providers", {
    GET: async (c) => {
      requireManagement(await authenticate(server, c));
      return c.json({ data: server.providers.all.map((provider) => providerObject(provider, server)) });
    },
  });
}

function providerObject(provider: Provider, { health, catalogue }: Pick<Server, "health" | "catalogue">) {
  const { adapter, baseUrl } = provider;
  return {
    id: adapter.id,
    name: adapter.name,
    configured: isConfigured(provider),
    // The sandbox is in this program: its address is none.
    base_url: baseUrl === null || adapter.settings === null ? null : withoutSecrets(baseUrl),
    credentials: credentialsOf(provider, health),
    latencies: latenciesOf(provider, catalogue, health),
  };
}

/** All of the pool, also those that nothing has been sent with yet. */
function credentialsOf({ adapter, credentials }: Provider, health: Health) {
  const seen = health.credentials(adapter.id).map(({ credential, running, waiting, parked, routes }) => ({
    credential,
    running,
    waiting,
    parked: parked === null ? null : { reason: parked.reason, until: new Date(parked.untilMs).toISOString() },
    routes,
  }));
  const unseen = credentials
    .map(credentialLabel)
    .filter((label) => !seen.some(({ credential }) => credential === label))
    .map((credential) => ({ credential, running: 0, waiting: 0, parked: null, routes: [] }));
  return [...seen, ...unseen];
}

/** Running means of successful calls, by the provider's name of the model; only of what has been called. */
function latenciesOf(provider: Provider, catalogue: Catalogue, health: Health) {
  const { id } = provider.adapter;
  const found = new Map<string, { model: string; base_url: string; mean_ms: number }>();
  for (const route of catalogue.models.flatMap(({ routes }) => routes)) {
    const baseUrl = baseUrlOf(provider, route.baseUrl);
    if (route.provider !== id || baseUrl === null) continue;
    for (const model of [route.model, route.editModel ?? route.model]) {
      const meanMs = health.latencyMs({ provider: id, baseUrl, model });
      if (meanMs === undefined) continue;
      found.set(`${baseUrl} ${model}`, { model, base_url: withoutSecrets(baseUrl), mean_ms: Math.round(meanMs) });
    }
  }
  return [...found.values()];
}

/** An operator may have put a name and password, or a token, into the address. */
function withoutSecrets(address: string): string {
  const url = new URL(address);
  return `${url.origin}${url.pathname}`.replace(/\/$/, "");
}
