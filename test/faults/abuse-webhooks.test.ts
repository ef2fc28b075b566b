/** Webhooks as a tool against others. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { makeKey } from "../contracts/support.ts";
import { type Recipient, startRecipient, startWebhookRouter } from "../webhooks/support.ts";
import { cleanup } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);
afterEach(cleanup.run);

function recipient(host: string): Recipient {
  const started = startRecipient({ host });
  cleanup.add(() => started.stop());
  return started;
}

test("recipients that hang, under as many names as there are, keep another key's events waiting no longer", async () => {
  const released = Promise.withResolvers<void>();
  cleanup.add(() => released.resolve());
  const hanging = Array.from({ length: 10 }, (_, index) => recipient(`hangs-${index}.test`));
  for (const one of hanging) {
    one.answer = async () => {
      await released.promise;
      return new Response();
    };
  }
  const quick = recipient("quick.test");
  const sender = await startWebhookRouter([...hanging, quick], { resolve: async () => ["127.0.0.1"] });
  cleanup.add(() => sender.remove());
  cleanup.add(() => released.resolve());
  for (const { url } of hanging) await sender.make({ webhook_url: url });
  const open = () => hanging.reduce((sum, { mostAtOnce }) => sum + mostAtOnce, 0);
  for (let look = 0; open() < 4 && look < 500; look += 1) await Bun.sleep(20);
  const other = await makeKey(sender.dataFolder, "test");
  const begun = performance.now();
  const generation = await sender.make({ webhook_url: quick.url }, other);
  await sender.deliveryOf(generation, ({ status }) => status === "delivered");
  expect(performance.now() - begun).toBeLessThan(10_000);
  expect(open()).toBe(4);
});
