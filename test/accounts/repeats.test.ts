/** CONTRACT.md "Repeats": one idempotency key, one charge; the official clients' silent retry joins what it repeats. */
import { afterEach, describe, expect, test } from "bun:test";
import { startRouter } from "../router.ts";
import { type Accounts, atOnce, hourMs, minuteMs, refusal, small, startAccounts } from "./support.ts";

const noon = Date.UTC(2026, 6, 22, 12);
let accounts: Accounts;
afterEach(() => accounts.stop());

const generationOf = (answer: Response) => answer.headers.get("x-arouter-generation-id");
/** Everything that belongs to the answer and not to this one exchange. */
const lasting = ({ headers }: Response) =>
  Object.fromEntries(
    [...headers].filter(([name]) => name.startsWith("x-arouter-") || ["x-should-retry", "sunset"].includes(name)),
  );

function withKey(idempotencyKey: string, body: object = small, key?: string): Promise<Response> {
  const headers = { "idempotency-key": idempotencyKey };
  return accounts.router.generate(body, key === undefined ? { headers } : { headers, key });
}

const retry = (body: object = small, key = accounts.router.keys.live, retries = "1") =>
  accounts.router.generate(body, { key, headers: { "x-stainless-retry-count": retries } });

describe("the idempotency key", () => {
  test("1 to 255 visible ASCII characters", async () => {
    accounts = await startAccounts();
    const visible = Array.from({ length: 94 }, (_, position) => String.fromCharCode(0x21 + position)).join("");
    for (const good of ["k", "k".repeat(255), visible]) expect((await withKey(good)).status).toBe(200);
    const bad = ["", "k".repeat(256), "two words", "tab\tinside", "é", "del\u007f"];
    for (const key of bad) {
      const expected = { status: 400, code: "invalid_idempotency_key", param: null };
      expect([key, await refusal(await withKey(key))]).toEqual([key, expected]);
    }
    expect(accounts.openai.billed).toBe(3);
  });

  test("belongs to the API key: another's is another's", async () => {
    accounts = await startAccounts();
    const other = await accounts.makeKey();
    const [own, others] = [await withKey("shared"), await withKey("shared", small, other.key)];
    expect(generationOf(own)).not.toBe(generationOf(others));
    expect((await withKey("shared", { ...small, prompt: "a saucer" }, other.key)).status).toBe(409);
    expect(accounts.openai.billed).toBe(2);
  });

  test("is kept for 24 hours, to the millisecond", async () => {
    accounts = await startAccounts({ frozenAt: noon });
    const first = await withKey("daily");
    accounts.router.advance(24 * hourMs - 1);
    expect(await refusal(await withKey("daily"))).toMatchObject({ status: 410, code: "image_expired" });
    expect((await withKey("daily", { ...small, prompt: "a saucer" })).status).toBe(409);
    accounts.router.advance(1);
    const next = await withKey("daily");
    expect([next.status, accounts.openai.billed]).toEqual([200, 2]);
    expect(generationOf(next)).not.toBe(generationOf(first));
    expect(generationOf(await withKey("daily"))).toBe(generationOf(next));
  });

  test("a refused request does not use it up", async () => {
    accounts = await startAccounts();
    const { data, key } = await accounts.makeKey({ limit: 0 });
    expect((await withKey("later", { ...small, n: 99 }, key)).status).toBe(400);
    expect((await withKey("later", small, key)).status).toBe(402);
    await accounts.changeKey(data.hash, { limit: null });
    expect((await withKey("later", small, key)).status).toBe(200);
  });
});

describe("the same request again", () => {
  test("in flight: all wait for one generation and get the same answer", async () => {
    accounts = await startAccounts();
    accounts.openai.latencyMs = 300;
    const answers = await accounts.beforeAdmission(() => atOnce(20, () => withKey("one")));
    const bodies = await Promise.all(answers.map((answer) => answer.json()));
    expect(new Set(answers.map(generationOf)).size).toBe(1);
    for (const body of bodies) expect(body).toEqual(bodies[0]);
    expect(accounts.openai.billed).toBe(1);
  });

  test("succeeded: the same images, presented as asked this time", async () => {
    accounts = await startAccounts();
    const first = await withKey("twice");
    const link = ((await first.json()) as { data: Array<{ url: string }> }).data[0]?.url ?? "";
    const bytes = Buffer.from(await (await fetch(link)).arrayBuffer());
    const again = await withKey("twice", { ...small, response_format: "b64_json" });
    expect(lasting(again)).toEqual(lasting(first));
    const { data } = (await again.json()) as { data: Array<{ b64_json: string }> };
    expect(Buffer.from(data[0]?.b64_json ?? "", "base64").equals(bytes)).toBe(true);
    expect(accounts.openai.billed).toBe(1);
  });

  test("bytes gone, by expiry or by their owner: 410, and nothing is made or charged", async () => {
    accounts = await startAccounts({ frozenAt: noon });
    const { data } = (await (await withKey("deleted")).json()) as { data: Array<{ url: string }> };
    const removed = await accounts.call(
      "DELETE",
      new URL(data[0]?.url ?? "").pathname,
      undefined,
      accounts.router.keys.live,
    );
    expect(removed.status).toBe(200);
    const expired = await withKey("expired", { ...small, prompt: "a saucer" });
    accounts.router.advance(hourMs);
    for (const answer of [await withKey("deleted"), await withKey("expired", { ...small, prompt: "a saucer" })]) {
      expect(answer.headers.get("x-should-retry")).toBe("false");
      expect(generationOf(answer)).toStartWith("gen-");
      expect(await refusal(answer)).toEqual({ status: 410, code: "image_expired", param: null });
    }
    expect([expired.status, accounts.openai.billed]).toEqual([200, 2]);
  });

  test("final failure: replayed with the same status, headers and body", async () => {
    accounts = await startAccounts();
    const refused = { ...small, prompt: "[[moderate]]" };
    const first = await withKey("refused", refused);
    const again = await withKey("refused", refused);
    expect([first.status, first.headers.get("x-should-retry")]).toEqual([400, "false"]);
    expect(again.status).toBe(400);
    expect(lasting(again)).toEqual(lasting(first));
    expect(await again.json()).toEqual(await first.json());
    // A call that was cut after it was sent is final too: the provider may have made the picture.
    accounts.openai.next({ kind: "cut" });
    const lost = await withKey("lost");
    const lostAgain = await withKey("lost");
    expect(lasting(lostAgain)).toEqual(lasting(lost));
    expect(await refusal(lostAgain)).toMatchObject({ status: 502, code: "upstream_outcome_unknown" });
    expect(accounts.openai.requestsAt("create")).toHaveLength(2);
  });

  test("retryable failure: tried anew, as often as it takes", async () => {
    accounts = await startAccounts();
    accounts.openai.next({ kind: "answer", status: 500, body: {} }, { times: 2 });
    const answers = [await withKey("again"), await withKey("again"), await withKey("again"), await withKey("again")];
    expect(answers.map(({ status }) => status)).toEqual([502, 502, 200, 200]);
    expect(answers.slice(0, 2).map(({ headers }) => headers.get("x-should-retry"))).toEqual(["true", "true"]);
    expect(new Set(answers.map(generationOf)).size).toBe(3);
    expect(accounts.openai.billed).toBe(1);
  });

  test("another request under the same key: 409, whatever became of the first", async () => {
    accounts = await startAccounts();
    await withKey("good");
    await withKey("bad", { ...small, prompt: "[[moderate]]" });
    for (const key of ["good", "bad"]) {
      const answer = await withKey(key, { ...small, prompt: "a saucer" });
      expect(answer.headers.get("x-should-retry")).toBe("false");
      expect(await refusal(answer)).toEqual({ status: 409, code: "idempotency_conflict", param: null });
    }
  });

  test("two servers on one data folder: one generation, one charge, the same answer", async () => {
    accounts = await startAccounts();
    const { router, openai } = accounts;
    const env = { OPENAI_API_KEY: openai.key, OPENAI_BASE_URL: openai.url, AROUTER_PUBLIC_URL: router.url };
    const second = await startRouter({ dataFolder: router.dataFolder, keys: router.keys, env });
    try {
      openai.latencyMs = 500;
      for (let round = 0; round < 3; round += 1) {
        const headers = { "idempotency-key": `both-${round}` };
        const answers = await accounts.beforeAdmission(() =>
          atOnce(8, (position) => (position % 2 === 0 ? router : second).generate(small, { headers })),
        );
        const bodies = await Promise.all(answers.map((answer) => answer.json()));
        expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200));
        for (const body of bodies) expect(body).toEqual(bodies[0]);
        expect(openai.billed).toBe(round + 1);
      }
    } finally {
      await second.stop();
    }
  }, 20_000);
});

describe("the official clients' silent retry", () => {
  test("joins what runs and what has succeeded; without the header two requests are two generations", async () => {
    accounts = await startAccounts();
    accounts.openai.latencyMs = 300;
    const first = accounts.router.generate(small);
    await accounts.openai.arrived();
    const joined = await retry();
    expect(generationOf(joined)).toBe(generationOf(await first));
    accounts.openai.latencyMs = 0;
    expect(generationOf(await retry(small, undefined, "2"))).toBe(generationOf(await first));
    expect(accounts.openai.billed).toBe(1);
    await accounts.router.generate(small);
    await retry(small, undefined, "0");
    await retry(small, undefined, "nonsense");
    expect(accounts.openai.billed).toBe(4);
  });

  test("two retries at the same moment are one generation", async () => {
    accounts = await startAccounts();
    const answers = await accounts.beforeAdmission(() =>
      atOnce(6, (position) => retry(small, undefined, `${1 + position}`)),
    );
    expect(new Set(answers.map(generationOf)).size).toBe(1);
    expect(accounts.openai.billed).toBe(1);
  });

  test("joins for ten minutes, to the millisecond", async () => {
    accounts = await startAccounts({ frozenAt: noon });
    const first = await accounts.router.generate(small);
    accounts.router.advance(10 * minuteMs - 1);
    expect(generationOf(await retry())).toBe(generationOf(first));
    accounts.router.advance(1);
    expect(generationOf(await retry())).not.toBe(generationOf(first));
    expect(accounts.openai.billed).toBe(2);
  });

  test("does not join a failure, another key's request, or another request", async () => {
    accounts = await startAccounts();
    const other = await accounts.makeKey();
    const refused = { ...small, prompt: "[[moderate]]" };
    const failures = [await accounts.router.generate(refused), await retry(refused)];
    expect(generationOf(failures[0] as Response)).not.toBe(generationOf(failures[1] as Response));
    const first = await accounts.router.generate(small);
    expect(generationOf(await retry(small, other.key))).not.toBe(generationOf(first));
    expect(generationOf(await retry({ ...small, n: 2 }))).not.toBe(generationOf(first));
    expect(accounts.openai.billed).toBe(4);
  });

  test("an idempotency key comes first", async () => {
    accounts = await startAccounts();
    const first = await accounts.router.generate(small);
    const headers = { "idempotency-key": "new", "x-stainless-retry-count": "1" };
    expect(generationOf(await accounts.router.generate(small, { headers }))).not.toBe(generationOf(first));
  });

  test("AROUTER_SDK_RETRY_JOIN=off: every request is a generation of its own", async () => {
    accounts = await startAccounts({ env: { AROUTER_SDK_RETRY_JOIN: "off" } });
    const answers = [await accounts.router.generate(small), await retry()];
    expect(new Set(answers.map(generationOf)).size).toBe(2);
    expect(accounts.openai.billed).toBe(2);
  });
});
