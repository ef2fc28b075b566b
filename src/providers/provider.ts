/**
 * The contract between the router and one upstream wire protocol.
 *
 * An adapter is data and pure functions: `submit` says which HTTP call starts a job, `read` (and, for event streams,
 * `readEvent`) says what a reply means. It never touches the network, the clock, money or the database; `transport.ts`
 * does the calling. Three kinds of upstream fit: answer at once (`done`), submit and poll (`pending` … `done`), and
 * event streams (`partial` … `done`).
 */
import type { InputFile } from "./input.ts";

/** What a request asks for: a picture from words, or a change of pictures that the client gives. */
export type Operation = "generate" | "edit";

/** One upstream call's share of a generation, in the vendor's own words (see the route's `fields` in `models/`). */
export interface ProviderJob {
  operation: Operation;
  /** The upstream's name of the model, e.g. `dall-e-3` or `black-forest-labs/flux-pro`. */
  model: string;
  /**
   * Parameters already mapped to the vendor's field names and values, prompt included. The client's pictures stand in it
   * as `InputFile`s, alone or in arrays.
   */
  parameters: Readonly<Record<string, unknown>>;
  /** Pictures asked of this one call; never above the route's `max_images_per_call`. */
  count: number;
  /** Set where the client wants an event stream and the route can give one. */
  stream?: { partialImages: number };
}

export interface HttpCall {
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** A path below the provider's base URL (`/images/generations`) or an absolute URL on the same origin. */
  url: string;
  headers?: Record<string, string>;
  /** Both kinds may hold `InputFile`s: anywhere in a JSON value; as fields of a multipart body, where an array repeats the field. */
  body?:
    | { kind: "json"; value: unknown }
    | { kind: "multipart"; fields: Record<string, string | InputFile | InputFile[]> };
}

/**
 * Picture bytes that came inside a reply. They have been streamed away already: the JSON an adapter reads carries
 * this handle where the base64 string stood.
 */
export class InlineImage {
  readonly index: number;
  constructor(index: number) {
    this.index = index;
  }
}

export type ReplyBody =
  /** A complete JSON document; strings under the adapter's `inlineImageFields` are `InlineImage` handles. */
  | { kind: "json"; value: unknown }
  /** A picture as the body itself (`content-type: image/*`). */
  | { kind: "image"; image: InlineImage }
  /** Anything else, complete: an HTML error page, broken JSON, nothing at all. At most `maxTextChars` characters. */
  | { kind: "text"; text: string };

export interface Reply {
  /** Which call this answers: the first one, or a later look at a pending job. */
  purpose: "submit" | "poll";
  /**
   * On a poll, the pending step that asked for it: the first one, or the latest that `read` answered. An adapter answers
   * this very step again where the job goes on and the reply does not say where to ask next (BFL's looks name no URL).
   */
  pending?: PendingStep;
  status: number;
  /** Header names in lower case. */
  headers: Readonly<Record<string, string>>;
  body: ReplyBody;
}

/** A delivered picture: in the reply itself, or to be fetched (without credentials) from a link in the reply. */
export interface DeliveredImage {
  source: InlineImage | { url: string };
  /** The prompt really used, only where the upstream says so. */
  revisedPrompt?: string;
}

/**
 * What went wrong, in the router's classes (upstream-apis.md §10). The class decides the client's error code;
 * see `generation/failures.ts`. `message` is the vendor's wording and is shown only where the class allows it.
 */
export type FailureClass =
  /** The provider does not accept our credential. */
  | "auth"
  /** The provider rejects a parameter that the catalogue let through. */
  | "invalid_request"
  /** Content refused, input or output. */
  | "refused"
  | "rate_limited"
  /** Out of money or over a spending cap at the provider: the operator must act. */
  | "quota"
  /** The provider does not serve this model (any more). */
  | "model_unavailable"
  /** A complete answer that says the provider failed. */
  | "upstream_error"
  /** A complete answer that cannot be understood: unknown status, wrong shape, not a picture. */
  | "contract_changed"
  /** Never sent: refused connection, name not resolved, TLS. Transport only. */
  | "unreachable"
  /** Cut or truncated after sending, or made and deleted again: a billable result may exist. */
  | "outcome_unknown"
  /** The attempt's whole life is over. Transport only. */
  | "timeout";

export interface Failure {
  class: FailureClass;
  /** Vendor's wording, or ours where the vendor says nothing. No secrets, no picture bytes. */
  message: string;
  /** For `invalid_request`: the vendor's field, if named. */
  param?: string;
  /** For `refused`: the vendor's categories, if named. */
  categories?: string[];
  /** For `rate_limited` (and 503): how long the vendor asks to wait. */
  retryAfterMs?: number;
}

/** Token counts as OpenAI reports them; passed on as they are. */
export type Usage = Record<string, unknown>;

export type Step =
  | {
      kind: "done";
      images: DeliveredImage[];
      usage?: Usage;
      upstreamId?: string;
      /** Echoed `WxH`. */
      size?: string;
      /** What the upstream echoes about the result beside its size, e.g. `quality`, `background`, `output_format`. */
      echoed?: Record<string, string>;
      /** What the provider itself says it takes for this call, where it says so: decimal US dollars, at most 9 decimals. */
      costUsd?: string;
    }
  | PendingStep
  | { kind: "failed"; failure: Failure; upstreamId?: string };

/** The job runs upstream. `upstreamId` and `poll` are on disk before the waiting begins. */
export interface PendingStep {
  kind: "pending";
  upstreamId: string;
  poll: HttpCall;
  cancel?: HttpCall;
  afterMs: number;
  /**
   * `read` decides about this poll's answer whatever its HTTP status, e.g. where a job's own failure is answered with
   * the status it failed with (fal), and may answer `pending` again. Elsewhere a status other than 2xx is passing
   * trouble of the poll alone, and the poll is made again.
   */
  finalStatuses?: true;
  /** Told at submission by some (BFL); kept with the job and used unless a later step says another. */
  costUsd?: string;
}

/** One event of a `text/event-stream` reply. */
export interface ServerEvent {
  /** The `event:` line; empty where there is none. */
  name: string;
  /** Parsed JSON with `InlineImage` handles as in a reply, or the text where it is not JSON (`[DONE]`). */
  data: unknown;
  /** Of the reply that carries the stream, names in lower case. */
  headers: Readonly<Record<string, string>>;
}

/** What an event means. After `done` or `failed` the rest of the stream is not read. */
export type StreamStep =
  | Exclude<Step, { kind: "pending" }>
  /** A preview; `facts` are the event's other fields as the vendor sent them. */
  | { kind: "partial"; image: InlineImage; index: number; facts: Record<string, unknown> }
  /** Nothing of interest: a progress note, a `[DONE]`. */
  | { kind: "ignored" };

export interface Adapter {
  /** `openai`, `stability`, `replicate`, `sandbox`: the provider's name in the API, in headers and in model files. */
  id: string;
  /** The vendor's name as people write it. */
  name: string;
  /** Environment variables and their defaults; null for a provider that needs nothing (the sandbox). */
  settings: {
    keyVariable: string;
    baseUrlVariable: string;
    /** Null where there is none: a self-hosted server, or a resource of one's own. */
    defaultBaseUrl: string | null;
    /** Set where the server may be open: a base URL is enough then. */
    keyIsOptional?: true;
  } | null;
  /** Headers that carry the credential. The transport adds them to calls to the provider's own origin only. */
  authorize(credential: string): Record<string, string>;
  /** JSON keys whose string values are base64 pictures, e.g. `b64_json`. */
  inlineImageFields: readonly string[];
  /** The field that this protocol cannot carry as it is, e.g. a prompt with a sign that would end it; absent or undefined: none. */
  objection?(job: ProviderJob): string | undefined;
  submit(job: ProviderJob, context: { baseUrl: string }): HttpCall;
  read(reply: Reply, job: ProviderJob, context: { baseUrl: string }): Step;
  /** Present where the protocol has event streams: reads one event of a successful `text/event-stream` reply. */
  readEvent?(event: ServerEvent, job: ProviderJob): StreamStep;
  /**
   * What the picture of an event is, by the event's name: known before the data comes, so that a final picture goes
   * straight to its place and a preview that nobody wants is not kept. Of a name that is not here `readEvent` decides at
   * the end of the event, and the picture is held in memory until then.
   */
  eventPictures?: Readonly<Record<string, "preview" | "final">>;
  /**
   * A call that costs nothing and needs the credential, for `arouter doctor`: JSON with 2xx means that the provider is
   * there and takes the key, and what any other answer means is `read`'s to say. Absent where the vendor has no such call.
   */
  probe?(): HttpCall;
  /** Set where hanging up ends the work at no cost; elsewhere a call that has been sent is waited for. */
  hangUpIsFree?: true;
  /** Jobs that one credential may have at once, where the vendor documents it; `model` is the upstream's name. */
  maxConcurrent?(model: string): number | undefined;
  /** Origins beside the base URL's own that may be sent the credential, e.g. BFL's clusters. Exact origins or `https://*.bfl.ai`. */
  ownOrigins?: readonly string[];
  /** Answers calls in this process instead of the network; only the sandbox has one. */
  local?: (request: Request) => Promise<Response>;
}
