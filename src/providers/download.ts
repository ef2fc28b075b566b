/** Fetches a finished picture from a link in an upstream's answer: no credentials, checked and pinned addresses. */
import type { Clock } from "../ports.ts";
import { AddressRefusedError, checkAddress, type Resolve } from "./address.ts";
import { type ImageIntake, ImageIntakeError, ImageStoreError, type TakenImage } from "./intake.ts";
import type { Failure } from "./provider.ts";

const maxRedirects = 5;
const firstDelayMs = 250;
const maxDelayMs = 10_000;
/** A link that says 403, 404 or 410 seldom comes back; a few tries cover a store that lags behind. */
const maxGoneTries = 5;

export interface DownloadOptions {
  fetch: typeof fetch;
  resolve: Resolve;
  clock: Clock;
  newImage(): ImageIntake;
  trustedOrigin: string | undefined;
  /** Ends with the attempt's life. */
  signal: AbortSignal;
}

/**
 * Downloads one picture; what fails in passing, our own store included, is tried again for as long as the attempt lives.
 * @returns the stored picture, or why there is none
 * @throws ImageStoreError when the picture could not be stored until the end
 */
export async function download(link: string, options: DownloadOptions): Promise<TakenImage | Failure> {
  let goneTries = 0;
  let ours: ImageStoreError | undefined;
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, maxDelayMs)) {
    const image = options.newImage();
    let complaint: string;
    try {
      const response = await follow(link, options);
      if (response.ok) {
        for await (const chunk of response.body ?? []) await image.write(chunk);
        return await image.finish();
      }
      await response.body?.cancel();
      complaint = `status ${response.status}`;
      if (response.status >= 400 && response.status < 500 && ![408, 425, 429].includes(response.status)) goneTries += 1;
    } catch (error) {
      await image.abort();
      if (error instanceof ImageStoreError) ours = error;
      if (error instanceof AddressRefusedError || error instanceof ImageIntakeError) {
        return { class: "contract_changed", message: error.message };
      }
      complaint = (error as { code?: string }).code ?? "connection failed";
    }
    if (options.signal.aborted && ours !== undefined) throw ours;
    if (options.signal.aborted)
      return { class: "timeout", message: `the finished picture could not be fetched: ${complaint}` };
    if (goneTries >= maxGoneTries) {
      return {
        class: "outcome_unknown",
        message: `the provider finished, but its picture could not be fetched: ${complaint}`,
      };
    }
    await options.clock.sleep(delayMs, options.signal);
  }
}

/**
 * The answer at the end of the redirects, each of which is checked and pinned anew.
 * @throws AddressRefusedError, and what resolving and connecting throw
 */
export async function follow(
  link: string,
  options: Pick<DownloadOptions, "fetch" | "resolve" | "trustedOrigin" | "signal">,
): Promise<Response> {
  let next = link;
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const address = await checkAddress(next, options.trustedOrigin, options.resolve);
    const response = await options.fetch(address.pinnedUrl, {
      headers: { host: address.host, accept: "image/*" },
      redirect: "manual",
      timeout: false, // the attempt's life is the limit, not the runtime's
      signal: options.signal,
      ...(address.serverName === undefined ? {} : { tls: { serverName: address.serverName } }),
    } as RequestInit);
    const location = response.headers.get("location");
    if (response.status < 300 || response.status > 399 || location === null) return response;
    await response.body?.cancel();
    if (!URL.canParse(location, next))
      throw new AddressRefusedError("the result link redirects to something that is not a URL");
    next = new URL(location, next).href;
  }
  throw new AddressRefusedError(`the result link redirects more than ${maxRedirects} times`);
}
