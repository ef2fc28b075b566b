/** `GET /api/v1/generations`: every filter, who sees what, and pages that stay put while rows arrive. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Bench, requests, startBench } from "./support.ts";

interface Listed {
  id: string;
  status: string;
  model: string;
  provider: string;
  created_at: string;
  key_id: string;
  prompt: string | null;
  usage: { cost: number; images: number };
  error: { code: string } | null;
}
interface Page {
  data: Listed[];
  next_page_token: string | null;
}

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

const page = (query: string, key?: string) => bench.json<Page>(`/api/v1/generations?${query}`, key);
const idsOf = ({ data }: Page) => data.map(({ id }) => id);

async function allIds(query: string, key?: string, from = ""): Promise<string[]> {
  const ids: string[] = [];
  for (let token: string | null = from; token !== null; ) {
    const next: Page = await page(`${query}${token === "" ? "" : `&page_token=${token}`}`, key);
    ids.push(...idsOf(next));
    token = next.next_page_token;
  }
  return ids;
}

test("every filter, alone and together, finds exactly what the table holds", async () => {
  const { router, other } = bench;
  await Promise.all([
    router.generate(requests.small),
    router.generate({ ...requests.two, prompt: "Ein ÄPFELCHEN" }, { key: other }),
    router.generate(requests.large),
    router.generate(requests.flux, { key: other }),
    router.generate(requests.refused),
    router.generate(requests.broken, { key: other }),
    router.generate(requests.small, { key: router.keys.test }),
  ]);
  const where = async (query: string, condition: string, key?: string) => {
    const wanted = bench
      .sql<{ id: string }>(`select id from generations where ${condition} order by created_at desc, id desc`)
      .map(({ id }) => id);
    expect([query, idsOf(await page(query, key))]).toEqual([query, wanted]);
    expect([query, await allIds(`limit=1&${query}`, key)]).toEqual([query, wanted]);
    return wanted.length;
  };
  const { hashes } = bench;
  expect(await where("", "1")).toBe(7);
  expect(await where("", `key_hash = '${hashes.live}'`, router.keys.live)).toBe(3);
  expect(await where(`key_id=${hashes.other}`, `key_hash = '${hashes.other}'`)).toBe(3);
  expect(await where("model=openai/dall-e-2", "model = 'openai/dall-e-2'")).toBe(5);
  expect(await where("model=dall-e-3", "model = 'openai/dall-e-3'")).toBe(1);
  expect(await where("model=nobody/nothing", "0")).toBe(0);
  expect(await where("provider_id=sandbox", "provider = 'sandbox'")).toBe(1);
  expect(await where("provider_id=replicate", "provider = 'replicate'")).toBe(1);
  expect(await where("status=succeeded", "status = 'succeeded'")).toBe(5);
  expect(await where("status=failed", "status = 'failed'")).toBe(2);
  expect(await where("status=running", "0")).toBe(0);
  expect(await where("status=expired", "0")).toBe(0);
  expect(await where("status=failed", `status = 'failed' and key_hash = '${hashes.other}'`, other)).toBe(1);
  expect(await where("q=äpfel", "requested like '%PFELCHEN%'")).toBe(1);
  expect(await where("q=CUP", "requested like '%a cup%'")).toBe(2);
  expect(await where("q=%25", "0")).toBe(0);
  expect(
    await where(
      "q=cup&model=dall-e-2&provider_id=openai&status=succeeded",
      "requested like '%a cup%' and provider = 'openai'",
    ),
  ).toBe(1);
  const [first] = bench.sql<{ at: number }>("select min(created_at) as at from generations");
  const at = new Date(first?.at ?? 0).toISOString();
  expect(await where(`start_time=${at}`, "1")).toBe(7);
  expect(await where(`end_time=${at}`, "0")).toBe(0);
  await where(`start_time=${new Date((first?.at ?? 0) + 1).toISOString()}`, `created_at > ${first?.at}`);
  expect((await page(`key_id=${hashes.other}`, router.keys.live)).data).toBeUndefined();
});

test("an entry says what was made, for whom, and what it cost", async () => {
  const [flux] = (await page("provider_id=replicate")).data;
  const single = await bench.json<Listed>(`/api/v1/generation?id=${flux?.id}`);
  expect(flux).toMatchObject({ ...single, key_id: bench.hashes.other, prompt: "a jug", status: "succeeded" });
  expect(flux?.usage.images).toBe(1);
  const [refused] = (await page("status=failed", bench.router.keys.live)).data;
  expect(refused).toMatchObject({ error: { code: "content_policy_violation" }, usage: { cost: 0, images: 0 } });
});

test("pages stay put while new rows arrive", async () => {
  const before = idsOf(await page("limit=100"));
  const first = await page("limit=3");
  await bench.router.generate(requests.small);
  await bench.router.generate(requests.small);
  const rest = await allIds("limit=2", undefined, first.next_page_token ?? "");
  expect([...idsOf(first), ...rest]).toEqual(before);
  // Two rows of one millisecond are both seen, once.
  bench.run("update generations set created_at = (select max(created_at) from generations)");
  const together = await allIds("limit=2");
  expect(together).toHaveLength(before.length + 2);
  expect(new Set(together).size).toBe(together.length);
});

test("one page looks at a bounded number of rows, and says that there is more", async () => {
  // 6,000 older rows, of which only the oldest is looked for.
  bench.run(`
    with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < 6000)
    insert into generations (id, key_hash, request_id, status, model, provider, requested, has_prompt, images_requested,
      created_at, finished_at, quote_nanos, cost_nanos, price_rule, owner, lease_until)
    select 'gen-bulk' || printf('%05d', n), '${bench.hashes.live}', 'req-x', 'succeeded', 'a/bulk',
      case n when 1 then 'rare' else 'common' end, '{}', 0, 1, n, n, 0, 0, '', '', 0 from numbers`);
  const empty = await page("model=a/bulk&provider_id=rare");
  expect(empty.data).toEqual([]);
  expect(empty.next_page_token).not.toBeNull();
  expect(await allIds("model=a/bulk&provider_id=rare")).toEqual(["gen-bulk00001"]);
  expect(idsOf(await page("provider_id=rare"))).toEqual(["gen-bulk00001"]);
  expect(await allIds("model=a/bulk&provider_id=common&limit=100")).toHaveLength(5_999);
  expect(await allIds("q=nothing")).toEqual([]);
  bench.run("delete from generations where model = 'a/bulk'");
}, 20_000);

test("after the hour the picture is gone, and so is the prompt", async () => {
  bench.router.advance(3_700_000);
  await bench.router.generate(requests.small);
  expect((await page("status=succeeded")).data).toHaveLength(1);
  const expired = (await page("status=expired")).data;
  expect(expired).toHaveLength(7);
  expect(expired.every(({ status }) => status === "expired")).toBe(true);
  expect((await bench.json<Listed>(`/api/v1/generation?id=${expired[0]?.id}`)).status).toBe("expired");
  while (bench.sql("select 1 from generations where has_prompt = 1").length > 1) await Bun.sleep(50);
  expect((await page("q=jug")).data).toEqual([]);
  expect((await page("q=cup")).data).toHaveLength(1);
  expect((await page("provider_id=replicate")).data[0]?.prompt).toBeNull();
}, 20_000);
