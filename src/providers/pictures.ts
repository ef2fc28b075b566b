/** The pictures of one attempt: where each goes, which of them are delivered, and that the others leave nothing behind. */
import { type ImageIntake, ImageIntakeError, type TakenImage, tellingAtTheEnd } from "./intake.ts";
import type { DeliveredImage, Failure } from "./provider.ts";

export class AttemptPictures {
  private readonly newImage: (index: number) => ImageIntake;
  /** Every picture that was begun, and those among them that are delivered. */
  private readonly begun: ImageIntake[] = [];
  private readonly used = new Set<ImageIntake>();
  /** Pictures that came inside a reply, by `InlineImage.index`. */
  private readonly inline: (ImageIntake | undefined)[] = [];
  private placed = 0;

  constructor(newImage: (index: number) => ImageIntake) {
    this.newImage = newImage;
  }

  /** How many pictures have come inside replies: the next one's number. */
  get inlineCount(): number {
    return this.inline.length;
  }

  /** A picture inside a reply: where it goes, and the number that its `InlineImage` carries. */
  readonly newInline = (): { image: ImageIntake; index: number } => {
    const index = this.reserve();
    return { image: this.place(index), index };
  };

  /** A number for a picture inside a reply that may turn out not to be kept. */
  reserve(): number {
    return this.inline.push(undefined) - 1;
  }

  /** Where the picture of a reserved number goes. */
  place(index: number): ImageIntake {
    const image = tellingAtTheEnd(this.newImage(this.placed));
    this.placed += 1;
    this.begun.push(image);
    this.inline[index] = image;
    return image;
  }

  /** @returns the picture, stored and checked, or why there is none */
  async take(
    image: DeliveredImage,
    position: number,
    download: (url: string, newImage: () => ImageIntake) => Promise<TakenImage | Failure>,
  ): Promise<TakenImage | Failure> {
    if ("url" in image.source) {
      let latest: ImageIntake | undefined;
      const result = await download(image.source.url, () => {
        latest = this.newImage(position);
        this.begun.push(latest);
        return latest;
      });
      if (latest !== undefined && !("class" in result)) this.used.add(latest);
      return result;
    }
    const intake = this.inline[image.source.index];
    if (intake === undefined)
      return { class: "contract_changed", message: "the reply names a picture that it does not hold" };
    try {
      const taken = await intake.finish();
      this.used.add(intake);
      return taken;
    } catch (error) {
      if (error instanceof ImageIntakeError) return { class: "contract_changed", message: error.message };
      throw error;
    }
  }

  /** Pictures that nobody asked for (more than `count`, previews, or inside a reply that failed) leave no bytes behind. */
  async discardUnused(): Promise<void> {
    for (const intake of this.begun) if (!this.used.has(intake)) await intake.abort();
  }
}
