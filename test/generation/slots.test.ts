import { describe, expect, test } from "bun:test";
import { createSlots } from "../../src/generation/slots.ts";

const never = new AbortController().signal;
const two = { total: 2, model: undefined };

describe("places for calls", () => {
  test("are unlimited where the provider names no limit", async () => {
    const slots = createSlots();
    for (let call = 0; call < 500; call += 1) {
      expect(
        await slots.enter({ keyHash: "a", model: "m" }, { total: undefined, model: undefined }, never),
      ).not.toBeNull();
    }
    expect(slots.running).toBe(500);
  });

  test("are never more than the limit, and the keys take turns", async () => {
    const slots = createSlots();
    const order: string[] = [];
    const leaves: Array<() => void> = [];
    const call = async (keyHash: string, name: string) => {
      const leave = await slots.enter({ keyHash, model: "m" }, two, never);
      order.push(name);
      leaves.push(leave as () => void);
    };
    const all = [
      ...[1, 2, 3, 4, 5].map((index) => call("greedy", `g${index}`)),
      ...[1, 2].map((index) => call("modest", `m${index}`)),
    ];
    await Bun.sleep(1);
    expect({ order, running: slots.running, waiting: slots.waiting }).toEqual({
      order: ["g1", "g2"],
      running: 2,
      waiting: 5,
    });
    for (let done = 0; done < 7; done += 1) {
      leaves.shift()?.();
      await Bun.sleep(1);
      expect(slots.running).toBeLessThanOrEqual(2);
    }
    await Promise.all(all);
    expect(order).toEqual(["g1", "g2", "g3", "m1", "g4", "m2", "g5"]);
    expect({ running: slots.running, waiting: slots.waiting }).toEqual({ running: 0, waiting: 0 });
  });

  test("have a limit of their own for one model, which holds up no other", async () => {
    const slots = createSlots();
    const caps = { total: 3, model: 1 };
    const first = await slots.enter({ keyHash: "a", model: "narrow" }, caps, never);
    let second = false;
    const waits = slots.enter({ keyHash: "a", model: "narrow" }, caps, never).then(() => (second = true));
    await slots.enter({ keyHash: "a", model: "wide" }, { total: 3, model: undefined }, never);
    expect({ running: slots.running, second }).toEqual({ running: 2, second: false });
    first?.();
    await waits;
    expect(second).toBe(true);
  });

  test("a place given back twice counts once; one who leaves the line takes nobody's place", async () => {
    const slots = createSlots();
    const one = { total: 1, model: undefined };
    const leave = await slots.enter({ keyHash: "a", model: "m" }, one, never);
    const gone = new AbortController();
    const left = slots.enter({ keyHash: "a", model: "m" }, one, gone.signal);
    const stays = slots.enter({ keyHash: "b", model: "m" }, one, never);
    gone.abort();
    expect(await left).toBeNull();
    leave?.();
    leave?.();
    expect(await stays).not.toBeNull();
    expect({ running: slots.running, waiting: slots.waiting }).toEqual({ running: 1, waiting: 0 });
  });
});
