/**
 * The only place that talks to providers. Calls an adapter's HTTP calls, polls pending jobs, fetches result links and
 * gives pictures to their intakes while they arrive. Credentials go to the provider's own origin only.
 */
import type { Clock } from "../ports.ts";
import type { Resolve } from "./address.ts";
import { download } from "./download.ts";
import { exchange, explainThrown, TransportFailure, type Upstream } from "./exchange.ts";
import { type ImageIntake, ImageIntakeError, type TakenImage, tellingAtTheEnd } from "./intake.ts";
import type { DeliveredImage, Failure, HttpCall, ProviderJob, Reply, Step, Usage } from "./provider.ts";

export type { Upstream } from "./exchange.ts";

const minPollDelayMs = 250;
const maxPollDelayMs = 5_000;
const pollBackoff = 1.3;
/** A finished job may answer nonsense through a bad proxy now and then, but not for ever. */
const maxUnreadablePolls = 3;
const cancelTimeoutMs = 10_000;

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
    const failure = explainThrown(error);
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
        if (!(error instanceof TransportFailure) || error.failureClass === "contract_changed") throw error;
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

  private exchange(call: HttpCall, purpose: Reply["purpose"], signal: AbortSignal): Promise<Reply> {
    return exchange(this.upstream, call, purpose, { send: this.send, newInline: this.newInline, signal });
  }

  private begin(index: number): ImageIntake {
    const image = this.hooks.newImage(index);
    this.begun.push(image);
    return image;
  }

  private readonly newInline = (): { image: ImageIntake; index: number } => {
    const index = this.inline.length;
    const image = tellingAtTheEnd(this.hooks.newImage(index));
    this.begun.push(image);
    this.inline.push(image);
    return { image, index };
  };
}
