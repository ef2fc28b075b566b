/** Result links and polls that fail in passing, links that lead astray, and where credentials go. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Fault } from "../doubles/faults.ts";
import { type ReplicateDouble, startReplicate } from "../doubles/replicate.ts";
import type { TestRouter } from "../router.ts";
import {
  answerOf,
  cleanup,
  envFor,
  expectFailure,
  filesOf,
  outcomes,
  type RawUpstream,
  rawUpstream,
  router,
  vendors,
} from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(40_000);

const [openaiVendor, stabilityVendor, vendor] = vendors;

interface Scene {
  replicate: ReplicateDouble;
  started: TestRouter;
  /** Stands for every place where nothing of ours has any business. */
  sink: RawUpstream;
}

/** A scene a test, for they run side by side. */
async function scene(polls = 0, env: Record<string, string> = {}): Promise<Scene> {
  const replicate = startReplicate({ progress: { polls }, fileOrigin: "same" });
  cleanup.add(() => replicate.stop());
  const sink = rawUpstream((socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
  return { replicate, started: await router({ ...envFor(vendor, replicate), ...env }), sink };
}
const brief = { AROUTER_UPSTREAM_TIMEOUT_MS: "3000" };
afterAll(cleanup.run);

/** Delivered, paid once, made once. */
async function expectDelivered({ replicate, started }: Scene): Promise<void> {
  const answer = await answerOf(started.generate(vendor.body));
  expect(answer).toMatchObject({ status: 200, cost: "0.05" });
  const response = await fetch(answer.body.data?.[0]?.url ?? "");
  expect(response.status).toBe(200);
  expect(replicate.requestsAt("create")).toHaveLength(1);
  expect(replicate.predictionIds).toHaveLength(1);
  expect(replicate.billed).toBe(1);
  expect(replicate.requestsAt("cancel")).toHaveLength(0);
  expect(filesOf(started)).toHaveLength(1);
}

const passing: [name: string, fault: Fault, times: number][] = [
  ["404", { kind: "answer", status: 404 }, 2],
  ["403", { kind: "answer", status: 403 }, 1],
  ["500", { kind: "answer", status: 500, body: "<html>oops</html>" }, 2],
  ["503", { kind: "answer", status: 503 }, 1],
  ["429", { kind: "answer", status: 429, headers: { "retry-after": "1" } }, 1],
  ["a cut connection", { kind: "cut" }, 2],
  ["a truncated body", { kind: "truncate" }, 2],
];

describe("a finished result is fetched again until it is there", () => {
  test.concurrent.each(passing)("after %s", async (_name, fault, times) => {
    const here = await scene();
    const { replicate } = here;
    replicate.next(fault, { on: "file", times });
    await expectDelivered(here);
    expect(replicate.requestsAt("file")).toHaveLength(times + 1);
  });

  test.concurrent("as long as the attempt lives, and no longer; the job is not made again", async () => {
    const { replicate, started } = await scene(0, brief);
    replicate.always({ kind: "answer", status: 500 }, { on: "file" });
    await expectFailure(started.generate(vendor.body), outcomes.timeout);
    expect(replicate.requestsAt("file").length).toBeWithin(2, 10);
    expect(replicate.requestsAt("create")).toHaveLength(1);
    expect(filesOf(started)).toEqual([]);
  });

  test.concurrent("a result that never was is given up; nobody is told to resend", async () => {
    const { replicate, started } = await scene();
    replicate.always({ kind: "answer", status: 404 }, { on: "file" });
    const { retry, status, cost } = await answerOf(started.generate(vendor.body));
    expect({ retry, status, cost }).toEqual({ retry: "false", status: 502, cost: "0" });
    expect(replicate.requestsAt("create")).toHaveLength(1);
  });
});

describe("a poll that fails says nothing about its job", () => {
  const pollFaults: [name: string, fault: Fault, times: number][] = [
    ...passing,
    ["401", { kind: "answer", status: 401, body: { title: "Unauthenticated", status: 401 } }, 1],
    ["a proxy's HTML page", { kind: "htmlBadGateway" }, 2],
    ["an HTML page with 200", { kind: "text", contentType: "text/html", body: "<html></html>" }, 2],
    ["half of the prediction", { kind: "malformed" }, 1],
  ];
  test.concurrent.each(pollFaults)("after %s", async (_name, fault, times) => {
    const here = await scene(1);
    const { replicate } = here;
    replicate.next(fault, { on: "poll", times: Math.min(times, 2) });
    await expectDelivered(here);
  });

  test.concurrent("429 with Retry-After is obeyed", async () => {
    const here = await scene(1);
    const { replicate } = here;
    replicate.next({ kind: "answer", status: 429, headers: { "retry-after": "2" } }, { on: "poll" });
    const begun = performance.now();
    await expectDelivered(here);
    expect(performance.now() - begun).toBeGreaterThan(2_000);
    expect(replicate.requestsAt("poll")).toHaveLength(2);
  });
});

describe("links that lead astray", () => {
  const redirects = [
    "/v1/x",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/",
    "https://127.0.0.1:1/",
  ];
  test.concurrent.each(redirects)("a redirect to %s is refused", async (to) => {
    const { replicate, started, sink } = await scene();
    replicate.always({ kind: "redirect", to: to.startsWith("/") ? sink.origin + to : to });
    await expectFailure(started.generate(vendor.body), outcomes.changed);
    expect(sink.connections).toBe(0);
    expect(replicate.requestsAt("file")).toHaveLength(1);
    expect(filesOf(started)).toEqual([]);
  });

  test.concurrent("a redirect within the provider's own origin is followed, without credentials", async () => {
    const here = await scene();
    const { replicate } = here;
    replicate.next({ kind: "redirect", to: "/elsewhere.png" });
    replicate.next({ kind: "answer", status: 404 }, { on: "other" });
    await expectDelivered(here);
    const arrivedElsewhere = replicate.requests.filter(({ path }) => path === "/elsewhere.png");
    expect(arrivedElsewhere).toHaveLength(1);
    expect(arrivedElsewhere[0]?.headers).not.toHaveProperty("authorization");
  });

  const links = (origin: string) => [
    `${origin}/x.png`,
    origin.replace("http:", "https:"),
    "http://169.254.169.254/latest/meta-data/",
    "https://[::ffff:127.0.0.1]/x.png",
    "https://localhost/x.png",
    `http://user:password@127.0.0.1/x.png`,
    "file:///etc/passwd",
  ];
  test.concurrent("a result link to anywhere private is refused, whichever provider gives it", async () => {
    const { sink } = await scene();
    const openai = rawUpstream((socket, count) => {
      const url = links(sink.origin)[count - 1];
      const body = JSON.stringify({ created: 1, data: [{ url }] });
      socket.write(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      );
    });
    const { generate } = await router(envFor(openaiVendor, openai));
    for (const link of links(sink.origin)) {
      const answer = await expectFailure(generate(openaiVendor.body), outcomes.changed);
      expect(answer.body.error?.message).not.toContain(link);
    }
    expect(openai.requests).toHaveLength(links(sink.origin).length);
    expect(sink.connections).toBe(0);
  });

  test.concurrent("a result host on another private origin is not the operator's", async () => {
    const elsewhere = startReplicate({ progress: { polls: 0 }, fileOrigin: "other" });
    cleanup.add(() => elsewhere.stop());
    const { generate } = await router(envFor(vendor, elsewhere));
    await expectFailure(generate(vendor.body), outcomes.changed);
    expect(elsewhere.requestsAt("file")).toHaveLength(0);
  });
});

describe("the credential", () => {
  test.concurrent("goes with every call to the API and with no download", async () => {
    const here = await scene(2);
    const { replicate } = here;
    await expectDelivered(here);
    for (const request of replicate.requests) {
      const expected = request.stage === "file" ? undefined : `Bearer ${replicate.key}`;
      expect(request.headers.authorization).toBe(expected);
    }
    expect(replicate.credentialsAtFiles).toEqual([]);
    const file = JSON.stringify(replicate.requestsAt("file"));
    expect(file).not.toContain(replicate.key);
  });

  test.concurrent("never follows urls.get and urls.cancel to another origin: the documented path is used instead", async () => {
    const { replicate, started, sink } = await scene(0, brief);
    const urls = { get: `${sink.origin}/v1/predictions/p1`, cancel: `${sink.origin}/v1/predictions/p1/cancel` };
    const prediction = { id: "p1", status: "processing", output: null, error: null, urls };
    replicate.next({ kind: "answer", status: 201, body: prediction });
    replicate.always({ kind: "answer", status: 200, body: prediction }, { on: "poll" });
    await expectFailure(started.generate(vendor.body), outcomes.timeout);
    expect(replicate.requestsAt("poll")[0]?.path).toBe("/v1/predictions/p1");
    expect(replicate.requestsAt("cancel").map(({ path }) => path)).toEqual(["/v1/predictions/p1/cancel"]);
    expect(sink.connections).toBe(0);
  });

  test.concurrent.each([301, 302, 307, 308])(
    "never follows a %d of the API itself, at whatever call",
    async (status) => {
      const { replicate, started, sink } = await scene();
      const to = `${sink.origin}/v1/steal`;
      replicate.next({ kind: "redirect", to, status }, { on: "create" });
      await expectFailure(started.generate(vendor.body), outcomes.changed);
      replicate.progress = { polls: 1 };
      replicate.next({ kind: "redirect", to, status }, { on: "poll" });
      expect((await started.generate(vendor.body)).status).toBe(200);
      const upstream = rawUpstream((socket) =>
        socket.end(`HTTP/1.1 ${status} Moved\r\nlocation: ${to}\r\ncontent-length: 0\r\n\r\n`),
      );
      const moved = await router({ ...envFor(openaiVendor, upstream), ...envFor(stabilityVendor, upstream) });
      for (const { body } of [openaiVendor, stabilityVendor])
        await expectFailure(moved.generate(body), outcomes.changed);
      expect(upstream.requests).toHaveLength(2);
      expect(sink.connections).toBe(0);
    },
  );
});
