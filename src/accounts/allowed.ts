/** Which models and providers a key may use. Lists hold ids as they were given: prefixed, bare (`openai/…`) or an alias. */
import { PublicError } from "../errors.ts";
import type { Key } from "./keys.ts";

/** What of a model its names are. */
interface Named {
  /** `author/model`. */
  id: string;
  aliases: readonly string[];
}

/** @throws PublicError model_not_allowed */
export function checkModelAllowed(key: Key, model: Named): void {
  if (mayUseModel(key, model)) return;
  throw new PublicError("model_not_allowed", `This key may not use the model '${model.id}'.`, { param: "model" });
}

/** @throws PublicError provider_not_allowed */
export function checkProviderAllowed(key: Key, provider: string): void {
  if (mayUseProvider(key, provider)) return;
  throw new PublicError("provider_not_allowed", `This key may not use the provider '${provider}'.`);
}

export function mayUseModel(key: Key, { id, aliases }: Named): boolean {
  const allowed = idList(key.allowed_models);
  if (allowed === null) return true;
  return allowed.some((name) => name === id || `openai/${name}` === id || aliases.includes(name));
}

/** A test key knows the sandbox only, whatever its list says: it plays every provider. */
export function mayUseProvider(key: Key, provider: string): boolean {
  const allowed = idList(key.allowed_providers);
  return allowed === null || key.kind === "test" || allowed.includes(provider);
}

/** A list as it is stored; null: all. */
export function idList(json: string | null): string[] | null {
  return json === null ? null : JSON.parse(json);
}
