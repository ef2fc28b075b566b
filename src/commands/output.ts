/** The files that generated pictures are written to. Everything that could go wrong with them is found out before money is spent. */
import { constants } from "node:fs";
import { copyFile, lstat, rename, stat, unlink, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { fileName } from "../images/links.ts";
import { CommandError, codeOf } from "./failure.ts";

export interface Picture {
  contentType: string;
  bytes(): Promise<Uint8Array>;
}

export interface OutputRequest {
  /** `-o`: a file, or a folder for a file with a name of our choice; absent: the current folder. */
  output: string | undefined;
  /** What a file without a given name is named after; the first that has a letter or digit. */
  namesakes: string[];
  /** How many pictures are asked for. */
  count: number;
  /** Existing files may be replaced. */
  force: boolean;
}

export interface Output {
  /** Writes the pictures. @returns the files' paths @throws when a file cannot be written */
  save(pictures: Picture[]): Promise<string[]>;
}

const typicalTypes = ["image/png", "image/jpeg", "image/webp", "image/gif"];
const maxNameCharacters = 48;

/** @throws CommandError when a file exists already or could not be written */
export async function planOutput(request: OutputRequest): Promise<Output> {
  const { output, count, force } = request;
  const isFolder = output === undefined || /[/\\]$/.test(output) || (await kindOf(output)) === "folder";
  const nameOf = isFolder ? await chooseName(output ?? "", request) : givenName(output, count);
  const candidates = typicalTypes.flatMap((type) => numbers(count).map((number) => nameOf(number, type)));
  const paths = [...new Set(candidates)];
  for (const path of force ? [] : paths) {
    if ((await kindOf(path)) !== "nothing") {
      throw new CommandError(`'${path}' exists already. Use --force to replace it, or -o for another file.`);
    }
  }
  await tryToWrite(paths[0] ?? "");
  return {
    async save(pictures) {
      const saved: string[] = [];
      for (const [index, picture] of pictures.entries()) {
        saved.push(await place(await picture.bytes(), nameOf(index + 1, picture.contentType), force));
      }
      return saved;
    },
  };
}

type NameOf = (number: number, contentType: string) => string;

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

/** The name as given, to the letter; several pictures are numbered before the extension. */
function givenName(path: string, count: number): NameOf {
  if (count === 1) return () => path;
  const extension = extname(path);
  const stem = extension === "" ? path : path.slice(0, -extension.length);
  return (number) => `${stem}-${number}${extension}`;
}

/** A name that is free, whatever type the pictures turn out to have. */
async function chooseName(folder: string, { namesakes, count, force }: OutputRequest): Promise<NameOf> {
  const slug = namesakes.map(slugOf).find((name) => name !== "") ?? "image";
  for (let edition = 1; ; edition++) {
    const stem = edition === 1 ? slug : `${slug}.${edition}`;
    const nameOf: NameOf = (number, type) => join(folder, fileName(count === 1 ? stem : `${stem}-${number}`, type));
    const paths = typicalTypes.flatMap((type) => numbers(count).map((number) => nameOf(number, type)));
    const kinds = await Promise.all(paths.map(kindOf));
    if (force || kinds.every((kind) => kind === "nothing")) return nameOf;
  }
}

/** Letters and digits of any script, the rest as dashes. */
function slugOf(text: string): string {
  const words = text.toLowerCase().replace(/[^\p{L}\p{M}\p{N}]+/gu, "-");
  return [...words.replace(/^-+/, "")].slice(0, maxNameCharacters).join("").replace(/-+$/, "");
}

async function kindOf(path: string): Promise<"nothing" | "file" | "folder" | "other"> {
  try {
    // A link that leads nowhere still is something that must not be written through.
    const found = await stat(path).catch(() => lstat(path));
    return found.isFile() ? "file" : found.isDirectory() ? "folder" : "other";
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return "nothing";
    throw unwritable(path, error);
  }
}

/** Writes beside the future file and removes it again: the only honest test of permissions, space and names. */
async function tryToWrite(path: string): Promise<void> {
  const kind = await kindOf(path);
  if (kind === "folder") throw new CommandError(`'${path}' is a folder.`);
  if (kind === "other") return;
  const trial = beside(path);
  try {
    await writeFile(trial, "x", { flag: "wx" });
    await unlink(trial);
  } catch (error) {
    throw unwritable(path, error);
  }
}

const beside = (path: string): string => join(dirname(path), `.${basename(path)}.${randomName()}.part`);
const randomName = (): string => crypto.randomUUID().slice(0, 8);

async function place(bytes: Uint8Array, path: string, force: boolean): Promise<string> {
  const before = await lstat(path).catch(() => null);
  if (force && before !== null && !before.isFile()) {
    // A link or a device keeps being one.
    await writeFile(path, bytes);
    return path;
  }
  const part = beside(path);
  try {
    await writeFile(part, bytes, { flag: "wx" });
    if (force) {
      await rename(part, path);
      return path;
    }
    return await copyWithoutReplacing(part, path);
  } finally {
    await unlink(part).catch(() => {});
  }
}

/** Somebody may have taken the name while the picture was made: then the picture gets another one rather than being lost. */
async function copyWithoutReplacing(from: string, path: string): Promise<string> {
  try {
    await copyFile(from, path, constants.COPYFILE_EXCL);
    return path;
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    const extension = extname(path);
    const other = `${path.slice(0, path.length - extension.length)}.${randomName()}${extension}`;
    await copyFile(from, other, constants.COPYFILE_EXCL);
    return other;
  }
}

function unwritable(path: string, error: unknown): CommandError {
  const folder = dirname(path);
  const code = codeOf(error) ?? "unknown error";
  if (code === "ENOENT") return new CommandError(`The folder '${folder}' does not exist.`);
  if (code === "ENAMETOOLONG") return new CommandError(`The file name '${basename(path)}' is too long.`);
  return new CommandError(`Cannot write '${path}' (${code}).`);
}
