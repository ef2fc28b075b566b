import { describe, expect, test } from "bun:test";
import { type Breaker, createBreaker } from "../../src/generation/breaker.ts";

const start = 1_000_000;

/** So many generations in a row that fail, one millisecond apart. */
function failTimes(breaker: Breaker, times: number, from = start): number {
  for (let index = 0; index < times; index += 1) breaker.end("upstream_error", `gen-${from + index}`, from + index);
  return from + times - 1;
}

describe("a breaker", () => {
  test("is degraded after three failed generations in a row, for half a minute", () => {
    const breaker = createBreaker();
    failTimes(breaker, 2);
    expect(breaker.state(start + 10)).toBe("closed");
    const last = failTimes(breaker, 1, start + 20);
    expect(breaker.state(last)).toBe("degraded");
    expect(breaker.state(last + 30_000)).toBe("closed");
  });

  test("opens after ten, lets one trial through after five seconds, and closes when it delivers", () => {
    const breaker = createBreaker();
    const last = failTimes(breaker, 9);
    expect(breaker.state(last)).toBe("degraded");
    breaker.end("unreachable", "tenth", last);
    expect(breaker.state(last)).toBe("open");
    expect(breaker.waitMs(last)).toBe(5_000);
    expect(breaker.state(last + 4_999)).toBe("open");
    expect(breaker.state(last + 5_000)).toBe("half_open");
    const over = breaker.begin(last + 5_000, "trial");
    expect(over).not.toBeNull();
    // The same generation's other calls belong to the trial; nobody else's.
    expect(breaker.begin(last + 5_000, "trial")).not.toBeNull();
    expect(breaker.begin(last + 5_000, "another")).toBeNull();
    expect(breaker.state(last + 5_001)).toBe("open");
    breaker.end("delivered", "trial", last + 6_000);
    expect(breaker.state(last + 6_000)).toBe("closed");
  });

  test("stays open longer with every trial that fails, half a minute at most", () => {
    const breaker = createBreaker();
    let now = failTimes(breaker, 10);
    const waits: number[] = [];
    for (let trial = 0; trial < 5; trial += 1) {
      now += breaker.waitMs(now);
      breaker.begin(now, `trial ${trial}`);
      breaker.end("timeout", `trial ${trial}`, now);
      waits.push(breaker.waitMs(now));
    }
    expect(waits).toEqual([10_000, 20_000, 30_000, 30_000, 30_000]);
  });

  test("counts several failed calls of one generation once", () => {
    const breaker = createBreaker();
    for (let call = 0; call < 50; call += 1) breaker.end("upstream_error", "one", start);
    expect(breaker.state(start)).toBe("closed");
  });

  test("does not hear what a provider says about an account, and closes on answers about a request", () => {
    const breaker = createBreaker();
    failTimes(breaker, 9);
    for (const outcome of ["auth", "quota", "rate_limited", "model_unavailable"] as const) {
      breaker.end(outcome, outcome, start);
      expect(breaker.state(start)).toBe("degraded");
    }
    breaker.end("refused", "refused", start);
    expect(breaker.state(start)).toBe("closed");
  });
});
