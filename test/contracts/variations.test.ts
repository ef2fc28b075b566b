/** `POST /v1/images/variations` has been retired by its vendor: said clearly, whatever is sent. */
import { afterAll, beforeAll, test } from "bun:test";
import { startRouter, type TestRouter } from "../router.ts";
import { expectError } from "./support.ts";

let router: TestRouter;
beforeAll(async () => {
  router = await startRouter();
});
afterAll(() => router.remove());

const vary = (init: RequestInit, key?: string) =>
  fetch(`${router.url}/v1/images/variations`, {
    method: "POST",
    ...init,
    headers: { ...(key === undefined ? {} : { authorization: `Bearer ${key}` }), ...(init.headers as object) },
  });

const form = new FormData();
form.append("image", new File([new Uint8Array(2_000_000)], "cat.png", { type: "image/png" }));
const bodies: Array<[what: string, init: RequestInit]> = [
  ["a form", { body: form }],
  ["JSON", { body: "{}", headers: { "content-type": "application/json" } }],
  ["something else", { body: "<x/>", headers: { "content-type": "text/xml" } }],
  ["nothing", {}],
];
for (const [what, init] of bodies) {
  test(`${what}: endpoint_retired, and where to go`, async () => {
    for (const key of [router.keys.test, router.keys.live]) {
      await expectError(await vary(init, key), "endpoint_retired", {
        message: /POST \/v1\/images\/edits/,
        param: null,
      });
    }
  });
}

test("not without a key, and not with a management key", async () => {
  await expectError(await vary({ body: "{}" }), "invalid_api_key");
  await expectError(await vary({ body: "{}" }, router.keys.management), "wrong_key_type");
});

test("other methods are no more allowed than elsewhere", async () => {
  await expectError(await router.get("/v1/images/variations"), "method_not_allowed");
});
