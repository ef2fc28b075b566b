/** How a generation ended, decided from what its calls brought: pure, so that settling and recovery agree. */
import type { CheckedRequest } from "../catalogue/index.ts";
import { PublicError } from "../errors.ts";
import { formatUsd, type Nanos, parseUsd } from "../money.ts";
import type { Usage } from "../providers/provider.ts";
import type { FinishedAttempt } from "./attempts.ts";
import type { Candidate } from "./candidates.ts";
import { explainFailure } from "./failures.ts";
import type { FinishedGeneration, FinishedImage } from "./finished.ts";
import type { Plan } from "./plan.ts";

/** A vendor chooses the pixels of a ratio from a short list; a shape further off than this was not what was asked. */
const ratioTolerance = 0.1;

/** The candidate whose calls these are: the one that answers, or the one that was tried last. */
export function answeringCandidate(plan: Plan, outcomes: readonly FinishedAttempt[]): Candidate {
  return outcomes[0]?.attempt.candidate ?? plan.candidates[0];
}

/** @param outcomes of the calls of one candidate, in the order of their pictures */
export function conclude(
  plan: Plan,
  outcomes: readonly FinishedAttempt[],
  { id, now }: { id: string; now: number },
): FinishedGeneration {
  const candidate = answeringCandidate(plan, outcomes);
  const { checked } = candidate;
  const done = outcomes.flatMap(({ outcome }) => (outcome.kind === "done" ? [outcome] : []));
  const images = done.flatMap((outcome): FinishedImage[] => outcome.images);
  const usage = sumOfUsage(done.map((outcome) => outcome.usage));
  const only = outcomes.length === 1 ? done[0] : undefined;
  const mismatch = images.some((image) => !hasAskedShape(image, checked));
  const first = images[0];
  const delivered = { images, usage, providerCostUsd: sumOfCosts(done.map((outcome) => outcome.costUsd)) };
  return {
    id,
    operation: checked.operation,
    model: checked.model.id,
    provider: candidate.provider.adapter.id,
    finishedAt: now,
    cost: first === undefined ? (0n as Nanos) : candidate.quote.charge(delivered),
    images,
    error: first === undefined ? whyNothing(outcomes, candidate) : null,
    warnings: warningsOf(images, mismatch, checked),
    usage,
    size: mismatch && first !== undefined ? `${first.width}x${first.height}` : sizeOf(only?.size, candidate),
    echoed: only?.echoed,
  };
}

/** A picture that was scaled down here has the size that was asked for, not the one that the vendor echoes. */
const sizeOf = (echoed: string | undefined, { scaleTo }: Candidate): string | undefined =>
  scaleTo === null ? echoed : undefined;

function warningsOf(images: readonly FinishedImage[], mismatch: boolean, checked: CheckedRequest): string[] {
  const warnings: string[] = [];
  if (images.length === 0) return warnings;
  if (images.length < checked.n) warnings.push("short_delivery");
  if (mismatch) warnings.push("size_mismatch");
  const type = checked.format === "svg" ? "image/svg+xml" : `image/${checked.format}`;
  if (checked.format !== null && images.some((image) => image.contentType !== type)) warnings.push("format_mismatch");
  return warnings;
}

function hasAskedShape(image: { width: number; height: number }, { size, aspectRatio }: CheckedRequest): boolean {
  if (size !== null) return image.width === size.width && image.height === size.height;
  if (aspectRatio === null) return true;
  const asked = aspectRatio.width / aspectRatio.height;
  return Math.abs(image.width / image.height - asked) <= asked * ratioTolerance;
}

/** Token counts of several calls, added up field by field. Undefined unless every call reports them. */
function sumOfUsage(reported: ReadonlyArray<Usage | undefined>): Usage | undefined {
  const [first, ...others] = reported;
  if (first === undefined || others.some((usage) => usage === undefined)) return undefined;
  return others.reduce<Usage>((sum, usage) => addUp(sum, usage ?? {}), first);
}

function addUp(one: Usage, other: Usage): Usage {
  const sum: Usage = { ...one };
  for (const [name, value] of Object.entries(other)) {
    const before = sum[name];
    if (typeof value === "number") sum[name] = (typeof before === "number" ? before : 0) + value;
    else if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      sum[name] = addUp((before ?? {}) as Usage, value as Usage);
    }
  }
  return sum;
}

/** Decimal US dollars; undefined unless every call reports its cost. */
function sumOfCosts(reported: ReadonlyArray<string | undefined>): string | undefined {
  const known = reported.flatMap((usd) => usd ?? []);
  if (known.length === 0 || known.length < reported.length) return undefined;
  return formatUsd(known.reduce<Nanos>((sum, usd) => sum + parseUsd(usd), 0n));
}

/** Nothing was delivered: the first call's failure speaks for all. */
function whyNothing(outcomes: readonly FinishedAttempt[], { named, provider }: Candidate): PublicError {
  const { id } = provider.adapter;
  for (const { outcome } of outcomes) {
    if (outcome.kind === "failed") return explainFailure(outcome.failure, named, id);
    if (outcome.kind === "broken") {
      return new PublicError("internal_error", "The router failed while it handled this request. Nothing was charged.");
    }
  }
  return new PublicError("upstream_error", `The provider '${id}' answered without an image. Nothing was charged.`);
}
