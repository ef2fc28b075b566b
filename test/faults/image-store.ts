/** What every image store must do, whatever lies behind it (`src/ports.ts`). */
import { beforeEach, describe, expect, test } from "bun:test";
import { newId } from "../../src/ids.ts";
import { type ImageStore, systemClock, systemRandom } from "../../src/ports.ts";

export interface OpenedStore {
  store: ImageStore;
  /** Everything that takes room in it, finished or not. */
  leftovers(): Promise<string[]>;
}

export const imageId = () => newId("img", systemClock, systemRandom);
const bytesOf = (text: string) => new TextEncoder().encode(text);

export async function put(store: ImageStore, id: string, ...chunks: Uint8Array[]): Promise<void> {
  const writer = await store.create(id);
  for (const chunk of chunks) await writer.write(chunk);
  await writer.finish();
}

export async function listed(store: ImageStore): Promise<string[]> {
  const ids: string[] = [];
  for await (const id of store.list()) ids.push(id);
  return ids.sort();
}

/** @param open an empty store, anew for every test; it cleans up after itself */
export function imageStoreContract(name: string, open: () => Promise<OpenedStore>): void {
  describe(`image store: ${name}`, () => {
    let store: ImageStore;
    let leftovers: OpenedStore["leftovers"];
    let id: string;
    beforeEach(async () => {
      ({ store, leftovers } = await open());
      id = imageId();
    });
    const read = async (which: string) => (await store.open(which))?.bytes();

    test("gives back what was written, whole and in parts", async () => {
      await put(store, id, bytesOf("one "), new Uint8Array(), bytesOf("two "), bytesOf("three"));
      const blob = await store.open(id);
      expect(blob?.size).toBe(13);
      expect(await blob?.text()).toBe("one two three");
      const parts = [
        [0, 3, "one"],
        [4, 7, "two"],
        [8, 13, "three"],
        [12, 99, "e"],
        [13, 99, ""],
        [5, 5, ""],
      ] as const;
      for (const [start, end, part] of parts) expect(await blob?.slice(start, end).text()).toBe(part);
      expect(await new Response(blob).text()).toBe("one two three");
    });

    test("knows nothing of an id that was never written; removing it is fine", async () => {
      expect(await store.open(id)).toBeNull();
      await store.delete(id);
      expect(await listed(store)).toEqual([]);
    });

    test("shows nothing before finish", async () => {
      const writer = await store.create(id);
      await writer.write(bytesOf("half"));
      expect(await store.open(id)).toBeNull();
      expect(await listed(store)).toEqual([]);
      await writer.write(bytesOf(" and half"));
      await writer.finish();
      expect(await read(id)).toEqual(bytesOf("half and half"));
      expect(await listed(store)).toEqual([id]);
    });

    test.each(["before a byte", "before finish", "after finish", "after finish and delete"])(
      "abort %s leaves nothing, and may come twice",
      async (when) => {
        const writer = await store.create(id);
        if (when !== "before a byte") await writer.write(bytesOf("soon gone"));
        if (when.startsWith("after")) await writer.finish();
        if (when.endsWith("delete")) await store.delete(id);
        await writer.abort();
        await writer.abort();
        expect(await store.open(id)).toBeNull();
        expect(await listed(store)).toEqual([]);
        expect(await leftovers()).toEqual([]);
      },
    );

    test("delete removes the bytes, once and for all", async () => {
      const other = imageId();
      await put(store, id, bytesOf("gone"));
      await put(store, other, bytesOf("stays"));
      await store.delete(id);
      await store.delete(id);
      expect(await store.open(id)).toBeNull();
      expect(await listed(store)).toEqual([other]);
      expect(await read(other)).toEqual(bytesOf("stays"));
      expect(await leftovers()).toEqual([other]);
    });

    test("keeps many writers apart", async () => {
      const ids = Array.from({ length: 40 }, imageId);
      await Promise.all(
        ids.map(async (each, index) => {
          const writer = await store.create(each);
          for (let turn = 0; turn < 20; turn += 1) await writer.write(bytesOf(`${index}:${turn} `));
          if (index % 4 === 0) await writer.abort();
          else await writer.finish();
        }),
      );
      const kept = ids.filter((_, index) => index % 4 !== 0);
      expect(await listed(store)).toEqual(kept.toSorted());
      expect((await leftovers()).sort()).toEqual(kept.toSorted());
      for (const [index, each] of ids.entries()) {
        const whole = Array.from({ length: 20 }, (_, turn) => `${index}:${turn} `).join("");
        expect(await read(each)).toEqual(index % 4 === 0 ? undefined : bytesOf(whole));
      }
    });

    test("a chunk's memory is its owner's again after write", async () => {
      const writer = await store.create(id);
      const chunk = new Uint8Array(70_000);
      for (let turn = 1; turn <= 5; turn += 1) await writer.write(chunk.fill(turn));
      chunk.fill(0xff);
      await writer.finish();
      const stored = await read(id);
      expect(stored?.length).toBe(350_000);
      for (let turn = 1; turn <= 5; turn += 1) expect(stored?.[turn * 70_000 - 1]).toBe(turn);
    });

    test("a part of a larger memory is stored as that part", async () => {
      const memory = Uint8Array.from({ length: 100 }, (_, index) => index);
      await put(store, id, memory.subarray(10, 20), memory.subarray(20, 90));
      expect(await read(id)).toEqual(memory.slice(10, 90));
    });

    test("a large picture in odd pieces comes back to the byte", async () => {
      const large = crypto.getRandomValues(new Uint8Array(60_001));
      const writer = await store.create(id);
      for (let turn = 0; turn < 100; turn += 1) await writer.write(large);
      await writer.finish();
      const blob = await store.open(id);
      expect(blob?.size).toBe(6_000_100);
      expect(await blob?.slice(99 * 60_001).bytes()).toEqual(large);
      expect(await blob?.slice(60_000, 60_003).bytes()).toEqual(
        Uint8Array.of(large[60_000] ?? 0, large[0] ?? 0, large[1] ?? 0),
      );
    });

    test("what is stored is never overwritten, nor taken away by whoever tried", async () => {
      await put(store, id, bytesOf("first"));
      const overwrite = async () => {
        const writer = await store.create(id);
        try {
          await writer.write(bytesOf("second"));
          await writer.finish();
        } catch (error) {
          await writer.abort();
          throw error;
        }
      };
      await expect(overwrite()).rejects.toThrow();
      expect(await read(id)).toEqual(bytesOf("first"));
      expect(await leftovers()).toEqual([id]);
    });

    test("of two who write one id at the same time, one is refused and the other's bytes are whole", async () => {
      const write = (text: string) => put(store, id, ...Array.from(text.repeat(200)).map(bytesOf));
      const ended = await Promise.allSettled([write("a"), write("b")]);
      expect(ended.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
      const winner = ended[0].status === "fulfilled" ? "a" : "b";
      expect(await read(id)).toEqual(bytesOf(winner.repeat(200)));
    });

    const strangers = [
      "",
      "img-",
      "../evil",
      "../../evil",
      "img-../../../evil",
      "/etc/passwd",
      "unfinished",
      ".",
      "..",
    ];
    const nearly = [
      "img-01m820rxczv52ndvv9xn0f9tf",
      "img-01m820rxczv52ndvv9xn0f9tfyy",
      "IMG-01m820rxczv52ndvv9xn0f9tfy",
    ];
    const sly = [
      "img-01m820rxczv52ndvv9xn0f9tfy/x",
      "img-01m820rxczv52ndvv9xn0f9tfy\n",
      "img-01m820rxczv52ndvv9xn0f9t\0y",
    ];
    test.each([...strangers, ...nearly, ...sly, "img-01m820rxczv52ndvv9xn0f9t%2", "gen-01m820rxczv52ndvv9xn0f9tfy"])(
      "%j is no id: nothing is made, read or removed",
      async (stranger) => {
        await expect(put(store, stranger, bytesOf("x"))).rejects.toThrow();
        await expect(store.open(stranger)).rejects.toThrow();
        await expect(store.delete(stranger)).rejects.toThrow();
        expect(await leftovers()).toEqual([]);
      },
    );
  });
}
