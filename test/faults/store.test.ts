/** The disk store against the contract of all stores, and what a failing disk does to a generation. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { newId } from "../../src/ids.ts";
import { takeImage } from "../../src/images/intake.ts";
import { type ImageStore, systemRandom } from "../../src/ports.ts";
import { adapters } from "../../src/providers/index.ts";
import { runAttempt } from "../../src/providers/transport.ts";
import { openDiskStore, removeUnfinished } from "../../src/storage/disk.ts";
import { startOpenAi } from "../doubles/openai.ts";
import { picture } from "../doubles/picture.ts";
import { startReplicate } from "../doubles/replicate.ts";
import { startStability } from "../doubles/stability.ts";
import { imageId, imageStoreContract, listed, put } from "./image-store.ts";
import {
  answerOf,
  cleanup,
  envFor,
  expectFailure,
  filesOf,
  forgetfulStore,
  outcomes,
  router,
  vendors,
} from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(40_000);

afterEach(cleanup.run);

/** The folder lies a few levels deep, so that a path that climbs out of it is seen. */
function diskStore() {
  const root = mkdtempSync(join(tmpdir(), "arouter-store-"));
  cleanup.add(() => rmSync(root, { recursive: true, force: true }));
  const folder = join(root, "a", "b", "images");
  const store = openDiskStore(folder);
  const leftovers = async () => {
    const entries = readdirSync(root, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  };
  return { store, folder, leftovers };
}

imageStoreContract("disk", async () => diskStore());

describe("the disk store", () => {
  test("lets nobody but its owner read", async () => {
    const { store, folder } = diskStore();
    const id = imageId();
    await put(store, id, Uint8Array.of(1));
    expect(statSync(join(folder, id)).mode & 0o777).toBe(0o600);
    for (const path of [folder, join(folder, "unfinished")]) expect(statSync(path).mode & 0o077).toBe(0);
  });

  test("lists only images, whatever else lies in its folder", async () => {
    const { store, folder } = diskStore();
    const id = imageId();
    await put(store, id, Uint8Array.of(1));
    for (const name of ["notes.txt", ".DS_Store", `${imageId()}.png`, "img-x"]) writeFileSync(join(folder, name), "");
    expect(await listed(store)).toEqual([id]);
  });

  test("is the same for a second program that opens it; half-written files go by age alone", async () => {
    const { store, folder, leftovers } = diskStore();
    const [young, done] = [imageId(), imageId()];
    const old = newId("img", { now: () => 1_000_000, sleep: async () => {} }, systemRandom);
    await put(store, done, Uint8Array.of(3));
    const writers = await Promise.all([young, old].map((id) => store.create(id)));
    const second = openDiskStore(folder);
    expect(await listed(second)).toEqual([done]);
    await removeUnfinished(folder, Date.now() - 3_600_000);
    expect((await leftovers()).sort()).toEqual([young, done].sort());
    await writers[0]?.write(Uint8Array.of(1));
    await writers[0]?.finish();
    expect(await listed(second)).toEqual([young, done].sort());
    await writers[1]?.abort();
  });
});

describe("a disk that fails", () => {
  const [openaiVendor, stabilityVendor, replicateVendor] = vendors;
  const doubles = () => {
    const all = [
      startOpenAi(),
      startStability(),
      startReplicate({ progress: { polls: 0 }, fileOrigin: "same" }),
    ] as const;
    for (const double of all) cleanup.add(() => double.stop());
    return all;
  };

  test("ends the generation as internal_error, charges nothing, and the next one works", async () => {
    const [openai, stability, replicate] = doubles();
    // A result link is downloaded again for as long as the attempt lives: keep that short.
    const env = {
      ...envFor(openaiVendor, openai),
      ...envFor(stabilityVendor, stability),
      AROUTER_UPSTREAM_TIMEOUT_MS: "4000",
    };
    const started = await router({ ...env, ...envFor(replicateVendor, replicate) });
    const unfinished = join(started.dataFolder, "images", "unfinished");
    const repair = breakFolder(unfinished);
    for (const { body } of vendors) {
      const answer = await expectFailure(started.generate(body), outcomes.internal);
      const id = answer.headers.get("x-arouter-generation-id") ?? "";
      const generation = await (await started.get(`/v1/images/generations/${id}`)).json();
      expect(generation).toMatchObject({ status: "failed", cost_usd: 0, error: { code: "internal_error" }, data: [] });
      expect(JSON.stringify(answer.body)).not.toContain(started.dataFolder);
    }
    // Nobody is asked twice because of a fault of ours.
    for (const double of [openai, stability, replicate]) expect(double.requestsAt("create")).toHaveLength(1);
    const sandboxed = await started.generate(openaiVendor.body, { key: started.keys.test });
    expect(sandboxed.status).toBe(500);
    repair();
    for (const { body } of vendors) expect((await started.generate(body)).status).toBe(200);
    expect(filesOf(started)).toHaveLength(vendors.length);
    expect((await started.get("/readyz")).status).toBe(200);
  });

  test("while the picture is arriving leaves no half and no whole", async () => {
    const [, stability] = doubles();
    const started = await router(envFor(stabilityVendor, stability));
    stability.next({ kind: "oversized", bytes: 60_000_000 });
    const answer = started.generate(stabilityVendor.body);
    const images = join(started.dataFolder, "images");
    while (readdirSync(join(images, "unfinished")).length === 0) await Bun.sleep(1);
    const repair = breakFolder(join(images, "unfinished"));
    await expectFailure(answer, outcomes.internal);
    repair();
    expect(readdirSync(images)).toEqual(["unfinished"]);
    expect((await started.generate(stabilityVendor.body)).status).toBe(200);
  });

  test("says so at /readyz", async () => {
    const started = await router({});
    const repair = breakFolder(join(started.dataFolder, "images"));
    expect((await started.get("/readyz")).status).toBe(503);
    repair();
    expect((await started.get("/readyz")).status).toBe(200);
  });

  test("for one of several pictures of a call: the others are delivered, nothing of that one stays", async () => {
    const data = [1, 2, 3].map((seed) => ({ b64_json: picture({ width: 64, height: 64, seed }).toBase64() }));
    const replies = {
      inline: () => Response.json({ created: 1, data }),
      linked: () => Response.json({ created: 1, data: data.map((_, index) => ({ url: `http://10.0.0.1/${index}` })) }),
    };
    // A link is fetched again; bytes inside a reply come once.
    for (const [reply, delivered] of [
      [replies.inline, 2],
      [replies.linked, 3],
    ] as const) {
      const { store, leftovers } = diskStore();
      let finishes = 0;
      const failing: ImageStore = {
        ...forgetfulStore,
        async create(id) {
          const writer = await store.create(id);
          const turn = finishes++;
          return { ...writer, finish: () => (turn === 1 ? Promise.reject(new Error("ENOSPC")) : writer.finish()) };
        },
      };
      const send = async (url: string) =>
        new URL(url).pathname.endsWith("generations") ? reply() : new Response(picture({ width: 64, height: 64 }));
      const adapter = adapters.find(({ id }) => id === "openai");
      if (adapter === undefined) throw new Error("no adapter");
      const attempt = runAttempt(
        { adapter, baseUrl: "http://10.0.0.1/v1", trustedOrigin: "http://10.0.0.1", credential: "" },
        { operation: "generate", model: "dall-e-2", parameters: {}, count: 3 },
        { newImage: () => takeImage(failing, imageId(), 1 << 20), onPending: async () => {} },
        { fetch: send as typeof fetch, resolve: async () => [], clock: { now: Date.now, sleep: Bun.sleep } },
        { timeoutMs: 5_000 },
      );
      const outcome = await attempt;
      const ids = outcome.kind === "done" ? outcome.images.map(({ id }) => id) : [];
      expect(ids).toHaveLength(delivered);
      expect((await leftovers()).sort()).toEqual(ids.sort());
    }
  });

  /** Where the folder was there is a file: nothing can be made in it, not even by root. */
  function breakFolder(folder: string): () => void {
    const aside = `${folder}.aside`;
    renameSync(folder, aside);
    writeFileSync(folder, "");
    return () => {
      rmSync(folder);
      rmSync(aside, { recursive: true });
      mkdirSync(join(folder, basename(folder) === "images" ? "unfinished" : ""), { recursive: true });
    };
  }
});

test("answers say nothing about paths", async () => {
  const started = await router({});
  const missing = await answerOf(
    started.get(`/v1/images/files/${encodeURIComponent("../../arouter.db")}?expires=1&signature=x`),
  );
  expect(missing).toMatchObject({ status: 403, code: "invalid_link" });
});
