/** Signatures by the Standard Webhooks specification, and which URLs a client may name. */
import { describe, expect, test } from "bun:test";
import { systemRandom } from "../../src/ports.ts";
import { newWebhookSecret, signedHeaders } from "../../src/webhooks/signature.ts";
import { checkWebhookUrl, readWebhookUrl } from "../../src/webhooks/url.ts";
import { isSignedBy } from "./support.ts";

test("the published example of the scheme comes out to the letter", () => {
  // The example that Svix and the Standard Webhooks libraries use in their documentation and tests.
  const message = { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", body: '{"test": 2432232314}' };
  expect(signedHeaders(message, ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], 1_614_265_330_999)).toEqual({
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
});

test("every secret signs, separated by spaces; nothing else verifies", async () => {
  const [newer, older, foreign] = [1, 2, 3].map(() => newWebhookSecret(systemRandom)) as [string, string, string];
  const message = { id: "evt-1", body: '{"text":"Straße 貓 🐈"}' };
  const signed = signedHeaders(message, [newer, older], 1_800_000_000_000);
  expect(signed["webhook-signature"]).toMatch(/^v1,[A-Za-z0-9+/]{43}= v1,[A-Za-z0-9+/]{43}=$/);
  const headers = new Headers(signed);
  expect(await isSignedBy(newer, { headers, body: message.body })).toBe(true);
  expect(await isSignedBy(older, { headers, body: message.body })).toBe(true);
  expect(await isSignedBy(foreign, { headers, body: message.body })).toBe(false);
  expect(await isSignedBy(newer, { headers, body: `${message.body} ` })).toBe(false);
  for (const name of ["webhook-id", "webhook-timestamp"]) {
    const altered = new Headers(signed);
    altered.set(name, `${altered.get(name)}0`);
    expect(await isSignedBy(newer, { headers: altered, body: message.body })).toBe(false);
  }
});

test("a secret has the specification's form and at least 24 random bytes", () => {
  const secrets = Array.from({ length: 50 }, () => newWebhookSecret(systemRandom));
  for (const secret of secrets) expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{32}$/);
  expect(new Set(secrets).size).toBe(secrets.length);
});

describe("a webhook URL", () => {
  const trusted = ["http://127.0.0.1:3000", "https://10.0.0.7"];
  for (const url of [
    "https://shop.example.com/hooks?token=a%20b",
    "https://shop.example.com:8443",
    "HTTPS://shop.example.com/",
    "http://127.0.0.1:3000/hooks",
    "https://10.0.0.7/x",
  ]) {
    test(`may be ${url}, and stays as it was written`, () => expect(checkWebhookUrl(url, trusted)).toBe(url));
  }
  for (const [value, code] of [
    ["http://shop.example.com/hooks", "invalid_value"],
    ["http://127.0.0.1:3001/hooks", "invalid_value"],
    ["http://127.0.0.1:3000.example.com/", "invalid_value"],
    ["ftp://shop.example.com/", "invalid_value"],
    ["javascript:alert(1)", "invalid_value"],
    ["/hooks", "invalid_value"],
    ["shop.example.com", "invalid_value"],
    ["https://", "invalid_value"],
    ["https://user:secret@shop.example.com/", "invalid_value"],
    ["https://shop.example.com/#part", "invalid_value"],
    ["", "empty_string"],
    [`https://shop.example.com/${"x".repeat(2_048)}`, "string_above_max_length"],
    [["https://shop.example.com/"], "invalid_type"],
    [7, "invalid_type"],
  ] as const) {
    test(`may not be ${JSON.stringify(value).slice(0, 60)}: ${code}`, () => {
      expect(() => checkWebhookUrl(value, trusted)).toThrow(expect.objectContaining({ code, param: "webhook_url" }));
    });
  }

  test("in a body: absent and null are none", () => {
    expect([readWebhookUrl(undefined, []), readWebhookUrl(null, [])]).toEqual([null, null]);
    expect(readWebhookUrl("https://shop.example.com/", [])).toBe("https://shop.example.com/");
    expect(() => readWebhookUrl("http://shop.example.com/", [])).toThrow("https");
  });
});
