/** Signed links to stored pictures: `…/v1/images/files/img-….png?expires=<unix seconds>&signature=…`. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newSecret } from "../ids.ts";
import type { Random } from "../ports.ts";

/** A link lives exactly one hour from the moment its pictures were ready. */
export const linkLifeSeconds = 3600;

export const filesPath = "/v1/images/files/";

const extensions: Record<string, string> = {
  "image/png": "png",
  "image/jpeg": "jpg",
  "image/webp": "webp",
  "image/gif": "gif",
  "image/svg+xml": "svg",
};

export function fileName(id: string, contentType: string): string {
  return `${id}.${extensions[contentType] ?? "bin"}`;
}

/**
 * Headers of every answer that carries a picture's bytes. A drawing may hold scripts and links: opened by itself, it gets
 * an origin of its own and loads nothing; shown in a page as a picture, browsers run none of it anyway.
 */
export function pictureHeaders(contentType: string): Record<string, string> {
  const headers = { "content-type": contentType, "x-content-type-options": "nosniff" };
  if (contentType !== "image/svg+xml") return headers;
  return { ...headers, "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'" };
}

export interface Links {
  /** @param expires Unix seconds */
  make(origin: string, file: string, expires: number): string;
  /** Whether exactly this file and expiry were signed by one of our secrets. */
  verify(file: string, expires: string, signature: string): boolean;
}

/** @param secrets the first signs, all verify; so a secret can be replaced without breaking live links */
export function createLinks(secrets: readonly [string, ...string[]]): Links {
  const sign = (secret: string, file: string, expires: string) =>
    createHmac("sha256", secret).update(`${filesPath}${file}\n${expires}`).digest("base64url");
  return {
    make(origin, file, expires) {
      return `${origin}${filesPath}${file}?expires=${expires}&signature=${sign(secrets[0], file, String(expires))}`;
    },
    verify(file, expires, signature) {
      const given = Buffer.from(signature);
      return secrets.some((secret) => {
        const right = Buffer.from(sign(secret, file, expires));
        return given.length === right.length && timingSafeEqual(given, right);
      });
    },
  };
}

/** The one-machine secret: made once, kept in the data folder, readable by its owner only, so that links survive restarts. */
export function keptLinkSecret(dataFolder: string, random: Random): string {
  const path = join(dataFolder, "link-secret");
  if (!existsSync(path)) {
    const secret = newSecret(random);
    const temporary = `${path}.${secret.slice(0, 8)}`;
    writeFileSync(temporary, secret, { mode: 0o600, flag: "wx" });
    try {
      // Linked into place whole; when another process was quicker, its secret is ours too.
      linkSync(temporary, path);
    } catch (error) {
      if ((error as { code?: string }).code !== "EEXIST") throw error;
    } finally {
      rmSync(temporary);
    }
  }
  return readFileSync(path, "utf8").trim();
}
