/** A generation that has ended, as the presenters need it. */
import type { PublicError } from "../errors.ts";
import type { Nanos } from "../money.ts";
import type { Operation, Usage } from "../providers/provider.ts";

export interface FinishedImage {
  id: string;
  contentType: string;
  width: number;
  height: number;
  bytes: number;
  revisedPrompt: string | undefined;
}

export interface FinishedGeneration {
  id: string;
  operation: Operation;
  /** What answered, or was tried last. */
  model: string;
  provider: string;
  /** When the pictures were ready, Unix milliseconds. Links live one hour from its whole second. */
  finishedAt: number;
  cost: Nanos;
  /** In the order asked; empty exactly when `error` is set. */
  images: FinishedImage[];
  error: PublicError | null;
  warnings: string[];
  usage: Usage | undefined;
  /** `WxH`, where the vendor echoes it or the real size differs from the one asked for. */
  size: string | undefined;
  /** What the upstream echoed about the result beside its size, e.g. `quality`. */
  echoed: Record<string, string> | undefined;
}
