import manifest from "../package.json" with { type: "json" };

/** The version in package.json, also inside the one-file executable. */
export const version: string = manifest.version;
