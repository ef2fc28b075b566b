/**
 * What can be made to go wrong, and the queue that decides which call it happens to (upstream-apis.md §11.6).
 *
 * A fault belongs to a stage. Faults told with `next` are used up one per call of their stage, first told first
 * used; when none is left, the fault told with `always` for that stage holds.
 */
import type { PictureType } from "./picture.ts";

/** create: the call that is billed. poll, cancel: of a job. file: the download of a result. other: the rest. */
export type Stage = "create" | "poll" | "cancel" | "file" | "other";

/**
 * Whether the vendor has done (and charged for) the work although its answer is spoilt: `billed: true` lets the
 * double work first. Where it is absent the default named below holds.
 */
export type Fault =
  /** This answer, to the letter. An object is sent as JSON. Not billed unless told. */
  | { kind: "answer"; status: number; body?: unknown; headers?: Record<string, string>; billed?: boolean }
  /** 502 with a proxy's HTML page. Not billed unless told. */
  | { kind: "htmlBadGateway"; billed?: boolean }
  /**
   * No byte of an answer, ever: until the client leaves, or the double stops. Billed unless told. With `afterEvents`
   * only for an event stream, which falls silent after so many whole events (0: after the headers).
   */
  | { kind: "hang"; billed?: boolean; afterEvents?: number }
  /**
   * The connection is closed without one byte of an answer. Billed unless told. With `afterEvents` only for an event
   * stream, which is cut after so many whole events (0: after the headers); what was sent is billed in any case.
   */
  | { kind: "cut"; billed?: boolean; afterEvents?: number }
  /**
   * For an event stream only: after so many events (default 0) this event instead of the rest, and a proper end. Its
   * name is `error` unless told, its data is sent as JSON. Not billed unless told.
   */
  | { kind: "errorEvent"; data: unknown; event?: string; afterEvents?: number; billed?: boolean }
  /** The right answer, later. */
  | { kind: "delay"; ms: number }
  /** Full headers with the full content-length (a stream has none), half of the body, then the connection is closed. */
  | { kind: "truncate" }
  /** 200, the right content type, and honestly half of the body: JSON that does not parse, a broken picture. */
  | { kind: "malformed" }
  /** 200 and a text where JSON or a picture belongs. Default text/plain. */
  | { kind: "text"; contentType?: string; body?: string }
  /** The right body under another content type. */
  | { kind: "contentType"; contentType: string }
  /** 302 to an arbitrary address. Never billed. Happens to a file unless another stage is named. */
  | { kind: "redirect"; to: string; status?: number }
  /** The right beginning, then filler until this many bytes were sent; content-length only when `declared`. */
  | { kind: "oversized"; bytes: number; declared?: boolean }
  | ResultFault;

/** Faults of the result itself: the vendor made something else than was asked. Stage create only. */
export type ResultFault =
  /** A good answer without any picture. */
  | { kind: "emptyData" }
  /** At most this many pictures. */
  | { kind: "fewer"; images: number }
  | { kind: "dimensions"; width: number; height: number }
  /** The bytes are of this type; what is said about them (content type, echo) stays what was asked. */
  | { kind: "pictureType"; type: PictureType };

export interface FaultPlace {
  /** Default `create`; `file` for a redirect. */
  on?: Stage;
  /** How many calls of the stage: 404 for `times: 3`, then fine. Default 1. */
  times?: number;
}

const RESULT_FAULTS: readonly string[] = ["emptyData", "fewer", "dimensions", "pictureType"];

export function isResultFault(fault: Fault): fault is ResultFault {
  return RESULT_FAULTS.includes(fault.kind);
}

/** Whether the vendor works before the fault happens. */
export function worksFirst(fault: Fault): boolean {
  if (fault.kind === "redirect") return false;
  if (fault.kind === "answer" || fault.kind === "htmlBadGateway") return fault.billed ?? false;
  if (fault.kind === "hang" || fault.kind === "cut") return fault.afterEvents !== undefined || (fault.billed ?? true);
  return true;
}

export class FaultQueue {
  readonly #next = new Map<Stage, Fault[]>();
  readonly #always = new Map<Stage, Fault>();

  next(fault: Fault, place: FaultPlace = {}): void {
    const stage = stageFor(fault, place.on);
    const queue = this.#next.get(stage) ?? [];
    for (let count = 0; count < (place.times ?? 1); count += 1) queue.push(fault);
    this.#next.set(stage, queue);
  }

  always(fault: Fault, place: Pick<FaultPlace, "on"> = {}): void {
    this.#always.set(stageFor(fault, place.on), fault);
  }

  /** The fault that happens to the call now arriving. */
  take(stage: Stage): Fault | undefined {
    return this.#next.get(stage)?.shift() ?? this.#always.get(stage);
  }

  clear(): void {
    this.#next.clear();
    this.#always.clear();
  }
}

/** Throws at a fault told for a stage at which it could never happen: such a test would test nothing. */
function stageFor(fault: Fault, on: Stage | undefined): Stage {
  const stage = on ?? (fault.kind === "redirect" ? "file" : "create");
  if (isResultFault(fault) && stage !== "create")
    throw new Error(`fault ${fault.kind} cannot happen at stage ${stage}`);
  return stage;
}
