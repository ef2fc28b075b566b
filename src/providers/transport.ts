/**
 * The only place that talks to providers. Calls an adapter's HTTP calls, polls pending jobs, fetches result links and
 * gives pictures to their intakes while they arrive. Credentials go to the provider's own origin only.
 */
import type { Clock } from "../ports.ts";
import type { Resolve } from "./address.ts";
import { download } from "./download.ts";
import { during, explainThrown, makeCall, readReply, TransportFailure, type Upstream } from "./exchange.ts";
import { followEvents, isEventStream, type PartialImage } from "./follow-events.ts";
import type { ImageIntake, TakenImage } from "./intake.ts";
import { AttemptPictures } from "./pictures.ts";
import type { DeliveredImage, Failure, HttpCall, PendingStep, ProviderJob, Reply, Step } from "./provider.ts";
import { retryAfterMs } from "./replies.ts";
import { type AttemptImage, type AttemptOutcome, type Timings, withoutCredential } from "./transport-outcome.ts";

export type { Upstream } from "./exchange.ts";
export type { PartialImage } from "./follow-events.ts";
export type { AttemptImage, AttemptOutcome, Timings } from "./transport-outcome.ts";

const minPollDelayMs = 250;
const maxPollDelayMs = 5_000;
const pollBackoff = 1.3;
/** A finished job may answer nonsense through a bad proxy now and then, but not for ever. */
const maxUnreadablePolls = 3;
/** The longest that an upstream may ask us to wait between two looks. */
const maxAskedDelayMs = 60_000;
/** So often another call may lead to a job without a pause: a status, its result. */
const maxQuickMoves = 3;
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
   * Awaited before the waiting begins, and again when another call leads to the job: makes the upstream's id and the way
   * back to it durable. When that fails, the upstream job is canceled: nobody could come back to it.
   */
  onPending(pending: PendingJob): Promise<void>;
  /** Takes previews of the picture where they come. Absent where nobody watches: they are not kept then. */
  onPartial?(partial: PartialImage): void;
}

/** What is needed to come back to an upstream job, also after a restart. */
export type PendingJob = Omit<PendingStep, "kind">;

type FinalStep = Exclude<Step, { kind: "pending" }>;

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
    const outcome = await attempt.run(options.resume);
    return { ...withoutCredential(outcome, upstream.credential), timings: attempt.timings };
  } catch (error) {
    const failure = explainThrown(error);
    if (failure === null) throw error;
    const outcome = { kind: "failed", failure, upstreamId: attempt.upstreamId } as const;
    return { ...withoutCredential(outcome, upstream.credential), timings: attempt.timings };
  } finally {
    clearTimeout(timer);
    await attempt.pictures.discardUnused();
  }
}

class Attempt {
  upstreamId: string | undefined;
  readonly timings: Timings = {};
  readonly pictures: AttemptPictures;
  private readonly upstream: Upstream;
  private readonly job: ProviderJob;
  private readonly hooks: AttemptHooks;
  private readonly ports: TransportPorts;
  /** Ends calls: the attempt's life, and a cancellation where hanging up is free. */
  private readonly signal: AbortSignal;
  private readonly canceled: AbortSignal;

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
    this.pictures = new AttemptPictures((index) => hooks.newImage(index));
    this.canceled = signals.cancel;
    this.signal = upstream.adapter.hangUpIsFree ? AbortSignal.any([signals.life, signals.cancel]) : signals.life;
  }

  async run(resume: PendingJob | undefined): Promise<AttemptOutcome> {
    let step: Step = resume === undefined ? await this.submit() : { kind: "pending", ...resume };
    let costUsd: string | undefined;
    if (step.kind === "pending") {
      if (resume === undefined) await this.keepPending(step);
      this.upstreamId = step.upstreamId;
      ({ step, costUsd } = await this.waitFor(step));
    }
    this.upstreamId = step.upstreamId ?? this.upstreamId;
    if (step.kind === "failed") return { kind: "failed", failure: step.failure, upstreamId: this.upstreamId };
    return await this.collect(step, step.costUsd ?? costUsd);
  }

  private async submit(): Promise<Step> {
    const { adapter, baseUrl } = this.upstream;
    const { job, pictures, signal } = this;
    const { onPartial } = this.hooks;
    this.timings.sentAt = this.ports.clock.now();
    const response = await this.call(adapter.submit(job, { baseUrl }), signal);
    this.timings.firstByteAt = this.ports.clock.now();
    if (isEventStream(response, adapter))
      return during(signal, () => followEvents(response, { adapter, job, pictures, onPartial }));
    return adapter.read(await this.read(response, signal, { purpose: "submit" }), job, { baseUrl });
  }

  private async keepPending({ kind: _, ...pending }: PendingStep): Promise<void> {
    try {
      await this.hooks.onPending(pending);
    } catch (error) {
      if (pending.cancel !== undefined) await this.cancel(pending.cancel);
      throw error;
    }
  }

  /**
   * Polls until the job has ended. A poll that fails in passing is tried again: the job itself goes on upstream.
   * @returns how it ended, and what the upstream said on the way that it takes
   */
  private async waitFor(first: PendingStep): Promise<{ step: FinalStep; costUsd: string | undefined }> {
    const { adapter, baseUrl } = this.upstream;
    let pending = first;
    let { afterMs: delayMs, costUsd } = first;
    let unreadable = 0;
    let moves = 0;
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
      const reply = await this.poll(pending);
      const isAnswer = reply !== null && (pending.finalStatuses || (reply.status >= 200 && reply.status <= 299));
      if (!isAnswer) {
        const askedMs = reply === null ? undefined : retryAfterMs(reply.headers);
        if (askedMs !== undefined) delayMs = Math.max(delayMs, Math.min(askedMs, maxAskedDelayMs));
        continue;
      }
      const isBroken = reply.body.kind === "text" && reply.status >= 200 && reply.status <= 299;
      if (isBroken && ++unreadable < maxUnreadablePolls) continue;
      const step = adapter.read(reply, this.job, { baseUrl });
      if (step.kind !== "pending") return { step, costUsd };
      costUsd = step.costUsd ?? costUsd;
      if (isSameCall(step.poll, pending.poll)) {
        if (step.afterMs > pending.afterMs) delayMs = Math.max(delayMs, Math.min(step.afterMs, maxAskedDelayMs));
        continue;
      }
      // Another call leads to the job from now on. An upstream that sends us to and fro is not asked without pause.
      pending = { ...step, ...(costUsd !== undefined && { costUsd }) };
      moves += 1;
      await this.keepPending(pending);
      this.upstreamId = pending.upstreamId;
      delayMs = moves <= maxQuickMoves ? pending.afterMs : Math.max(pending.afterMs, delayMs);
    }
  }

  /** @returns null when the poll failed in passing */
  private async poll(pending: PendingStep): Promise<Reply | null> {
    try {
      const response = await this.call(pending.poll, this.signal);
      return await this.read(response, this.signal, { purpose: "poll", pending });
    } catch (error) {
      if (!(error instanceof TransportFailure) || error.failureClass === "contract_changed") throw error;
      return null;
    }
  }

  private async cancel(call: HttpCall): Promise<void> {
    const signal = AbortSignal.timeout(cancelTimeoutMs);
    await this.call(call, signal)
      .then((response) => this.read(response, signal, { purpose: "poll" }))
      .catch(() => null);
  }

  /** Finishes inline pictures and fetches linked ones, in the order the upstream gave, at most as many as asked. */
  private async collect(
    { images: delivered, usage, size, echoed }: Extract<Step, { kind: "done" }>,
    costUsd: string | undefined,
  ): Promise<AttemptOutcome> {
    const wanted = delivered.slice(0, this.job.count);
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
    const said = { ...(echoed && { echoed }), ...(costUsd !== undefined && { costUsd }) };
    return { kind: "done", images, usage, size, upstreamId: this.upstreamId, ...said };
  }

  private take(image: DeliveredImage, position: number): Promise<TakenImage | Failure> {
    return this.pictures.take(image, position, (url, newImage: () => ImageIntake) =>
      download(url, {
        ...this.ports,
        fetch: this.send,
        newImage,
        trustedOrigin: this.upstream.trustedOrigin,
        signal: this.signal,
      }),
    );
  }

  private readonly send = ((url: string, init: RequestInit) => {
    const { local } = this.upstream.adapter;
    return local === undefined ? this.ports.fetch(url, init) : local(new Request(url, init));
  }) as typeof fetch;

  private call(call: HttpCall, signal: AbortSignal): Promise<Response> {
    return makeCall(this.upstream, call, { send: this.send, signal });
  }

  private async read(
    response: Response,
    signal: AbortSignal,
    about: Pick<Reply, "purpose" | "pending">,
  ): Promise<Reply> {
    const { newInline } = this.pictures;
    return { ...about, ...(await readReply(response, this.upstream.adapter, { newInline, signal })) };
  }
}

const isSameCall = (one: HttpCall, other: HttpCall): boolean =>
  one === other || JSON.stringify(one) === JSON.stringify(other);
