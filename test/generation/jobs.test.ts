/** A program that stops ends nobody's generation, not even one that is just being admitted. */
import { expect, test } from "bun:test";
import { createJobs } from "../../src/generation/jobs.ts";
import { createLogger } from "../../src/observe/log.ts";
import { systemClock } from "../../src/ports.ts";

const jobs = () => createJobs({ clock: systemClock, logger: createLogger("silent") });

test("draining waits for what is being admitted, and then for the job that it became", async () => {
  const all = jobs();
  const admission = Promise.withResolvers<void>();
  const work = Promise.withResolvers<never>();
  const order: string[] = [];
  const entered = all.entering(async () => {
    await admission.promise;
    all.start("gen-1", () => work.promise).catch(() => {});
  });
  const drained = all.drain(10_000).then((left) => order.push(`drained, ${left} left`));
  await Bun.sleep(20);
  order.push("admitted");
  admission.resolve();
  await entered;
  await Bun.sleep(20);
  order.push("ended");
  work.reject(new Error("the end"));
  await drained;
  expect(order).toEqual(["admitted", "ended", "drained, 0 left"]);
});

test("draining gives up after its time and says how many are left", async () => {
  const all = jobs();
  all.start("gen-1", () => new Promise(() => {}));
  expect(await all.drain(20)).toBe(1);
});
