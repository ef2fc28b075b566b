/** What a provider call hands pictures to. The implementation (`images/intake.ts`) stores and checks them. */

/** A picture that is stored and checked. */
export interface TakenImage {
  id: string;
  bytes: number;
  contentType: string;
  width: number;
  height: number;
}

/** Takes the bytes of one picture while they arrive; used for exactly one picture. */
export interface ImageIntake {
  /**
   * The chunk's memory is the caller's again once this has resolved; it may hold the next chunk then.
   * @throws ImageIntakeError when the bytes cannot be a picture or are too many; ImageStoreError
   */
  write(chunk: Uint8Array): Promise<void>;
  /** @throws ImageIntakeError when the picture is not complete; ImageStoreError */
  finish(): Promise<TakenImage>;
  /** Forgets the picture, finished or not. Never rejects. */
  abort(): Promise<void>;
}

/** The upstream delivered something that is not an acceptable picture. */
export class ImageIntakeError extends Error {
  override readonly name = "ImageIntakeError";
}

/** The picture could not be stored: a fault of ours (disk full, bucket gone), not of the upstream. */
export class ImageStoreError extends Error {
  override readonly name = "ImageStoreError";
}

/**
 * For a picture inside a reply: what cannot be stored is told by `finish`, so that the reply is read to its end and the
 * other pictures in it are not lost as well.
 */
export function tellingAtTheEnd(intake: ImageIntake): ImageIntake {
  let failure: ImageStoreError | undefined;
  return {
    async write(chunk) {
      if (failure !== undefined) return;
      try {
        await intake.write(chunk);
      } catch (error) {
        if (!(error instanceof ImageStoreError)) throw error;
        failure = error;
      }
    },
    async finish() {
      if (failure !== undefined) throw failure;
      return intake.finish();
    },
    abort: () => intake.abort(),
  };
}
