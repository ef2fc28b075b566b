/**
 * The tables, as Kysely sees them, on SQLite and (later) Postgres alike. Times are Unix milliseconds, money is integer
 * nano-dollars, JSON is text. Only `storage/` opens a database; everybody else receives one.
 */
import type { ColumnType, Generated, Kysely, Transaction } from "kysely";
import type { WebhookDeliveriesTable, WebhookSecretsTable } from "./webhooks/tables.ts";

/** Written as a bigint; drivers answer a number (SQLite) or a string (Postgres): read it with `BigInt(...)`. */
type NanosColumn = ColumnType<number | string | bigint, bigint, bigint>;
type NullableNanosColumn = ColumnType<number | string | bigint | null, bigint | null, bigint | null>;

export type KeyKind = "live" | "test" | "management";
export type GenerationStatus = "queued" | "running" | "succeeded" | "failed" | "canceled" | "expired";
export type AttemptStatus = "running" | "succeeded" | "failed" | "canceled";

/** When a key's spending limit starts anew, at UTC boundaries; null: never, the limit is for its whole life. */
export type LimitReset = "daily" | "weekly" | "monthly";
export type MovementKind = "hold" | "charge" | "release" | "credit" | "adjustment";

export interface KeysTable {
  /** SHA-256 of the secret, hex. The secret itself is nowhere. */
  hash: string;
  name: string;
  /** First and last characters of the secret, for people. */
  label: string;
  kind: KeyKind;
  disabled: Generated<number>;
  created_at: number;
  updated_at: number | null;
  expires_at: number | null;
  /** A deleted key is gone for clients and kept for reports. */
  deleted_at: number | null;
  limit_nanos: NullableNanosColumn;
  limit_reset: LimitReset | null;
  /** JSON arrays of ids; null: all. */
  allowed_models: string | null;
  allowed_providers: string | null;
  requests_per_minute: number | null;
  requests_per_day: number | null;
  /** Most generations at once. */
  concurrent: number | null;
  /** Where events of the key's generations go, unless a request says otherwise. */
  webhook_url: string | null;
}

/** What a key has used: running totals that the ledger can recompute. Apart from `keys`, because it changes all the time. */
export interface KeyCountersTable {
  key_hash: string;
  /** Sum of the holds of what runs now. */
  held_nanos: NanosColumn;
  /** Charged in the limit's current period, which began at `period_start` (Unix milliseconds). */
  used_nanos: NanosColumn;
  period_start: number;
  /** Charged in the key's whole life. */
  charged_nanos: NanosColumn;
  running: number;
  /** Requests of the UTC day that began at `day_start`. */
  day_requests: number;
  day_start: number;
}

/** Admitted requests of the last minute, of keys with a limit per minute. */
export interface RecentRequestsTable {
  key_hash: string;
  at: number;
}

/** One row: the account's running totals, which the ledger can recompute. */
export interface AccountTable {
  id: string;
  credited_nanos: NanosColumn;
  charged_nanos: NanosColumn;
  held_nanos: NanosColumn;
}

/** The ledger: append-only. A hold ends as charge + release of the same sum. */
export interface MovementsTable {
  id: string;
  created_at: number;
  kind: MovementKind;
  /** Positive for hold, charge, release, credit; an adjustment has either sign. */
  amount_nanos: NanosColumn;
  key_hash: string | null;
  generation_id: string | null;
  /** Attempts whose pictures are charged, JSON array of sequences. */
  attempts: string | null;
  model: string | null;
  provider: string | null;
  images: number | null;
  price_rule: string | null;
  /** What the provider itself says it takes, where it says so. */
  provider_cost_nanos: NullableNanosColumn;
  note: string | null;
}

/** Sums by hour for reports, written with each settlement. */
export interface UsageHoursTable {
  /** Unix milliseconds of the hour's beginning. */
  hour: number;
  key_hash: string;
  model: string;
  provider: string;
  requests: number;
  images: number;
  cost_nanos: NanosColumn;
}

/** `Idempotency-Key` claims, scoped to the API key. */
export interface IdempotencyTable {
  key_hash: string;
  idempotency_key: string;
  fingerprint: string;
  generation_id: string;
  created_at: number;
}

/** Every change of a key, by whom. */
export interface AuditTable {
  id: string;
  created_at: number;
  /** Hash of the management key, or `command-line`. */
  actor: string;
  action: "create" | "update" | "delete";
  key_hash: string;
  /** JSON of what changed; never a secret. */
  changes: string;
}

export interface GenerationsTable {
  id: string;
  key_hash: string;
  request_id: string;
  status: GenerationStatus;
  /** The model that answers; the one asked for is in `requested`. */
  model: string;
  provider: string;
  /** JSON: the client's parameters as given. The prompt goes when prompts are not kept. */
  requested: string;
  /** 0 once the prompt has been taken out of `requested` and of the attempts' `sent`. */
  has_prompt: Generated<number>;
  images_requested: number;
  created_at: number;
  finished_at: number | null;
  quote_nanos: NanosColumn;
  cost_nanos: NanosColumn;
  price_rule: string;
  /** JSON `{code, message, param, retry_after_ms?}` of a failed generation. */
  error: string | null;
  /** Which running program has the job, and until when unless it says so again (Unix milliseconds). */
  owner: string;
  lease_until: number;
  /** JSON array of warning names. */
  warnings: string | null;
  /** JSON: token usage as the vendor reported it. */
  usage: string | null;
  /** `WxH`, where the vendor echoes it or the real size differs from the one asked for. */
  size: string | null;
  /** SHA-256 of what the client asked, without `response_format` and `stream`: tells a repeat. */
  fingerprint: string;
  /** The owner of the job is asked to cancel it. */
  cancel_requested: Generated<number>;
  operation: Generated<"generate" | "edit">;
  /** JSON: what the upstream echoed about the result beside its size, e.g. `quality`. */
  echoed: string | null;
  /** Where this request wants its end reported; null: where its key says, if anywhere. */
  webhook_url: string | null;
  /** Origin under which the client reached us: that of the links in a webhook. */
  origin: string | null;
  /** The client's attribution: the body's `user`, `HTTP-Referer`, `X-Title`. */
  user: string | null;
  referer: string | null;
  title: string | null;
}

export interface AttemptsTable {
  generation_id: string;
  /** Counted up over all rounds; unique per generation. */
  sequence: number;
  /** 0 for what was recorded at admission; every retry and every fallback is a round of its own. */
  round: Generated<number>;
  provider: string;
  /** The catalogue's model that this call serves; differs from the one asked for after a fallback. Null in old rows. */
  catalogue_model: string | null;
  /** The upstream's name of the model. */
  model: string;
  image_offset: number;
  image_count: number;
  status: AttemptStatus;
  /** JSON: the body really sent upstream. */
  sent: string;
  /** First eight characters of the credential's SHA-256: which of the pool was used. */
  credential: string;
  started_at: number;
  /** When the request left and when the first byte of the answer came, Unix milliseconds. */
  sent_at: number | null;
  first_byte_at: number | null;
  finished_at: number | null;
  upstream_id: string | null;
  /** JSON PendingJob: how a job that the upstream has taken is looked at and canceled. */
  pending: string | null;
  /** JSON `{class, message}`. */
  error: string | null;
}

export interface ImagesTable {
  id: string;
  generation_id: string;
  position: number;
  content_type: string;
  width: number;
  height: number;
  bytes: number;
  revised_prompt: string | null;
  created_at: number;
  expires_at: number;
  /** When the bytes were removed: after the hour, or by their owner. */
  deleted_at: number | null;
}

/** Facts about this database itself, e.g. that the first keys have been made. */
export interface FactsTable {
  name: string;
  value: string;
}

export interface Tables {
  keys: KeysTable;
  key_counters: KeyCountersTable;
  recent_requests: RecentRequestsTable;
  account: AccountTable;
  movements: MovementsTable;
  usage_hours: UsageHoursTable;
  idempotency: IdempotencyTable;
  audit: AuditTable;
  generations: GenerationsTable;
  attempts: AttemptsTable;
  images: ImagesTable;
  facts: FactsTable;
  webhook_secrets: WebhookSecretsTable;
  webhook_deliveries: WebhookDeliveriesTable;
}

export type Database = Kysely<Tables>;
export type DatabaseTransaction = Transaction<Tables>;

/**
 * The database cannot do it now: locked by another program, full, read-only, failing. Nothing has changed, unless the
 * commit itself failed, where nobody can know; the same may work later.
 */
export class DatabaseUnavailableError extends Error {
  override readonly name = "DatabaseUnavailableError";
}
