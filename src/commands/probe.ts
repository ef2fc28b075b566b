/** Asks a provider the one question that costs nothing: are you there, and do you take this key? */
import type { Provider } from "../generation/providers.ts";
import type { HttpCall, ProviderJob, ReplyBody } from "../providers/provider.ts";
import { codeOf } from "./failure.ts";

const timeoutMs = 5_000;

/** What a credential's call came to. */
export type ProbeResult =
  | { kind: "accepted" }
  /** Reached, but whether the key is good stays open: the address has no such call, or calls are limited just now. */
  | { kind: "unclear"; message: string }
  /** The provider answers, and will not serve: key, money, or a fault of its own. */
  | { kind: "rejected"; message: string; keyNotAccepted: boolean }
  | { kind: "unreachable"; message: string };

/** One address that a provider is asked at: its own, or one that a model file names for its route. */
export interface ProbeTarget extends Pick<Provider, "adapter" | "ownBaseUrl"> {
  baseUrl: string;
}

/** `read` needs a job; to the answers looked at here it plays no part. */
const noJob: ProviderJob = { operation: "generate", model: "", parameters: {}, count: 1 };

/**
 * @param credential empty where the server may be open
 * @returns null when the provider has no free call
 */
export async function probe(target: ProbeTarget, credential: string): Promise<ProbeResult | null> {
  const call = target.adapter.probe?.();
  if (call === undefined) return null;
  try {
    const response = await send(target, credential, call);
    const body = bodyOf(await response.text());
    const reply = { status: response.status, headers: Object.fromEntries(response.headers), body };
    const result = judge(target, reply, credential);
    // Whatever a server echoes, a key is not shown.
    if (result.kind === "accepted" || credential === "") return result;
    return { ...result, message: result.message.replaceAll(credential, "[key]") };
  } catch (error) {
    if ((error as Error).name === "TimeoutError") {
      return { kind: "unreachable", message: `no answer within ${timeoutMs / 1000} s` };
    }
    const code = codeOf(error);
    if (code === undefined) throw error;
    return { kind: "unreachable", message: `no connection (${code})` };
  }
}

function send({ adapter, baseUrl }: ProbeTarget, credential: string, call: HttpCall): Promise<Response> {
  return fetch(baseUrl + call.url, {
    method: call.method,
    headers: {
      accept: "application/json",
      "user-agent": "arouter",
      ...call.headers,
      ...adapter.authorize(credential),
    },
    // The key must not follow to another origin.
    redirect: "manual",
    signal: AbortSignal.timeout(timeoutMs),
  });
}

function bodyOf(text: string): ReplyBody {
  try {
    return { kind: "json", value: JSON.parse(text) };
  } catch {
    return { kind: "text", text: text.slice(0, 2_000) };
  }
}

function judge(
  { adapter, baseUrl, ownBaseUrl }: ProbeTarget,
  reply: { status: number; headers: Record<string, string>; body: ReplyBody },
  credential: string,
): ProbeResult {
  const { status, body } = reply;
  if (status >= 200 && status < 300) {
    if (body.kind === "json") return { kind: "accepted" };
    return { kind: "rejected", keyNotAccepted: false, message: `answers, but not like ${adapter.name}` };
  }
  if (status === 404 || status === 405) {
    // A compatible server of the operator's need not have this call; the vendor itself has.
    const message = `HTTP ${status} at ${adapter.probe?.().url}`;
    return ownBaseUrl ? { kind: "unclear", message } : { kind: "rejected", keyNotAccepted: false, message };
  }
  if (status === 403) {
    // A key of limited scope may well make pictures without being allowed to ask this.
    return { kind: "unclear", message: `HTTP 403, the key may not ask ${adapter.probe?.().url}` };
  }
  const step = adapter.read({ purpose: "submit", ...reply }, noJob, { baseUrl });
  const failure = step.kind === "failed" ? step.failure : undefined;
  switch (failure?.class) {
    case "auth": {
      const said = credential === "" ? "asks for a key" : "key not accepted";
      return { kind: "rejected", keyNotAccepted: true, message: `${said} (HTTP ${status})` };
    }
    case "quota":
      return { kind: "rejected", keyNotAccepted: false, message: `out of funds or over a limit: ${failure.message}` };
    case "rate_limited":
      return { kind: "unclear", message: "limiting requests just now" };
    default:
      return {
        kind: "rejected",
        keyNotAccepted: false,
        message: failure?.message ?? `HTTP ${status}`,
      };
  }
}
