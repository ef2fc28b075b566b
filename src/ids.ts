/** Ids and secrets. Ids sort by time, so that rows written together lie together. */
import { createHash } from "node:crypto";
import type { Clock, Random } from "./ports.ts";

const crockford = "0123456789abcdefghjkmnpqrstvwxyz";
const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** `gen-…`, `img-…`, `req-…`, `run-…`: 10 characters of time (milliseconds), 16 of randomness (80 bits). */
export function newId(prefix: "gen" | "img" | "req" | "run" | "mov" | "aud", clock: Clock, random: Random): string {
  let time = "";
  for (let rest = clock.now(), i = 0; i < 10; i++, rest = Math.floor(rest / 32))
    time = crockford.charAt(rest % 32) + time;
  let tail = "";
  for (const byte of random.bytes(16)) tail += crockford.charAt(byte & 31);
  return `${prefix}-${time}${tail}`;
}

/**
 * The id of a picture that an attempt delivers, always the same: a file that is stored under it tells by itself, after a
 * crash, that the picture was delivered whole. Nothing has to be written to the database in between.
 * @param index position within the attempt
 */
export function imageIdOf(generationId: string, attempt: number, index: number): string {
  const digest = createHash("sha256").update(`${generationId} ${attempt} ${index}`).digest();
  let tail = "";
  for (const byte of digest.subarray(0, 16)) tail += crockford.charAt(byte & 31);
  return `img-${generationId.slice(4, 14)}${tail}`;
}

/** When an id was made, Unix milliseconds; for a picture of an attempt, when its generation began. */
export function timeOfId(id: string): number {
  let time = 0;
  for (const character of id.slice(4, 14)) time = time * 32 + crockford.indexOf(character);
  return time;
}

/** A secret of 32 letters and digits: 190 bits. */
export function newSecret(random: Random): string {
  let secret = "";
  while (secret.length < 32) {
    // 248 = 4 × 62: bytes above it are left out, so that every character is equally likely.
    for (const byte of random.bytes(48)) if (byte < 248 && secret.length < 32) secret += base62.charAt(byte % 62);
  }
  return secret;
}
