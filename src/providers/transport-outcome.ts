/** What an attempt comes to. */
import type { TakenImage } from "./intake.ts";
import type { Failure, Usage } from "./provider.ts";

/** Unix milliseconds by the clock port. Absent: not sent by this attempt, no answer. */
export interface Timings {
  sentAt?: number;
  /** The head of the answer to the call that makes the job. */
  firstByteAt?: number;
}

export interface AttemptImage extends TakenImage {
  revisedPrompt: string | undefined;
}

export type AttemptOutcome =
  | {
      kind: "done";
      images: AttemptImage[];
      usage: Usage | undefined;
      size: string | undefined;
      /** What the upstream says of the result beside its size. */
      echoed?: Record<string, string>;
      /** What the provider says it takes, decimal US dollars. */
      costUsd?: string;
      upstreamId: string | undefined;
      timings?: Timings;
    }
  | { kind: "failed"; failure: Failure; upstreamId: string | undefined; timings?: Timings };

/** So many characters of a credential, left at a cut, are the beginning of it; fewer may be anything. */
const leastTelling = 4;

/** Some upstreams repeat what they were sent, in errors and in headers. The credential goes no further than here. */
export function withoutCredential(outcome: AttemptOutcome, credential: string): AttemptOutcome {
  if (credential === "") return outcome;
  const hide = (text: string) => text.replaceAll(credential, "[key]");
  const upstreamId = outcome.upstreamId === undefined ? undefined : hide(outcome.upstreamId);
  if (outcome.kind === "done") {
    const { images, usage, echoed } = outcome;
    return {
      ...outcome,
      upstreamId,
      images: images.map((image) => ({ ...image, revisedPrompt: image.revisedPrompt && hide(image.revisedPrompt) })),
      usage: usage && (hidden(usage, hide) as Usage),
      ...(echoed && { echoed: hidden(echoed, hide) as Record<string, string> }),
    };
  }
  const told = (text: string) => withoutBeginning(hide(text), credential);
  const { message, param, categories } = outcome.failure;
  const failure: Failure = { ...outcome.failure, message: told(message) };
  if (param !== undefined) failure.param = told(param);
  if (categories !== undefined) failure.categories = categories.map(told);
  return { kind: "failed", failure, upstreamId };
}

/** Long texts are cut (`safeText`), in the middle of a credential as well. */
function withoutBeginning(message: string, credential: string): string {
  if (!message.endsWith("…")) return message;
  const text = message.slice(0, -1);
  for (let length = Math.min(credential.length - 1, text.length); length >= leastTelling; length -= 1) {
    if (text.endsWith(credential.slice(0, length))) return `${text.slice(0, -length)}[key]…`;
  }
  return message;
}

/** A copy of JSON with every text in it changed. */
function hidden(value: unknown, hide: (text: string) => string): unknown {
  if (typeof value === "string") return hide(value);
  if (Array.isArray(value)) return value.map((item) => hidden(item, hide));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [hide(name), hidden(inner, hide)]));
}
