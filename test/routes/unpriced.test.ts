/** Requests for which upstream-apis.md §9 has no price: refused by the files as they are, before anything is sent. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { askAll, casesOf } from "./ask.ts";
import { expectedOf } from "./expected.ts";
import { check } from "./support.ts";

setDefaultTimeout(60_000);

const unpriced: Record<string, string[]> = {
  openai: ["openai/gpt-image-2.6-flare", "openai/gpt-image-2.6-sunburst"],
  replicate: ["black-forest-labs/flux-2-flex", "black-forest-labs/flux-2-pro"],
  bfl: ["black-forest-labs/flux-1-dev"],
  fal: ["black-forest-labs/flux-2-pro"],
};

describe.each(Object.entries(unpriced))("%s", (provider, models) => {
  const all = casesOf(provider).filter((one) => {
    const expected = expectedOf(one, false);
    return expected.kind === "refused" && expected.code === "price_unknown";
  });

  test("these models and no others", () => {
    expect([...new Set(all.map(({ model }) => model.id))].sort()).toEqual(models);
  });

  test("no price, no call", async () => {
    const { outcomes, deviations } = await askAll(provider, all, { priced: false });
    for (const one of all) {
      const outcome = outcomes.get(one);
      if (outcome === undefined) throw new Error("not asked");
      check(one, expectedOf(one, false), outcome);
      expect(outcome.heldNanos).toBeNull();
    }
    expect(deviations).toEqual([]);
  });
});
