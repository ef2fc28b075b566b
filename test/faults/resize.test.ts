/** Pictures that are scaled down in the store: the same picture, smaller, in place of the first; and when it stays. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId, timeOfId } from "../../src/ids.ts";
import { inspect } from "../../src/images/inspect.ts";
import { takeImage } from "../../src/images/intake.ts";
import { scaleStored } from "../../src/images/resize.ts";
import { type ImageStore, systemClock, systemRandom } from "../../src/ports.ts";
import { openDiskStore } from "../../src/storage/disk.ts";
import { incompressiblePng, picture } from "../doubles/picture.ts";
import { cleanup } from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(60_000);

afterEach(cleanup.run);

async function stored(bytes: Uint8Array) {
  const folder = mkdtempSync(join(tmpdir(), "arouter-resize-"));
  cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
  const store = openDiskStore(folder);
  const intake = takeImage(store, newId("img", systemClock, systemRandom), 1 << 26);
  await intake.write(bytes);
  const image = await intake.finish();
  const files = () => readdirSync(folder).filter((name) => name !== "unfinished");
  return { store, image, files, folder };
}

const noisy = incompressiblePng();

describe("scaled down", () => {
  const types = ["png", "jpeg", "webp"] as const;
  test.each(types)("a %s stays one, under an id of its own, and the first is gone", async (type) => {
    const source = type === "png" ? noisy : await new Bun.Image(noisy)[type]().bytes();
    for (const side of [256, 512]) {
      const { store, image, files } = await stored(source);
      const smaller = await scaleStored(store, image, { width: side, height: side });
      const bytes = (await (await store.open(smaller.id))?.bytes()) ?? new Uint8Array(0);
      expect(inspect(bytes)).toEqual({ contentType: `image/${type}`, width: side, height: side });
      expect(smaller).toEqual({
        id: smaller.id,
        bytes: bytes.length,
        contentType: `image/${type}`,
        width: side,
        height: side,
      });
      expect(files()).toEqual([smaller.id]);
      expect(smaller.id).not.toBe(image.id);
      expect(timeOfId(smaller.id)).toBe(timeOfId(image.id));
    }
  });

  test("it is the same picture", async () => {
    const half = new Bun.Image(picture({ width: 512, height: 512, seed: 77 }));
    const colourOf = async (image: Bun.Image) => [...(await image.resize(1, 1).png({ compressionLevel: 0 }).bytes())];
    const { store, image } = await stored(picture({ width: 1024, height: 1024, seed: 77 }));
    const smaller = await scaleStored(store, image, { width: 256, height: 256 });
    const blob = await store.open(smaller.id);
    if (blob === null) throw new Error("nothing stored");
    expect(await colourOf(new Bun.Image(blob))).toEqual(await colourOf(half));
  });
});

describe("stays as it is", () => {
  const square = { width: 256, height: 256 };
  const cases: [name: string, bytes: Uint8Array, size: { width: number; height: number }][] = [
    ["of this size already", picture(square), square],
    ["smaller", picture({ width: 128, height: 128 }), square],
    ["of another shape", picture({ width: 1024, height: 1536 }), square],
    ["a drawing", Buffer.from('<svg width="1024" height="1024"></svg>'), square],
    ["a GIF", Buffer.from("R0lGODlhAAQABIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "base64"), square],
    ["bytes that only begin like a picture", picture({ width: 1024, height: 1024 }).slice(0, 60), square],
  ];
  test.each(cases)("%s", async (_name, bytes, size) => {
    const { store, image, files } = await stored(bytes);
    expect(await scaleStored(store, image, size)).toEqual(image);
    expect(files()).toEqual([image.id]);
  });

  test("when the smaller one cannot be stored: the paid picture is not lost, nothing half-written is left", async () => {
    const { store, image, files, folder } = await stored(noisy);
    const failing: ImageStore = {
      ...store,
      async create(id) {
        const writer = await store.create(id);
        return { ...writer, finish: () => Promise.reject(new Error("disk full")) };
      },
    };
    expect(await scaleStored(failing, image, square)).toEqual(image);
    expect(files()).toEqual([image.id]);
    expect(readdirSync(join(folder, "unfinished"))).toEqual([]);
  });
});
