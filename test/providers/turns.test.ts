import { expect, test } from "bun:test";
import { newOrder, nextTurn } from "../../src/providers/turns.ts";

test("turns go to who began first, and everything else gets its own between them", async () => {
  const orders = [newOrder(), newOrder(), newOrder()];
  const done: string[] = [];
  const work = async (name: string, order: number) => {
    for (let piece = 0; piece < 3; piece += 1) {
      await nextTurn(order);
      done.push(name);
    }
  };
  let others = 0;
  let looking = true;
  const look = () => {
    others += 1;
    if (looking) setImmediate(look);
  };
  setImmediate(look);
  // Asked for in the wrong order.
  await Promise.all([...orders].reverse().map((order, index) => work(`${3 - index}`, order)));
  looking = false;
  expect(done.join("")).toBe("111222333");
  expect(others).toBeGreaterThanOrEqual(done.length - 1);
});
