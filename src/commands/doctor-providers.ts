/** Doctor's look at the catalogue and the providers. */
import { type Catalogue, isEnded, type Model } from "../catalogue/index.ts";
import { credentialLabel, type Provider } from "../generation/providers.ts";
import type { Adapter } from "../providers/provider.ts";
import { type Check, checkOf } from "./doctor-check.ts";
import { type ProbeResult, probe } from "./probe.ts";

type Settings = NonNullable<Adapter["settings"]>;

/** Of a list that a line has to hold. */
const mostNamed = 3;

/** @param today ISO date, for end dates */
export async function checkProvider(provider: Provider, catalogue: Catalogue, today: string): Promise<Check> {
  const { adapter, credentials, ownBaseUrl } = provider;
  const { ok, warning, broken } = checkOf(`provider.${adapter.id}`, adapter.name);
  const models = catalogue.models.filter(({ routes }) => routes.some((route) => route.provider === adapter.id));
  const ended = ownBaseUrl ? [] : models.filter((model) => isEnded(model, today) && !hasOwnAddress(model, adapter));
  const addresses = addressesOf(provider, models);
  const configured = credentials.length > 0 && addresses.length > 0;
  const facts: Check["facts"] = {
    configured,
    keys: credentials.filter((credential) => credential !== "").length,
    base_url: provider.baseUrl === null ? null : withoutCredentials(provider.baseUrl),
    own_base_url: ownBaseUrl,
    addresses: addresses.map(withoutCredentials),
    models: models.map((model) => ({ id: model.id, end_date: model.lifecycle.endDate, ended: ended.includes(model) })),
  };
  const { settings } = adapter;
  if (settings === null) return ok("built in, free, every model", facts);
  if (!configured) {
    const { found, variables } = whatIsMissing(provider, settings, addresses);
    if (found !== null) return warning(found, `Set ${variables}, in the environment or in a .env file.`, facts);
    // Nobody needs all of them: one line, and nothing to look at.
    return ok(`not set up; to use it, set ${variables}`, facts);
  }

  const looks = await Promise.all(
    addresses.map(async (address): Promise<Look> => {
      const target = { adapter, baseUrl: address, ownBaseUrl: ownBaseUrl || address !== provider.baseUrl };
      const results = await Promise.all(credentials.map((credential) => probe(target, credential)));
      return { address: withoutCredentials(address), results, trouble: troubles(results, credentials) };
    }),
  );
  Object.assign(facts, summaryOf(looks));
  const message = looks.map((look) => describe(look, credentials)).join("; ");
  const gravest = gravestOf(looks.flatMap(({ trouble }) => trouble?.gravest ?? []));
  if (gravest !== undefined) {
    const at = looks.find(({ trouble }) => trouble?.gravest === gravest);
    const next = nextStep(gravest, settings, at?.address ?? "");
    return gravest.kind === "unclear" ? warning(message, next, facts) : broken(message, next, facts);
  }
  if (ended.length === 0) return ok(message, facts);
  return warning(
    `${message}; past their end date: ${shortList(ended.map(endOf))}`,
    endedAdvice(ended, catalogue, settings.baseUrlVariable),
    facts,
  );
}

const routesOf = ({ routes }: Model, { id }: Adapter) => routes.filter(({ provider }) => provider === id);
const hasOwnAddress = (model: Model, adapter: Adapter) => routesOf(model, adapter).every(({ baseUrl }) => baseUrl);

/** Where the provider is called: at its own base URL, and at those that model files name. */
function addressesOf({ adapter, baseUrl }: Provider, models: Model[]): string[] {
  const named = models.flatMap((model) => routesOf(model, adapter).flatMap((route) => route.baseUrl ?? []));
  return [...new Set([...(baseUrl === null ? [] : [baseUrl]), ...named])];
}

/** @returns `found`: the half that is there, where somebody meant to use the provider; null where nothing is */
function whatIsMissing(
  { credentials, ownBaseUrl }: Provider,
  { keyVariable, baseUrlVariable, defaultBaseUrl, keyIsOptional }: Settings,
  addresses: string[],
): { found: string | null; variables: string } {
  if (credentials.some((credential) => credential !== "")) {
    return { found: "a key, but no address", variables: baseUrlVariable };
  }
  if (ownBaseUrl || addresses.some((address) => address !== defaultBaseUrl)) {
    return { found: "an address, but no key", variables: keyVariable };
  }
  if (defaultBaseUrl !== null) return { found: null, variables: keyVariable };
  return { found: null, variables: keyIsOptional ? baseUrlVariable : `${keyVariable} and ${baseUrlVariable}` };
}

/** What came of asking at one address, with every key. */
interface Look {
  address: string;
  results: Array<ProbeResult | null>;
  trouble: { gravest: Trouble; message: string } | null;
}

type Trouble = Exclude<ProbeResult, { kind: "accepted" }>;

function describe({ address, results, trouble }: Look, credentials: string[]): string {
  const isOpen = credentials.every((credential) => credential === "");
  const keys = isOpen ? "" : credentials.length === 1 ? "1 key, " : `${credentials.length} keys, `;
  const asked = results.some((result) => result !== null);
  const fine = !asked ? "not checked, it has no free call" : isOpen ? "reachable" : "reachable, key accepted";
  return `${keys}${address}: ${trouble?.message ?? fine}`;
}

/** In data: of all addresses together; null where nothing could be asked. */
function summaryOf(looks: Look[]): { accepted_keys: number | null; reachable: boolean | null } {
  const asked = looks.filter(({ results }) => results.some((result) => result !== null));
  if (asked.length === 0) return { accepted_keys: null, reachable: null };
  const keys = asked[0]?.results.keys() ?? [];
  const accepted = [...keys].filter((index) => asked.every(({ results }) => results[index]?.kind === "accepted"));
  const reached = asked.every(({ results }) => results.some((result) => result?.kind !== "unreachable"));
  return { accepted_keys: accepted.length, reachable: reached };
}

/** All troubles in words, naming the keys of a pool by position and by the label that attempts are recorded with. */
function troubles(results: Look["results"], credentials: string[]): Look["trouble"] {
  const keysByMessage = new Map<string, number[]>();
  const found: Trouble[] = [];
  for (const [index, result] of results.entries()) {
    if (result === null || result.kind === "accepted") continue;
    found.push(result);
    keysByMessage.set(result.message, [...(keysByMessage.get(result.message) ?? []), index]);
  }
  const gravest = gravestOf(found);
  if (gravest === undefined) return null;
  const sentences = [...keysByMessage].map(([message, indexes]) => {
    if (indexes.length === results.length) return message;
    const which = indexes.map((index) => `key ${index + 1} (${credentialLabel(credentials[index] ?? "")})`);
    return `${which.join(", ")}: ${message}`;
  });
  return { gravest, message: sentences.join("; ") };
}

function gravestOf(found: Trouble[]): Trouble | undefined {
  const order: Array<Trouble["kind"]> = ["rejected", "unreachable", "unclear"];
  return order.map((kind) => found.find((trouble) => trouble.kind === kind)).find((trouble) => trouble !== undefined);
}

function nextStep(trouble: Trouble, { keyVariable, baseUrlVariable }: Settings, address: string): string {
  switch (trouble.kind) {
    case "unreachable":
      return `Check that this machine reaches ${address} (${baseUrlVariable}), and its proxy settings.`;
    case "unclear":
      return `If pictures come from it, all is well; otherwise check ${baseUrlVariable}, and try again in a minute.`;
    case "rejected":
      return trouble.keyNotAccepted
        ? `Put a valid key into ${keyVariable}, and check that it belongs to ${address}.`
        : `Look at the provider's status and your account there, and check ${baseUrlVariable}.`;
  }
}

const endOf = (model: Model): string => `${model.id} (${model.lifecycle.endDate})`;

function endedAdvice(ended: Model[], catalogue: Catalogue, baseUrlVariable: string): string {
  const successors = new Set(ended.flatMap(({ lifecycle }) => lifecycle.successor ?? []));
  const available = [...successors].filter((id) => catalogue.find(id) !== undefined);
  const instead = available.length === 0 ? "Set" : `Use ${shortList(available, " or ")} instead, or set`;
  return `${instead} ${baseUrlVariable} to an upstream that still serves them. The sandbox draws them for lr_test_ keys.`;
}

function shortList(names: string[], separator = ", "): string {
  if (names.length <= mostNamed) return names.join(separator);
  return `${names.slice(0, mostNamed).join(", ")} and ${names.length - mostNamed} more`;
}

/** A base URL may carry a password for a proxy in front of the provider. */
function withoutCredentials(baseUrl: string): string {
  const url = new URL(baseUrl);
  if (url.username === "" && url.password === "") return baseUrl;
  url.username = "";
  url.password = "";
  return url.href.replace(/\/+$/, "");
}
