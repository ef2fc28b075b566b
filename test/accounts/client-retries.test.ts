/** The official client with its default retries, behind a proxy that cuts connections: each picture is billed once. */
import { afterEach, expect, test } from "bun:test";
import OpenAI, { APIConnectionError } from "openai";
import { type Cut, type CuttingProxy, startCuttingProxy } from "./cutting-proxy.ts";
import { type Accounts, smallUsd, startAccounts } from "./support.ts";

let accounts: Accounts;
let proxy: CuttingProxy;
afterEach(async () => {
  await proxy.stop();
  await accounts.stop();
});

async function startClient(cuts: (upstream: Accounts["openai"]) => Cut[]): Promise<OpenAI> {
  accounts = await startAccounts();
  proxy = await startCuttingProxy(accounts.router.url, cuts(accounts.openai));
  return new OpenAI({ apiKey: accounts.router.keys.live, baseURL: `${proxy.url}/v1` });
}

const ask = (client: OpenAI, format: "url" | "b64_json" = "url") =>
  client.images.generate({ model: "openai/dall-e-2", prompt: "a cup", size: "256x256", response_format: format });

/** What the double billed, what the account was charged, and that nothing is held any more. */
async function settled() {
  for (let left = 100; left > 0; left -= 1) {
    if (accounts.sql("select id from generations where status = 'running'").length === 0) break;
    await Bun.sleep(20);
  }
  const account = accounts.sql<{ charged_nanos: number; held_nanos: number }>("select * from account")[0];
  return { billed: accounts.openai.billed, charged: (account?.charged_nanos ?? 0) / 1e9, held: account?.held_nanos };
}
const once = { billed: 1, charged: smallUsd, held: 0 };

/** Longer than the client waits before its second retry. */
const slowMs = 3_000;

const phases: Record<string, (upstream: Accounts["openai"]) => Cut[]> = {
  "when it connects": () => ["onConnect"],
  "before the request reached us": () => ["requestNotPassed"],
  "in the middle of the request": () => ["requestPassedInPart"],
  "right after the request": () => [{ until: () => Promise.resolve() }],
  "while the provider works": (upstream) => [{ until: () => upstream.arrived() }],
  "when the provider has answered": (upstream) => [{ until: () => upstream.arrived().then(() => upstream.idle()) }],
  "before the first byte of the answer": () => [{ answerBytes: 0 }],
  "in the headers of the answer": () => [{ answerBytes: 40 }],
  "twice while the provider works": (upstream) => [
    { until: () => upstream.arrived() },
    { until: () => Bun.sleep(100) },
  ],
  "never reached, then while the provider works": (upstream) => ["onConnect", { until: () => upstream.arrived() }],
};

for (const [phase, cuts] of Object.entries(phases)) {
  test(`cut ${phase}`, async () => {
    const client = await startClient(cuts);
    if (phase.endsWith("works")) accounts.openai.latencyMs = slowMs;
    const expectedConnections = 1 + cuts(accounts.openai).length;
    const { data } = await ask(client);
    expect(data).toHaveLength(1);
    expect((await fetch(data?.[0]?.url ?? "")).status).toBe(200);
    expect(proxy.connections).toBeGreaterThanOrEqual(expectedConnections);
    expect(await settled()).toEqual(once);
  }, 20_000);
}

test("cut in the body of the answer: the client does not retry by itself, and its next retry would join", async () => {
  const client = await startClient(() => [{ answerBytes: 600 }]);
  const failure = await ask(client, "b64_json").then(
    () => null,
    (error: unknown) => error,
  );
  expect([failure instanceof Error, proxy.connections]).toEqual([true, 1]);
  expect(await settled()).toEqual(once);
  const again = await client.images.generate(
    { model: "openai/dall-e-2", prompt: "a cup", size: "256x256", response_format: "b64_json" },
    { headers: { "x-stainless-retry-count": "1" } },
  );
  expect(again.data?.[0]?.b64_json?.length).toBeGreaterThan(100);
  expect(await settled()).toEqual(once);
}, 20_000);

test("every connection cut while the provider works: the client gives up, the picture is there under its id", async () => {
  const client = await startClient((upstream) =>
    Array.from({ length: 3 }, () => ({ until: () => upstream.arrived() })),
  );
  accounts.openai.latencyMs = 3000;
  const failure = await ask(client).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(APIConnectionError);
  expect(proxy.connections).toBe(3);
  for (let left = 100; left > 0 && accounts.openai.requests.some(({ outcome }) => outcome === "open"); left -= 1) {
    await Bun.sleep(100);
  }
  expect(await settled()).toEqual(once);
  const { id } = accounts.sql<{ id: string }>("select id from generations")[0] ?? { id: "" };
  const record = (await (await accounts.router.get(`/v1/images/generations/${id}`)).json()) as {
    status: string;
    data: Array<{ url: string }>;
  };
  expect(record.status).toBe("succeeded");
  expect((await fetch(record.data[0]?.url ?? "")).status).toBe(200);
}, 30_000);
