/**
 * The only place that talks to providers. Calls an adapter's HTTP calls, polls pending jobs, fetches result links and
 * gives pictures to their intakes while they arrive. Credentials go to the provider's own origin only.
 */
import type { Clock } from "../ports.ts";
import type { Resolve } from "./address.ts";
import { download } from "./download.ts";
import { parseInlineJson, ReplyTooLongError, readInlineJson } from "./inline-json.ts";
import { type ImageIntake, ImageIntakeError, ImageStoreError, type TakenImage, tellingAtTheEnd } from "./intake.ts";
import {
  type Adapter,
  type DeliveredImage,
  type Failure,
  type FailureClass,
  type HttpCall,
  InlineImage,
  type ProviderJob,
  type Reply,
  type ReplyBody,
  type Step,
  type Usage,
} from "./provider.ts";

/** Largest reply without its pictures. Real ones are a few kilobytes. */
const maxRestBytes = 4 << 20;
/** Of a reply that is not JSON, this much is shown to the adapter. */
const maxTextChars = 2_000;
const minPollDelayMs = 250;
const maxPollDelayMs = 5_000;
const pollBackoff = 1.3;
/** A finished job may answer nonsense through a bad proxy now and then, but not for ever. */
const maxUnreadablePolls = 3;
const cancelTimeoutMs = 10_000;

/** An upstream as configured: protocol, address, and the credential chosen for this attempt. */
export interface Upstream {
  adapter: Adapter;
  /** Without a trailing slash. */
  baseUrl: string;
  /** Set when the operator set the base URL. */
  trustedOrigin: string | undefined;
  credential: string;
}

export interface TransportPorts {
  fetch: typeof fetch;
  resolve: Resolve;
  clock: Clock;
}

export interface AttemptHooks {
  /** Where a picture goes. @param index its position among the attempt's pictures */
  newImage(index: number): ImageIntake;
  /**
   * Awaited before the waiting begins: makes the upstream's id and the way back to it durable. When that fails, the
   * upstream job is canceled: nobody could come back to it.
   */
  onPending(pending: PendingJob): Promise<void>;
}

/** What is needed to come back to an upstream job, also after a restart. */
export type PendingJob = Pick<Extract<Step, { kind: "pending" }>, "upstreamId" | "poll" | "cancel" | "afterMs">;

export interface AttemptImage extends TakenImage {
  revisedPrompt: string | undefined;
}

export type AttemptOutcome =
  | {
      kind: "done";
      images: AttemptImage[];
      usage: Usage | undefined;
      size: string | undefined;
      upstreamId: string | undefined;
    }
  | { kind: "failed"; failure: Failure; upstreamId: string | undefined };

/** A failure that the transport itself found: nothing the adapter could read. */
class TransportFailure extends Error {
  readonly failureClass: FailureClass;
  constructor(failureClass: FailureClass, message: string) {
    super(message);
    this.failureClass = failureClass;
  }
}

/**
 * One attempt: one upstream call with everything that belongs to it, within `timeoutMs`. Never rejects for what an
 * upstream does. With `resume`, nothing is submitted: the pending job is picked up again. When `cancel` aborts, a pending
 * job is canceled upstream and what the upstream then says it delivered is the outcome.
 */
export async function runAttempt(
  upstream: Upstream,
  job: ProviderJob,
  hooks: AttemptHooks,
  ports: TransportPorts,
  options: { timeoutMs: number; cancel?: AbortSignal; resume?: PendingJob },
): Promise<AttemptOutcome> {
  const life = new AbortController();
  const timer = setTimeout(() => life.abort(), options.timeoutMs);
  const attempt = new Attempt(upstream, job, hooks, ports, {
    life: life.signal,
    cancel: options.cancel ?? new AbortController().signal,
  });
  try {
    return withoutCredential(await attempt.run(options.resume), upstream.credential);
  } catch (error) {
    const failure = attempt.explain(error);
    if (failure === null) throw error;
    return withoutCredential({ kind: "failed", failure, upstreamId: attempt.upstreamId }, upstream.credential);
  } finally {
    clearTimeout(timer);
    await attempt.discardUnused();
  }
}

/** Some upstreams repeat what they were sent, in errors and in headers. The credential goes no further than here. */
function withoutCredential(outcome: AttemptOutcome, credential: string): AttemptOutcome {
  if (credential === "") return outcome;
  const hide = (text: string) => text.replaceAll(credential, "[key]");
  const upstreamId = outcome.upstreamId === undefined ? undefined : hide(outcome.upstreamId);
  if (outcome.kind === "done") return { ...outcome, upstreamId };
  const { message, param, categories } = outcome.failure;
  const failure: Failure = { ...outcome.failure, message: hide(message) };
  if (param !== undefined) failure.param = hide(param);
  if (categories !== undefined) failure.categories = categories.map(hide);
  return { kind: "failed", failure, upstreamId };
}

class Attempt {
  upstreamId: string | undefined;
  private readonly upstream: Upstream;
  private readonly job: ProviderJob;
  private readonly hooks: AttemptHooks;
  private readonly ports: TransportPorts;
  /** Ends calls: the attempt's life, and a cancellation where hanging up is free. */
  private readonly signal: AbortSignal;
  /** Every picture that was begun, and those among them that are delivered. */
  private readonly begun: ImageIntake[] = [];
  private readonly canceled: AbortSignal;
  /** Pictures that came inside a reply, by `InlineImage.index`. */
  private readonly inline: ImageIntake[] = [];
  private readonly used = new Set<ImageIntake>();

  constructor(
    upstream: Upstream,
    job: ProviderJob,
    hooks: AttemptHooks,
    ports: TransportPorts,
    signals: { life: AbortSignal; cancel: AbortSignal },
  ) {
    this.upstream = upstream;
    this.job = job;
    this.hooks = hooks;
    this.ports = ports;
    this.canceled = signals.cancel;
    this.signal = upstream.adapter.hangUpIsFree ? AbortSignal.any([signals.life, signals.cancel]) : signals.life;
  }

  async run(resume: PendingJob | undefined): Promise<AttemptOutcome> {
    const { adapter, baseUrl } = this.upstream;
    let step: Step;
    if (resume === undefined) {
      const reply = await this.exchange(adapter.submit(this.job, { baseUrl }), "submit", this.signal);
      step = adapter.read(reply, this.job, { baseUrl });
      if (step.kind === "pending") await this.keepPending(step);
    } else {
      step = { kind: "pending", ...resume };
    }
    if (step.kind === "pending") {
      this.upstreamId = step.upstreamId;
      step = await this.waitFor(step);
    }
    this.upstreamId = step.upstreamId ?? this.upstreamId;
    if (step.kind === "failed") return { kind: "failed", failure: step.failure, upstreamId: this.upstreamId };
    return await this.collect(step);
  }

  private async keepPending(pending: PendingJob): Promise<void> {
    try {
      await this.hooks.onPending(pending);
    } catch (error) {
      if (pending.cancel !== undefined) await this.cancel(pending.cancel);
      throw error;
    }
  }

  /** Polls until the job has ended. A poll that fails in passing is tried again: the job itself goes on upstream. */
  private async waitFor(pending: PendingJob): Promise<Exclude<Step, { kind: "pending" }>> {
    const { adapter, baseUrl } = this.upstream;
    let delayMs = pending.afterMs;
    let unreadable = 0;
    let canceling = false;
    for (;;) {
      await this.ports.clock.sleep(delayMs, canceling ? this.signal : AbortSignal.any([this.signal, this.canceled]));
      if (this.canceled.aborted && !canceling) {
        canceling = true;
        delayMs = pending.afterMs;
        if (pending.cancel !== undefined) await this.cancel(pending.cancel);
      }
      if (this.signal.aborted) {
        if (pending.cancel !== undefined) await this.cancel(pending.cancel);
        throw new TransportFailure("timeout", "the provider did not finish in time");
      }
      // A job that is picked up again is looked at at once, and only that once.
      delayMs = Math.min(Math.max(delayMs * pollBackoff, minPollDelayMs), maxPollDelayMs);
      const reply = await this.exchange(pending.poll, "poll", this.signal).catch((error: unknown) => {
        if (error instanceof TransportFailure && error.failureClass === "contract_changed") throw error;
        if (!(error instanceof TransportFailure)) throw error;
        return null;
      });
      if (reply === null || reply.status < 200 || reply.status > 299) {
        const retryAfterSeconds = Number(reply?.headers["retry-after"]);
        if (retryAfterSeconds > 0) delayMs = Math.max(delayMs, Math.min(retryAfterSeconds * 1000, 60_000));
        continue;
      }
      if (reply.body.kind === "text" && ++unreadable < maxUnreadablePolls) continue;
      const step = adapter.read(reply, this.job, { baseUrl });
      if (step.kind !== "pending") return step;
    }
  }

  private async cancel(call: HttpCall): Promise<void> {
    const signal = AbortSignal.timeout(cancelTimeoutMs);
    await this.exchange(call, "poll", signal).catch(() => null);
  }

  /** Finishes inline pictures and fetches linked ones, in the order the upstream gave, at most as many as asked. */
  private async collect(step: Extract<Step, { kind: "done" }>): Promise<AttemptOutcome> {
    const wanted = step.images.slice(0, this.job.count);
    // Each to its end: a picture that cannot be stored takes none of the others with it.
    const taken = await Promise.allSettled(wanted.map((image, index) => this.take(image, index)));
    const images: AttemptImage[] = [];
    let failure: Failure | undefined;
    for (const [position, result] of taken.entries()) {
      if (result.status === "rejected") continue;
      if ("class" in result.value) failure ??= result.value;
      else images.push({ ...result.value, revisedPrompt: wanted[position]?.revisedPrompt });
    }
    const broken = taken.find((result) => result.status === "rejected");
    if (images.length === 0 && broken !== undefined) throw broken.reason;
    if (images.length === 0 && failure !== undefined) return { kind: "failed", failure, upstreamId: this.upstreamId };
    return { kind: "done", images, usage: step.usage, size: step.size, upstreamId: this.upstreamId };
  }

  private async take(image: DeliveredImage, index: number): Promise<TakenImage | Failure> {
    if ("url" in image.source) {
      let latest: ImageIntake | undefined;
      const result = await download(image.source.url, {
        ...this.ports,
        fetch: this.send,
        newImage: () => (latest = this.begin(index)),
        trustedOrigin: this.upstream.trustedOrigin,
        signal: this.signal,
      });
      if (latest !== undefined && !("class" in result)) this.used.add(latest);
      return result;
    }
    const intake = this.inline[image.source.index];
    if (intake === undefined)
      return { class: "contract_changed", message: "the reply names a picture that it does not hold" };
    try {
      const taken = await intake.finish();
      this.used.add(intake);
      return taken;
    } catch (error) {
      if (error instanceof ImageIntakeError) return { class: "contract_changed", message: error.message };
      throw error;
    }
  }

  /** Pictures that nobody asked for (more than `count`, or inside a reply that failed) leave no bytes behind. */
  async discardUnused(): Promise<void> {
    for (const intake of this.begun) if (!this.used.has(intake)) await intake.abort();
  }

  private readonly send = ((url: string, init: RequestInit) => {
    const { local } = this.upstream.adapter;
    return local === undefined ? this.ports.fetch(url, init) : local(new Request(url, init));
  }) as typeof fetch;

  private async exchange(call: HttpCall, purpose: Reply["purpose"], signal: AbortSignal): Promise<Reply> {
    const { adapter, baseUrl, credential } = this.upstream;
    const url = call.url.startsWith("/") ? baseUrl + call.url : call.url;
    if (!URL.canParse(url) || new URL(url).origin !== new URL(baseUrl).origin) {
      throw new TransportFailure("contract_changed", "the provider sent us to another origin");
    }
    const headers = new Headers({ accept: "application/json", "user-agent": "arouter", ...call.headers });
    for (const [name, value] of Object.entries(adapter.authorize(credential))) headers.set(name, value);
    const init: RequestInit & { timeout?: boolean } = {
      method: call.method,
      headers,
      redirect: "manual",
      signal,
      timeout: false,
    };
    if (call.body?.kind === "json") {
      headers.set("content-type", "application/json");
      init.body = JSON.stringify(call.body.value);
    } else if (call.body?.kind === "multipart") {
      const form = new FormData();
      for (const [name, value] of Object.entries(call.body.fields)) form.set(name, value);
      init.body = form;
    }
    try {
      const response = await this.send(url, init);
      return {
        purpose,
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: await this.readBody(response),
      };
    } catch (error) {
      throw this.transportFailure(error, signal);
    }
  }

  private async readBody(response: Response): Promise<ReplyBody> {
    const stream: AsyncIterable<Uint8Array> = response.body ?? empty();
    const contentType = response.headers.get("content-type") ?? "";
    if (response.ok && contentType.startsWith("image/")) {
      const image = this.newInline();
      for await (const chunk of stream) await image.write(chunk);
      return { kind: "image", image: new InlineImage(this.inline.length - 1) };
    }
    const fields = response.ok ? this.upstream.adapter.inlineImageFields : [];
    const { text, images } = await readInlineJson(stream, {
      fields,
      newImage: () => this.newInline(),
      maxRestBytes,
    });
    try {
      return { kind: "json", value: parseInlineJson(text, images, fields) };
    } catch {
      return { kind: "text", text: text.slice(0, maxTextChars) };
    }
  }

  private begin(index: number): ImageIntake {
    const image = this.hooks.newImage(index);
    this.begun.push(image);
    return image;
  }

  private newInline(): ImageIntake {
    const image = tellingAtTheEnd(this.hooks.newImage(this.inline.length));
    this.begun.push(image);
    this.inline.push(image);
    return image;
  }

  private transportFailure(error: unknown, signal: AbortSignal): unknown {
    if (error instanceof ImageIntakeError || error instanceof ImageStoreError || error instanceof ReplyTooLongError)
      return error;
    if (signal.aborted) return new TransportFailure("timeout", "the provider did not answer in time");
    const code = (error as { code?: string }).code ?? "";
    if (code === "") return error;
    if (isNeverSent(code, String((error as Error).message))) {
      return new TransportFailure("unreachable", `no connection to the provider (${code})`);
    }
    return new TransportFailure("outcome_unknown", `the connection to the provider was cut (${code})`);
  }

  /** @returns the failure to report, or null when the fault is ours and must be thrown on */
  explain(error: unknown): Failure | null {
    if (error instanceof TransportFailure) return { class: error.failureClass, message: error.message };
    if (error instanceof ImageIntakeError || error instanceof ReplyTooLongError) {
      return { class: "contract_changed", message: error.message };
    }
    return null;
  }
}

/** Codes of the runtime for calls that failed before a byte of the request left (seen on Bun 1.4.5). */
const neverSentCodes = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EADDRNOTAVAIL",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
]);

function isNeverSent(code: string, message: string): boolean {
  if (neverSentCodes.has(code) || code.startsWith("CERT_") || code.startsWith("ERR_TLS_CERT")) return true;
  return code === "EPROTO" && /handshake/i.test(message);
}

async function* empty(): AsyncGenerator<Uint8Array> {}
