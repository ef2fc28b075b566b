/** The providers as configured: protocol, address, credentials. */
import { createHash } from "node:crypto";
import { type Catalogue, ModelFileError } from "../catalogue/index.ts";
import type { ProviderConfig } from "../config.ts";
import type { Adapter } from "../providers/provider.ts";
import type { Upstream } from "../providers/transport.ts";

export interface Provider extends ProviderConfig {
  adapter: Adapter;
}

export interface Providers {
  all: readonly Provider[];
  sandbox: Provider;
  find(id: string): Provider | undefined;
}

export function configureProviders(adapters: readonly Adapter[], config: Record<string, ProviderConfig>): Providers {
  const all = adapters.map((adapter): Provider => {
    const settings = config[adapter.id];
    if (settings === undefined) throw new Error(`provider '${adapter.id}' has no configuration`);
    return { ...settings, adapter };
  });
  const sandbox = all.find((provider) => provider.adapter.id === "sandbox");
  if (sandbox === undefined) throw new Error("the sandbox is not among the providers");
  return { all, sandbox, find: (id) => all.find((provider) => provider.adapter.id === id) };
}

/**
 * A route's own address is for servers of one's own. A vendor's key is for the vendor: a model file must not send it
 * elsewhere, and a mistyped provider must not wait for its first request to be found.
 * @throws ModelFileError naming model and route
 */
export function checkRoutes({ models }: Pick<Catalogue, "models">, { find }: Providers): void {
  for (const { id, routes } of models) {
    for (const { provider, baseUrl } of routes) {
      const settings = find(provider)?.adapter.settings;
      if (settings === undefined || settings === null) {
        throw new ModelFileError(
          `${id}: route to '${provider}': expected one of the providers that docs/reference/settings.md lists`,
        );
      }
      if (baseUrl !== undefined && !settings.keyIsOptional) {
        throw new ModelFileError(
          `${id}: route to '${provider}': expected no base_url, as the provider's key would be sent there. Set ${settings.baseUrlVariable} instead.`,
        );
      }
    }
  }
}

/** Names a credential in records without giving it away. */
export function credentialLabel(credential: string): string {
  return credential === "" ? "" : createHash("sha256").update(credential).digest("hex").slice(0, 8);
}

/** Where a route's calls go: the route's own address, else the provider's; null where neither is set. */
export function baseUrlOf(provider: Provider, routeBaseUrl: string | undefined): string | null {
  return routeBaseUrl ?? provider.baseUrl;
}

/** Whether anything can be sent to the provider. */
export function isConfigured(provider: Provider, routeBaseUrl?: string): boolean {
  return provider.credentials.length > 0 && baseUrlOf(provider, routeBaseUrl) !== null;
}

/**
 * @param baseUrl the route's address; one that the operator set is trusted with its own origin for result links
 * @param credential one of the provider's pool
 */
export function upstreamOf(provider: Provider, baseUrl: string, credential: string): Upstream {
  const own = provider.ownBaseUrl || baseUrl !== provider.baseUrl;
  return {
    adapter: provider.adapter,
    baseUrl,
    trustedOrigin: own ? new URL(baseUrl).origin : undefined,
    credential,
  };
}
