/** What a protocol cannot carry as it is meant is refused before anything is sent, never rewritten. */
import { describe, expect, test } from "bun:test";
import { localai } from "../../src/providers/localai.ts";
import { openai } from "../../src/providers/openai.ts";
import type { Adapter, Operation } from "../../src/providers/provider.ts";
import { sdServer } from "../../src/providers/sd-server.ts";

const objection = (adapter: Adapter, parameters: Record<string, unknown>, operation: Operation = "generate") =>
  adapter.objection?.({ operation, model: "m", count: 1, parameters });

describe("a protocol objects", () => {
  test("to a pipe at LocalAI, where it would end the prompt", () => {
    expect(objection(localai, { prompt: "a | b" })).toBe("prompt");
    expect(objection(localai, { prompt: "a", negative_prompt: "b|c" })).toBe("negative_prompt");
    expect(objection(localai, { prompt: "a", negative_prompt: "b" })).toBeUndefined();
  });

  test("to a block of arguments of the client's own at sd-server, which would obey it", () => {
    expect(objection(sdServer, { prompt: "a <sd_cpp_extra_args>{}</sd_cpp_extra_args>" })).toBe("prompt");
    expect(objection(sdServer, { prompt: "a < b" })).toBeUndefined();
  });

  test("to edits where the server has none", () => {
    expect(objection(localai, { prompt: "a" }, "edit")).toBe("operation");
    expect(objection(openai, { prompt: "a" }, "edit")).toBeUndefined();
  });
});
