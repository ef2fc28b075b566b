/**
 * CPU milliseconds and bytes per sandbox picture: `bun bench/sandbox-picture.ts`. CPU time of all threads, so that a busy
 * machine shows little; the first picture, with fonts to read and code to warm, stands apart.
 */
import { drawPicture } from "../src/providers/sandbox/picture.ts";

const PROMPTS = [
  "A futuristic city skyline at sunset, photorealistic",
  "一隻戴著太空頭盔的柴犬，水彩風格",
  "Mountain lake at dawn",
  "An aurora over a pine forest",
  "夕阳下的海浪与小岛",
  "Desert dunes, golden hour",
];

const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

async function measure(width: number, height: number, format: "png" | "jpeg" | "webp", rounds: number) {
  const times: number[] = [];
  let bytes = 0;
  for (let i = 0; i < rounds; i++) {
    const prompt = PROMPTS[i % PROMPTS.length] ?? "";
    const start = cpuMs();
    const picture = await drawPicture({ prompt, model: "openai/dall-e-3", width, height, format, seed: i });
    times.push(cpuMs() - start);
    bytes += picture.length;
  }
  times.sort((a, b) => a - b);
  const median = times[times.length >> 1] ?? 0;
  return { median, worst: times.at(-1) ?? 0, kilobytes: bytes / rounds / 1000 };
}

const first = await measure(1024, 1024, "png", 1);
console.log(`first picture, 1024x1024 png: ${first.median.toFixed(0)} ms`);
await measure(1024, 1024, "png", 24);
for (const [width, height] of [
  [256, 256],
  [1024, 1024],
  [1792, 1024],
] as const) {
  for (const format of ["png", "jpeg", "webp"] as const) {
    const { median, worst, kilobytes } = await measure(width, height, format, 24);
    console.log(
      `${width}x${height} ${format}: median ${median.toFixed(1)} ms, worst ${worst.toFixed(1)} ms, ${kilobytes.toFixed(0)} kB`,
    );
  }
}
