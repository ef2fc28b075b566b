/** The generation object of CONTRACT.md, and its flat form for `/api/v1/generation`. */
import type { GenerationStatus } from "../database.ts";
import type { GenerationRecord } from "../generation/records.ts";
import { fileName } from "../images/links.ts";
import { toUsdNumber } from "../money.ts";
import type { Server } from "./types.ts";

const seconds = (milliseconds: number | null): number | null =>
  milliseconds === null ? null : Math.floor(milliseconds / 1000);
const parsed = (json: string | null): unknown => (json === null ? null : JSON.parse(json));

/** A succeeded generation whose bytes are all gone is `expired`. */
function statusOf(
  { generation, images }: Pick<GenerationRecord, "generation" | "images">,
  now: number,
): GenerationStatus {
  const gone = images.length > 0 && images.every((image) => image.deleted_at !== null || image.expires_at <= now);
  return generation.status === "succeeded" && gone ? "expired" : generation.status;
}

/** How long a client waits before it looks again at a generation that runs. */
export const pollAfterSeconds = 2;

export const hasEnded = ({ generation }: Pick<GenerationRecord, "generation">): boolean =>
  generation.finished_at !== null;

/** The call that answered, or the first of those that were made last: what was sent for it is what was sent. */
function answeringAttempt({ attempts }: Pick<GenerationRecord, "attempts">) {
  const latest = Math.max(0, ...attempts.map(({ round }) => round));
  return attempts.find(({ status }) => status === "succeeded") ?? attempts.find(({ round }) => round === latest);
}

/** Full view, with fresh links while the pictures live. */
export function generationObject(server: Server, record: GenerationRecord, origin: string) {
  const { generation, attempts, images } = record;
  const now = server.clock.now();
  return {
    id: generation.id,
    object: "image.generation",
    operation: generation.operation,
    status: statusOf(record, now),
    created: seconds(generation.created_at),
    finished: seconds(generation.finished_at),
    model: generation.model,
    provider: generation.provider,
    requested: parsed(generation.requested),
    sent: parsed(answeringAttempt(record)?.sent ?? null),
    data: images.map((image) => {
      const expires = Math.floor(image.expires_at / 1000);
      const alive = image.deleted_at === null && image.expires_at > now;
      return {
        ...(alive ? { url: server.links.make(origin, fileName(image.id, image.content_type), expires) } : {}),
        ...(image.revised_prompt === null ? {} : { revised_prompt: image.revised_prompt }),
        size: `${image.width}x${image.height}`,
        bytes: image.bytes,
        content_type: image.content_type,
        expires_at: expires,
      };
    }),
    error: publicError(generation.error),
    warnings: parsed(generation.warnings) ?? [],
    usage: parsed(generation.usage),
    cost_usd: toUsdNumber(BigInt(generation.cost_nanos)),
    price_rule: generation.price_rule,
    attempts: attempts.map((attempt) => ({
      provider: attempt.provider,
      model: attempt.model,
      round: attempt.round,
      status: attempt.status,
      started: seconds(attempt.started_at),
      finished: seconds(attempt.finished_at),
      timings: timingsOf(attempt),
      upstream_id: attempt.upstream_id,
      error: attemptError(attempt.error),
      sent: parsed(attempt.sent),
    })),
  };
}

/** Milliseconds; null where it did not come to that. */
function timingsOf({ started_at, sent_at, first_byte_at, finished_at }: GenerationRecord["attempts"][number]) {
  return {
    queued_ms: sent_at === null ? null : sent_at - started_at,
    first_byte_ms: sent_at === null || first_byte_at === null ? null : first_byte_at - sent_at,
    total_ms: finished_at === null ? null : finished_at - started_at,
  };
}

function publicError(json: string | null) {
  if (json === null) return null;
  const { code, message, param } = JSON.parse(json);
  return { code, message, param };
}

/** Only the class: the vendor's wording may hold what is the operator's business. */
function attemptError(json: string | null) {
  return json === null ? null : { class: JSON.parse(json).class };
}

/** One flat record, for reports. */
export function flatGeneration(record: Pick<GenerationRecord, "generation" | "images">, now: number) {
  const { generation, images } = record;
  return {
    id: generation.id,
    model: generation.model,
    provider: generation.provider,
    status: statusOf(record, now),
    created_at: new Date(generation.created_at).toISOString(),
    latency_ms: generation.finished_at === null ? null : generation.finished_at - generation.created_at,
    request_id: generation.request_id,
    user: generation.user,
    referer: generation.referer,
    title: generation.title,
    usage: {
      cost: toUsdNumber(BigInt(generation.cost_nanos)),
      images: images.length,
      ...(parsed(generation.usage) as object | null),
    },
    error: publicError(generation.error),
  };
}
