import { readFile } from "node:fs/promises";
import droid from "./assets/DroidSansFallback.ttf" with { type: "file" };
import cyrillic from "./assets/inter-cyrillic-500-normal.woff" with { type: "file" };
import greek from "./assets/inter-greek-500-normal.woff" with { type: "file" };
import latin from "./assets/inter-latin-500-normal.woff" with { type: "file" };
import latinBold from "./assets/inter-latin-700-normal.woff" with { type: "file" };
import latinExtended from "./assets/inter-latin-ext-500-normal.woff" with { type: "file" };
import vietnamese from "./assets/inter-vietnamese-500-normal.woff" with { type: "file" };
import { type Font, readFont } from "./font.ts";

/** Fonts in the order in which they are asked for a character. */
export type Typeface = readonly Font[];

export type Typefaces = { text: Typeface; bold: Typeface };

let loading: Promise<Typefaces> | undefined;

/** The bundled fonts, read at the first picture and kept. */
export function loadTypefaces(): Promise<Typefaces> {
  loading ??= load();
  return loading;
}

async function load(): Promise<Typefaces> {
  const read = async (path: string) => readFont(await readFile(path));
  const [bold, ...text] = await Promise.all(
    [latinBold, latin, latinExtended, cyrillic, greek, vietnamese, droid].map(read),
  );
  return { text, bold: bold === undefined ? text : [bold, ...text] };
}
