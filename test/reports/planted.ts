/** Every kind of deviation that `ledger check` must name, as one change behind everybody's back. */

/** Ids in the database of `check.test.ts`: keys, and generations by what became of them. */
export interface PlantIds {
  live: string;
  other: string;
  /** $0.036, two images, of the live key. */
  charged: string;
  /** Held and released. */
  refused: string;
  sandboxed: string;
}

/** The SQL; then id, what, expected and found of the deviation that must be among those found. `-`: not looked at. */
type Plant = (ids: PlantIds) => [statement: string, id: string, what: string, expected: string, found: string];

const day = 86_400_000;
const keyIs = (hash: string) => `key_hash = '${hash}'`;
const of = (kind: string, id: string) => `kind = '${kind}' and generation_id = '${id}'`;
const copyOf = (kind: string, id: string) =>
  `insert into movements select 'mov-x', created_at, kind, amount_nanos, key_hash, generation_id, attempts, model, provider, images, price_rule, provider_cost_nanos, note from movements where ${of(kind, id)}`;
const movement = "insert into movements (id, created_at, kind, amount_nanos, key_hash, generation_id)";

// biome-ignore format: one deviation a line
export const planted: Array<[string, Plant]> = [
  ["credit that no movement explains", () => ["update account set credited_nanos = credited_nanos + 1", "default", "account credited_nanos", "24999999999", "25000000000"]],
  ["a charge missing in the account", () => ["update account set charged_nanos = charged_nanos - 36000000", "default", "account charged_nanos", "-", "-"]],
  ["held although nothing runs", () => ["update account set held_nanos = 7", "default", "account held_nanos = quotes of what runs", "0", "7"]],
  ["held that no movement explains", () => ["update account set held_nanos = 7", "default", "account held_nanos", "0", "7"]],
  ["held below zero", () => ["update account set held_nanos = -7", "default", "account held_nanos is not negative", ">= 0", "-7"]],
  ["no account", () => ["delete from account", "default", "the account's row", "one row", "none"]],
  ["a credit of nothing", () => [`${movement} values ('mov-x', 1, 'credit', 0, null, null)`, "mov-x", "amount of a credit", "> 0", "0"]],
  ["a charge below nothing", (ids) => [`update movements set amount_nanos = -1 where ${of("charge", ids.charged)}`, "-", "amount of a charge", ">= 0", "-1"]],
  ["a movement of an unknown kind", () => [`${movement} values ('mov-x', 1, 'gift', 1, 'k', 'g')`, "mov-x", "kind of movement", "hold | charge | release | credit | adjustment", "gift"]],
  ["a charge of nobody", (ids) => [`update movements set key_hash = null where ${of("charge", ids.charged)}`, "-", "a charge belongs to a key and a generation", "both", ids.charged]],
  ["key held", (ids) => [`update key_counters set held_nanos = 5 where ${keyIs(ids.live)}`, ids.live, "key held_nanos", "0", "5"]],
  ["key held although nothing runs", (ids) => [`update key_counters set held_nanos = 5 where ${keyIs(ids.live)}`, ids.live, "key held_nanos = quotes of what runs", "0", "5"]],
  ["key held below zero", (ids) => [`update key_counters set held_nanos = -5 where ${keyIs(ids.live)}`, ids.live, "key held_nanos is not negative", ">= 0", "-5"]],
  ["key charged", (ids) => [`update key_counters set charged_nanos = 39999999 where ${keyIs(ids.other)}`, ids.other, "key charged_nanos", "40000000", "39999999"]],
  ["key used", (ids) => [`update key_counters set used_nanos = 0 where ${keyIs(ids.other)}`, ids.other, "key used_nanos in its period", "40000000", "0"]],
  ["key used before its period", (ids) => [`update key_counters set period_start = ${Date.now() + day} where ${keyIs(ids.other)}`, ids.other, "key used_nanos in its period", "0", "40000000"]],
  ["key running", (ids) => [`update key_counters set running = 1 where ${keyIs(ids.live)}`, ids.live, "key running", "0", "1"]],
  ["a key without counters", (ids) => [`delete from key_counters where ${keyIs(ids.other)}`, ids.other, "the key's counters", "one row", "none"]],
  ["counters without a key", (ids) => [`delete from keys where hash = '${ids.other}'`, ids.other, "the key's row", "one row", "none"]],
  ["charged twice", (ids) => [copyOf("charge", ids.charged), ids.charged, "charges of one generation", "at most 1", "2"]],
  ["held twice", (ids) => [copyOf("hold", ids.charged), ids.charged, "holds of one generation", "at most 1", "2"]],
  ["charged above the hold", (ids) => [`update movements set amount_nanos = 36000001 where ${of("charge", ids.charged)}`, ids.charged, "a charge is not above its hold", "<= 36000000", "36000001"]],
  ["a hold that was never released", (ids) => [`delete from movements where ${of("release", ids.refused)}`, ids.refused, "hold = charge + release", "16000000", "0"]],
  ["a charge that is gone", (ids) => [`delete from movements where ${of("charge", ids.charged)}`, ids.charged, "what was delivered is charged", "a charge", "none"]],
  ["a cost that was not charged", (ids) => [`update generations set cost_nanos = 1 where id = '${ids.refused}'`, ids.refused, "cost_nanos = charge", "0", "1"]],
  ["a quote that was not held", (ids) => [`update generations set quote_nanos = 1 where id = '${ids.charged}'`, ids.charged, "hold = quote", "1", "36000000"]],
  ["a charge without an image", (ids) => [`update movements set images = 0 where ${of("charge", ids.charged)}`, ids.charged, "a charge is for images", ">= 1", "0"]],
  ["a charge for images that are not there", (ids) => [`delete from images where generation_id = '${ids.charged}'`, ids.charged, "images charged = images delivered", "0", "2"]],
  ["succeeded without an image", (ids) => [`delete from images where generation_id = '${ids.sandboxed}'`, ids.sandboxed, "a succeeded generation has images", ">= 1", "0"]],
  ["a failure that was charged", (ids) => [`update generations set status = 'failed' where id = '${ids.charged}'`, ids.charged, "a failed generation is not charged", "0", "36000000"]],
  ["ended without a time", (ids) => [`update generations set finished_at = null where id = '${ids.charged}'`, ids.charged, "finished_at of a succeeded generation", "a time", "none"]],
  ["runs with a time of its end", (ids) => [`update generations set status = 'running' where id = '${ids.refused}'`, ids.refused, "finished_at of a running generation", "none", "-"]],
  ["runs and is released", (ids) => [`update generations set status = 'running' where id = '${ids.refused}'`, ids.refused, "nothing of a running hold has ended", "0", "16000000"]],
  ["a movement of another key", (ids) => [`update movements set key_hash = '${ids.other}' where ${of("charge", ids.charged)}`, ids.charged, "movements are of the generation's key", ids.live, ids.other]],
  ["a charge for another model", (ids) => [`update movements set model = 'a/b' where ${of("charge", ids.charged)}`, ids.charged, "model of the charge", "openai/dall-e-2", "a/b"]],
  ["a charge for another provider", (ids) => [`update movements set provider = 'x' where ${of("charge", ids.charged)}`, ids.charged, "provider of the charge", "openai", "x"]],
  ["a record that is gone too early", (ids) => [`delete from generations where id = '${ids.charged}'`, ids.charged, "the generation's record is kept 90 days", "a record", "none"]],
  ["a hold of a generation that is gone", (ids) => [`delete from generations where id = '${ids.refused}'; delete from movements where ${of("release", ids.refused)}`, ids.refused, "hold = charge + release", "16000000", "0"]],
  ["two keys for a generation that is gone", (ids) => [`delete from generations where id = '${ids.charged}'; update movements set key_hash = 'zz' where ${of("charge", ids.charged)}`, ids.charged, "movements are of one key", ids.live, "zz"]],
  ["usage that was not charged", (ids) => [`update usage_hours set cost_nanos = 40000001 where ${keyIs(ids.other)} and cost_nanos > 0`, "-", "usage cost_nanos of the hour", "40000000", "40000001"]],
  ["a charge that no hour counts", (ids) => [`delete from usage_hours where ${keyIs(ids.other)}`, "-", "usage cost_nanos of the hour", "40000000", "0"]],
  ["an hour without charges", () => [`insert into usage_hours values (7200000, 'k', 'm', 'p', 1, 1, 5)`, "7200000 k m p", "usage cost_nanos of the hour", "0", "5"]],
  ["fewer images than charged", (ids) => [`update usage_hours set images = 0 where ${keyIs(ids.other)}`, "-", "usage images of the hour", ">= 1", "0"]],
  ["fewer requests than charged", (ids) => [`update usage_hours set requests = 0 where ${keyIs(ids.other)}`, "-", "usage requests of the hour", ">= 1", "0"]],
];
