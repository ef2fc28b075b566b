/** The providers as configured: protocol, address, credentials. */
import { createHash } from "node:crypto";
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

/** Names a credential in records without giving it away. */
export function credentialLabel(credential: string): string {
  return credential === "" ? "" : createHash("sha256").update(credential).digest("hex").slice(0, 8);
}

/** @param credential one of the provider's pool */
export function upstreamOf(provider: Provider, credential: string): Upstream {
  return {
    adapter: provider.adapter,
    baseUrl: provider.baseUrl,
    trustedOrigin: provider.ownBaseUrl ? new URL(provider.baseUrl).origin : undefined,
    credential,
  };
}
