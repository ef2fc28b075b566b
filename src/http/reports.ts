/** Reports: what was made, charged and used. Management keys see everything, others their own. */
import type { Hono } from "hono";
import type { Key } from "../accounts/keys.ts";
import {
  balanceFor,
  hourMs,
  type LedgerTransaction,
  listTransactions,
  type TransactionFilter,
  type Usage,
  type UsageFilter,
  usageSeries,
  usageSummary,
} from "../accounts/reports.ts";
import type { GenerationStatus } from "../database.ts";
import { PublicError } from "../errors.ts";
import { type GenerationFilter, type ListedGeneration, listGenerations, promptOf } from "../generation/list.ts";
import { toUsdNumber } from "../money.ts";
import { answerCsv, everyRow, refusePaging, wantsCsv } from "./csv-answer.ts";
import { flatGeneration } from "./generation-object.ts";
import { methods } from "./methods.ts";
import { checkRange, formatPageToken, integer, keyHash, oneOf, pageToken, readQuery, text, time } from "./query.ts";
import { authenticate } from "./request.ts";
import type { Env, HttpContext, Server } from "./types.ts";

const dayMs = 24 * hourMs;
const defaultDays = 30;
/** A year of hours is a megabyte of JSON. */
const hourlyDays = 366;
const defaultRows = 50;

const range = { start_time: time, end_time: time };
const paging = { limit: integer(1, 100), page_token: pageToken, format: oneOf("json", "csv") };
const statuses = [
  "queued",
  "running",
  "succeeded",
  "failed",
  "canceled",
  "expired",
] as const satisfies GenerationStatus[];
const generationsQuery = {
  ...range,
  key_id: keyHash,
  model: text,
  provider_id: text,
  status: oneOf(...statuses),
  q: text,
  ...paging,
};
const transactionsQuery = { ...range, key_id: keyHash, type: oneOf("usage", "credit"), ...paging };
const usageQuery = { ...range, key_id: keyHash, model: text, provider_id: text };
const seriesQuery = {
  ...usageQuery,
  granularity: oneOf("hourly", "daily", "monthly"),
  format: oneOf("json", "csv"),
};

const isoOf = (milliseconds: number): string => new Date(milliseconds).toISOString();

export function addReports(app: Hono<Env>, server: Server): void {
  methods(app, "/api/v1/generations", { GET: async (c) => answerGenerations(server, c) });
  methods(app, "/api/v1/transactions", { GET: async (c) => answerTransactions(server, c) });
  methods(app, "/api/usage/summary", { GET: async (c) => answerSummary(server, c) });
  methods(app, "/api/usage/timeseries", { GET: async (c) => answerSeries(server, c) });
  methods(app, "/api/v1/balance", {
    GET: async (c) => {
      const key = await authenticate(server, c);
      readQuery(c, {});
      const balance = await balanceFor(server.database, key, server.clock.now());
      return c.json({ balance: toUsdNumber(balance), currency: "USD" });
    },
  });
}

async function answerGenerations(server: Server, c: HttpContext): Promise<Response> {
  const key = await authenticate(server, c);
  const query = readQuery(c, generationsQuery);
  checkRange(query);
  const only = visible(key, query.key_id);
  const filter: GenerationFilter = {
    from: query.start_time,
    to: query.end_time,
    keyHash: only,
    model: modelId(server, query.model),
    provider: query.provider_id,
    status: query.status,
    text: query.q,
  };
  const now = server.clock.now();
  const read = (limit: number, after: typeof query.page_token | null) =>
    listGenerations(server.database, filter, limit, after ?? null, now);
  if (!wantsCsv(c, query.format)) {
    const { rows, next } = await read(query.limit ?? defaultRows, query.page_token);
    return c.json({ data: rows.map((row) => listed(row, now)), next_page_token: formatPageToken(next) });
  }
  refusePaging(query);
  const headings =
    "id,created_at,finished_at,status,model,provider,key_id,images,cost_usd,latency_ms,request_id,user,referer,title,error_code,prompt";
  return answerCsv("generations", headings.split(","), everyRow(read), (row) => {
    const { generation } = row;
    const flat = listed(row, now);
    return [
      flat.id,
      flat.created_at,
      generation.finished_at === null ? null : isoOf(generation.finished_at),
      flat.status,
      flat.model,
      flat.provider,
      flat.key_id,
      row.images.length,
      BigInt(generation.cost_nanos),
      flat.latency_ms,
      flat.request_id,
      flat.user,
      flat.referer,
      flat.title,
      flat.error?.code ?? null,
      flat.prompt,
    ];
  });
}

function listed(row: ListedGeneration, now: number) {
  const { generation } = row;
  return { ...flatGeneration(row, now), key_id: generation.key_hash, prompt: promptOf(generation) };
}

async function answerTransactions(server: Server, c: HttpContext): Promise<Response> {
  const key = await authenticate(server, c);
  const query = readQuery(c, transactionsQuery);
  checkRange(query);
  const only = visible(key, query.key_id);
  const filter: TransactionFilter = { from: query.start_time, to: query.end_time, keyHash: only, type: query.type };
  const read = (limit: number, after: typeof query.page_token | null) =>
    listTransactions(server.database, filter, limit, after ?? null);
  if (!wantsCsv(c, query.format)) {
    const { rows, next } = await read(query.limit ?? defaultRows, query.page_token);
    return c.json({ transactions: rows.map(transactionObject), next_page_token: formatPageToken(next) });
  }
  refusePaging(query);
  const headings = ["id", "type", "amount_usd", "description", "created_at", "generation_id"];
  return answerCsv("transactions", headings, everyRow(read), (row) => [
    row.id,
    row.type,
    row.amount,
    row.description,
    isoOf(row.createdAt),
    row.generationId,
  ]);
}

function transactionObject({ id, type, amount, description, createdAt, generationId }: LedgerTransaction) {
  return {
    id,
    type,
    amount: toUsdNumber(amount),
    description,
    created_at: isoOf(createdAt),
    generation_id: generationId,
  };
}

async function answerSummary(server: Server, c: HttpContext): Promise<Response> {
  const key = await authenticate(server, c);
  const filter = usageFilter(server, key, readQuery(c, usageQuery));
  const { totals, byProvider, byModel } = await usageSummary(server.database, filter);
  return c.json({
    start_time: isoOf(filter.from),
    end_time: isoOf(filter.to),
    totals: usageObject(totals),
    by_provider: byProvider.map((usage) => ({ provider_id: usage.name, ...usageObject(usage) })),
    by_model: byModel.map((usage) => ({ model: usage.name, ...usageObject(usage) })),
  });
}

async function answerSeries(server: Server, c: HttpContext): Promise<Response> {
  const key = await authenticate(server, c);
  const { granularity = "daily", format, ...query } = readQuery(c, seriesQuery);
  const filter = usageFilter(server, key, query);
  if (granularity === "hourly" && filter.to - filter.from > hourlyDays * dayMs) {
    const message = `'granularity=hourly' covers at most ${hourlyDays} days; narrow 'start_time' and 'end_time'.`;
    throw new PublicError("invalid_value", message, { param: "start_time" });
  }
  const points = usageSeries(server.database, filter, granularity);
  if (wantsCsv(c, format)) {
    const headings = ["timestamp", "requests", "images", "estimated_cost_usd"];
    return answerCsv("usage", headings, points, ({ at, requests, images, cost }) => [
      isoOf(at),
      requests,
      images,
      cost,
    ]);
  }
  const data_points = [];
  for await (const point of points) data_points.push({ timestamp: isoOf(point.at), ...usageObject(point) });
  return c.json({ granularity, start_time: isoOf(filter.from), end_time: isoOf(filter.to), data_points });
}

/** Sums are kept by the hour, so the range is widened to whole hours; the answer states the one that was used. */
function usageFilter(
  server: Server,
  key: Key,
  query: { start_time?: number; end_time?: number; key_id?: string; model?: string; provider_id?: string },
): UsageFilter {
  checkRange(query);
  const end = query.end_time ?? server.clock.now();
  const start = query.start_time ?? end - defaultDays * dayMs;
  checkRange({ start_time: start, end_time: end });
  return {
    from: Math.floor(start / hourMs) * hourMs,
    to: Math.ceil(end / hourMs) * hourMs,
    keyHash: visible(key, query.key_id),
    model: modelId(server, query.model),
    provider: query.provider_id,
  };
}

function usageObject({ requests, images, cost }: Usage) {
  return { requests, images, estimated_cost_usd: toUsdNumber(cost) };
}

/**
 * The key whose figures are shown: any, or all (undefined), for management keys; only their own for others.
 * @throws PublicError not_found for another's: to them it does not exist
 */
function visible(reader: Key, wanted: string | undefined): string | undefined {
  if (reader.kind === "management") return wanted;
  if (wanted !== undefined && wanted !== reader.hash) {
    throw new PublicError("not_found", "No key with this hash.", { param: "key_id" });
  }
  return reader.hash;
}

/** The id under which a model is recorded: aliases and bare names are read as in requests. */
function modelId(server: Server, model: string | undefined): string | undefined {
  if (model === undefined) return undefined;
  // Records outlive the catalogue: an unknown name is looked for as it is.
  return server.catalogue.find(model)?.id ?? (model.includes("/") ? model : `openai/${model}`);
}
