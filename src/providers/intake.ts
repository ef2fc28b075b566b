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
