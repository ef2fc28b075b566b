/**
 * The tables, as Kysely sees them, on SQLite and (later) Postgres alike. Times are Unix milliseconds, money is integer
 * nano-dollars, JSON is text. Only `storage/` opens a database; everybody else receives one.
 */
import type { ColumnType, Generated, Kysely, Transaction } from "kysely";

/** Written as a bigint; drivers answer a number (SQLite) or a string (Postgres): read it with `BigInt(...)`. */
type NanosColumn = ColumnType<number | string | bigint, bigint, bigint>;

export type KeyKind = "live" | "test" | "management";
export type GenerationStatus = "queued" | "running" | "succeeded" | "failed" | "canceled" | "expired";
export type AttemptStatus = "running" | "succeeded" | "failed" | "canceled";

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
  /** The client's attribution: the body's `user`, `HTTP-Referer`, `X-Title`. */
  user: string | null;
  referer: string | null;
  title: string | null;
}

export interface AttemptsTable {
  generation_id: string;
  /** Position of the first picture of this call within the generation; unique per generation. */
  sequence: number;
  provider: string;
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
  finished_at: number | null;
  upstream_id: string | null;
  /** JSON HttpCalls: where a pending upstream job is looked at and canceled. */
  poll_call: string | null;
  cancel_call: string | null;
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
  generations: GenerationsTable;
  attempts: AttemptsTable;
  images: ImagesTable;
  facts: FactsTable;
}

export type Database = Kysely<Tables>;
export type DatabaseTransaction = Transaction<Tables>;
