/**
 * The real server, for tests that kill it: it ends itself with SIGKILL at the n-th time that it reaches a point, so that
 * not one instruction of ours runs after it.
 *
 * CRASH_AT: a step boundary of `Context.reached`, or `bytes` (a picture has arrived whole and is not stored yet) or
 * `stored` (a picture is in its place and nobody knows). CRASH_NTH: default 1.
 */
import { readConfig } from "../../src/config.ts";
import type { ImageStore } from "../../src/ports.ts";
import { serve } from "../../src/serve.ts";

let left = Number(process.env.CRASH_NTH ?? 1);

function pass(point: string): void {
  if (point !== process.env.CRASH_AT) return;
  left -= 1;
  if (left === 0) process.kill(process.pid, "SIGKILL");
}

function watched(store: ImageStore): ImageStore {
  return {
    ...store,
    async create(id) {
      const writer = await store.create(id);
      return {
        ...writer,
        async finish() {
          pass("bytes");
          await writer.finish();
          pass("stored");
        },
      };
    },
  };
}

const server = await serve(readConfig(process.env), {
  reached: pass,
  print: (text) => console.log(text),
  opened: (parts) => {
    parts.images = watched(parts.images);
  },
});
console.log(`listening ${server.url}`);
process.on("SIGTERM", () => void server.stop().then(() => process.exit(0)));
