/** Whether a picture that has arrived is all of it, by what its own file says: one that is cut off is none for a provider. */

const headBytes = 8;
const checksumBytes = 4;
const pngSignature = 0x89504e47_0d0a1a0an;
const riff = 0x52494646;
const iend = 0x49454e44;

/** Told every byte of one file, in pieces. */
export class PictureEnd {
  #bytes = 0;
  /** What stands first in the file, and in a PNG before every chunk. */
  readonly #head = new DataView(new ArrayBuffer(headBytes));
  #headFilled = 0;
  #isFirst = true;
  /** Bytes before the next head. */
  #skip = 0;
  /** JPEG and GIF do not say how long they are, and decoders show what there is of them. */
  #needed: "any" | "iend" | number = "any";
  #looksOn = true;

  /** @param chunk the memory stays the caller's */
  add(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    for (let at = 0; at < chunk.length && this.#looksOn; ) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
        continue;
      }
      this.#head.setUint8(this.#headFilled, chunk[at] as number);
      this.#headFilled += 1;
      at += 1;
      if (this.#headFilled === headBytes) this.#read();
    }
  }

  isWhole(): boolean {
    if (typeof this.#needed === "number") return this.#bytes >= this.#needed;
    return this.#needed === "any";
  }

  #read(): void {
    this.#headFilled = 0;
    if (this.#isFirst) {
      this.#isFirst = false;
      this.#looksOn = this.#head.getBigUint64(0) === pngSignature;
      if (this.#looksOn) this.#needed = "iend";
      // RIFF says how many bytes follow its first eight.
      else if (this.#head.getUint32(0) === riff) this.#needed = this.#head.getUint32(4, true) + headBytes;
      return;
    }
    this.#skip = this.#head.getUint32(0) + checksumBytes;
    if (this.#head.getUint32(4) !== iend) return;
    // What stands behind it is no part of the drawing, and some programs leave some. Its own checksum may be missing.
    this.#looksOn = false;
    this.#needed = "any";
  }
}
