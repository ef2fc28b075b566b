/** Doctor's look at the catalogue and the providers. */
import { type Catalogue, isEnded, type Model } from "../catalogue/index.ts";
import { credentialLabel, type Provider } from "../generation/providers.ts";
import { type Check, checkOf } from "./doctor-check.ts";
import { type ProbeResult, probe } from "./probe.ts";

/** @param today ISO date, for end dates */
export async function checkProvider(provider: Provider, catalogue: Catalogue, today: string): Promise<Check> {
  const { adapter, credentials, ownBaseUrl } = provider;
  const { ok, warning, broken } = checkOf(`provider.${adapter.id}`, adapter.name);
  const models = catalogue.models.filter(({ routes }) => routes.some((route) => route.provider === adapter.id));
  const ended = ownBaseUrl ? [] : models.filter((model) => isEnded(model, today));
  const baseUrl = withoutCredentials(provider.baseUrl);
  const facts: Check["facts"] = {
    keys: credentials.length,
    base_url: baseUrl,
    own_base_url: ownBaseUrl,
    models: models.map((model) => ({ id: model.id, end_date: model.lifecycle.endDate, ended: ended.includes(model) })),
  };
  if (adapter.settings === null) return ok("built in, free, every model", facts);
  const { keyVariable, baseUrlVariable } = adapter.settings;
  if (credentials.length === 0) {
    const use = models.length === 0 ? "" : ` for ${models.map(({ id }) => id).join(", ")}`;
    return warning("no key", `Set ${keyVariable}${use}, in the environment or in a .env file.`, facts);
  }

  const results = await Promise.all(credentials.map((credential) => probe(provider, credential)));
  const found = results.filter((result) => result !== null);
  facts.accepted_keys = found.length === 0 ? null : found.filter(({ kind }) => kind === "accepted").length;
  facts.reachable = found.length === 0 ? null : found.some(({ kind }) => kind !== "unreachable");
  const keys = credentials.length === 1 ? "1 key" : `${credentials.length} keys`;
  const problem = troubles(results, credentials);
  if (problem !== null) {
    const message = `${keys}, ${baseUrl}: ${problem.message}`;
    const next = nextStep(problem.gravest, { keyVariable, baseUrlVariable, baseUrl });
    return problem.gravest.kind === "unclear" ? warning(message, next, facts) : broken(message, next, facts);
  }
  const message = `${keys}, ${baseUrl}: ${found.length === 0 ? "not checked, it has no free call" : "reachable, key accepted"}`;
  if (ended.length === 0) return ok(message, facts);
  return warning(
    `${message}; past their end date: ${ended.map(endOf).join(", ")}`,
    endedAdvice(ended, catalogue, baseUrlVariable),
    facts,
  );
}

type Trouble = Exclude<ProbeResult, { kind: "accepted" }>;

/** All troubles in words, naming the keys of a pool by position and by the label that attempts are recorded with. */
function troubles(
  results: Array<ProbeResult | null>,
  credentials: string[],
): { gravest: Trouble; message: string } | null {
  const keysByMessage = new Map<string, number[]>();
  const found: Trouble[] = [];
  for (const [index, result] of results.entries()) {
    if (result === null || result.kind === "accepted") continue;
    found.push(result);
    keysByMessage.set(result.message, [...(keysByMessage.get(result.message) ?? []), index]);
  }
  const gravest = (["rejected", "unreachable", "unclear"] as const)
    .map((kind) => found.find((result) => result.kind === kind))
    .find((result) => result !== undefined);
  if (gravest === undefined) return null;
  const sentences = [...keysByMessage].map(([message, indexes]) => {
    if (indexes.length === results.length) return message;
    const which = indexes.map((index) => `key ${index + 1} (${credentialLabel(credentials[index] ?? "")})`);
    return `${which.join(", ")}: ${message}`;
  });
  return { gravest, message: sentences.join("; ") };
}

function nextStep(
  result: Trouble,
  { keyVariable, baseUrlVariable, baseUrl }: { keyVariable: string; baseUrlVariable: string; baseUrl: string },
): string {
  switch (result.kind) {
    case "unreachable":
      return `Check that this machine reaches ${baseUrl} (${baseUrlVariable}), and its proxy settings.`;
    case "unclear":
      return `If pictures come from it, all is well; otherwise check ${baseUrlVariable}, and try again in a minute.`;
    case "rejected":
      return result.keyNotAccepted
        ? `Put a valid key into ${keyVariable}, and check that it belongs to ${baseUrl}.`
        : `Look at the provider's status and your account there, and check ${baseUrlVariable}.`;
  }
}

const endOf = (model: Model): string => `${model.id} (${model.lifecycle.endDate})`;

function endedAdvice(ended: Model[], catalogue: Catalogue, baseUrlVariable: string): string {
  const successors = new Set(ended.flatMap(({ lifecycle }) => lifecycle.successor ?? []));
  const available = [...successors].filter((id) => catalogue.find(id) !== undefined);
  const instead = available.length === 0 ? "" : `Use ${available.join(" or ")} instead, or set`;
  return `${instead === "" ? "Set" : instead} ${baseUrlVariable} to an upstream that still serves them. The sandbox draws them for lr_test_ keys.`;
}

/** A base URL may carry a password for a proxy in front of the provider. */
function withoutCredentials(baseUrl: string): string {
  const url = new URL(baseUrl);
  if (url.username === "" && url.password === "") return baseUrl;
  url.username = "";
  url.password = "";
  return url.href.replace(/\/+$/, "");
}
