/** Reads one HTTP/1.1 answer in chunks and the event stream in it, keeping nothing of the pictures. */

const lineFeed = 0x0a;
const now = () => performance.timeOrigin + performance.now();
/** Enough of a block to see the event's name. */
const headBytes = 64;

export class EventReading {
  firstBegun: number | null = null;
  firstWhole: number | null = null;
  readonly events: string[] = [];
  bytes = 0;
  ended = false;
  failed: string | null = null;
  private state: "head" | "size" | "chunk" | "trailer" = "head";
  /** Text of the answer's head or of a chunk's size line, as far as it has come. */
  private line = "";
  private left = 0;
  /** The first bytes of the block (event or comment) that is being read. */
  private block = "";
  private lastByte = 0;

  push(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    let at = 0;
    while (at < bytes.length && !this.ended) {
      if (this.state === "chunk") {
        const piece = bytes.subarray(at, at + this.left);
        this.read(piece);
        at += piece.length;
        this.left -= piece.length;
        if (this.left === 0) this.state = "trailer";
        continue;
      }
      const end = bytes.indexOf(lineFeed, at);
      const until = end < 0 ? bytes.length : end + 1;
      this.line += Buffer.from(bytes.subarray(at, until)).toString("latin1");
      at = until;
      if (end >= 0) this.endLine();
    }
  }

  end(why: string): void {
    if (!this.ended) this.failed ??= why;
    this.ended = true;
  }

  private endLine(): void {
    const { line } = this;
    if (this.state === "head") {
      if (!line.endsWith("\r\n\r\n")) return;
      if (!/^HTTP\/1\.1 200 /.test(line)) this.end(line.slice(0, 200));
      this.state = "size";
    } else if (this.state === "trailer") {
      this.state = "size";
    } else {
      this.left = Number.parseInt(line, 16);
      this.state = "chunk";
      if (this.left === 0) this.ended = true;
      if (Number.isNaN(this.left)) this.end(`a chunk of '${line.slice(0, 40)}'`);
    }
    this.line = "";
  }

  private read(piece: Uint8Array): void {
    let from = 0;
    for (;;) {
      const end = this.endOfBlock(piece, from);
      this.begin(piece.subarray(from, end ?? piece.length));
      if (end === null) break;
      if (this.block.startsWith("event: ")) {
        this.firstWhole ??= now();
        this.events.push(this.block.slice("event: ".length).split("\n")[0] ?? "");
      }
      this.block = "";
      from = end;
    }
    this.lastByte = piece.at(-1) ?? this.lastByte;
  }

  private begin(bytes: Uint8Array): void {
    if (this.block.length >= headBytes) return;
    this.block += Buffer.from(bytes.subarray(0, headBytes - this.block.length)).toString("latin1");
    if (this.firstBegun === null && this.block.startsWith("event: ")) this.firstBegun = now();
  }

  /** After the blank line that ends the block; null where it goes on. */
  private endOfBlock(piece: Uint8Array, from: number): number | null {
    if (from === 0 && this.lastByte === lineFeed && piece[0] === lineFeed) return 1;
    for (let at = piece.indexOf(lineFeed, from); at >= 0; at = piece.indexOf(lineFeed, at + 1)) {
      if (piece[at + 1] === lineFeed) return at + 2;
    }
    return null;
  }
}
