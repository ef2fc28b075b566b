/** SVG drawings are programs as well: served from our origin, none of it may run or load anything there. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { answerOf, cleanup, envFor, filesOf, rawUpstream, router, vendors } from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(40_000);

afterEach(cleanup.run);

const drawing = `<svg xmlns="http://www.w3.org/2000/svg" width="256" height="256"><script>alert(1)</script></svg>`;

test("a drawing is kept as it is, and its link lets nothing of it run", async () => {
  const body = JSON.stringify({ created: 1, data: [{ b64_json: Buffer.from(drawing).toString("base64") }] });
  const upstream = rawUpstream((socket) =>
    socket.end(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`),
  );
  const started = await router(envFor(vendors[0], upstream));
  // Whatever was asked for: what the provider delivers is told by its bytes.
  const answer = await answerOf(started.generate(vendors[0].body));
  expect(answer).toMatchObject({ status: 200, body: { data: [{}] } });
  const link = answer.body.data?.[0]?.url ?? "";
  expect(link).toMatch(/\/img-[0-9a-z]{26}\.svg\?/);
  for (const headers of [{}, { range: "bytes=0-10" }, { "if-none-match": "*" }]) {
    const response = await fetch(link, { headers });
    expect(response.headers.get("content-security-policy")).toBe(
      "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    );
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(response.headers.get("content-type")).toBe("image/svg+xml");
    if (response.status === 200) expect(await response.text()).toBe(drawing);
  }
  expect(filesOf(started)).toHaveLength(1);
});
