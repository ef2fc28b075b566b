import { choosePalette, type Light, type Palette } from "./palettes.ts";
import { clamp, pick, type Random } from "./random.ts";

export type Subject = "city" | "mountains" | "forest" | "sea" | "dunes" | "space";

/** What a picture shows and where; lengths in pixels, y downwards. */
export type Scene = {
  subject: Subject;
  palette: Palette;
  /** Where the sky ends. */
  horizon: number;
  /** Where water begins, or undefined on dry land. */
  waterline: number | undefined;
  sun: { x: number; y: number; radius: number };
  /** The length that everything in the picture is measured in, so that it keeps its looks in every size and shape. */
  unit: number;
  random: Random;
};

/**
 * Words that choose what the sandbox draws. It understands nothing, but a README or a demonstration is nicer when a prompt
 * that speaks of a city at sunset gets one.
 */
const SUBJECTS: readonly (readonly [Subject, RegExp])[] = [
  ["space", /\b(space|planets?|galaxy|astronauts?|cosm\w*|nebula|saturn|mars)\b|太空|宇宙|星球|行星|銀河|银河|우주/i],
  ["city", /\b(city|cities|skylines?|urban|streets?|skyscrapers?|downtown|cyberpunk)\b|城市|都市|街|大樓|大楼|도시/i],
  ["dunes", /\b(deserts?|dunes?|sahara|pyramids?)\b|沙漠|沙丘|사막/i],
  ["sea", /\b(sea|ocean|beach|waves?|islands?|boats?|ships?|sail\w*|whales?)\b|海|島|岛|船|바다/i],
  ["forest", /\b(forests?|trees?|woods?|pines?|jungle|fox|deer)\b|森林|樹|树|竹|숲/i],
  ["mountains", /\b(mountains?|alps|peaks?|hills?|valleys?|lakes?)\b|山|湖|峰/i],
];

const LIGHTS: readonly (readonly [Light, RegExp])[] = [
  ["sunset", /\b(sunset|dusk|evening|golden hour)\b|日落|夕|黃昏|黄昏|晚霞|노을/i],
  ["dawn", /\b(sunrise|dawn|morning)\b|日出|清晨|早晨|黎明|아침/i],
  ["night", /\b(night|midnight|moon\w*|stars?|starry|neon|aurora)\b|夜|月|星空|極光|极光|밤/i],
  ["winter", /\b(winter|snow\w*|ice|icy|arctic)\b|冬|雪|冰|겨울/i],
  ["pastel", /\b(pastel|watercolou?r|cute|kawaii|dreamy)\b|水彩|粉彩|수채화/i],
  ["day", /\b(day|noon|blue sky|sunny|summer)\b|白天|晴|夏/i],
];

export function composeScene(
  random: Random,
  prompt: string,
  style: string | undefined,
  width: number,
  height: number,
): Scene {
  // Long prompts name everything somewhere; their beginning says what they are about.
  const opening = prompt.slice(0, 400);
  const subject =
    SUBJECTS.find(([, words]) => words.test(opening))?.[0] ??
    pick<Subject>(random, ["mountains", "mountains", "mountains", "city", "forest", "sea", "sea", "dunes", "space"]);
  const asked = LIGHTS.find(([, words]) => words.test(opening))?.[0];
  const light = subject === "space" && asked !== "sunset" ? "night" : asked;
  const palette = choosePalette(random, light, style);

  const unit = Math.min(Math.max(width, height), 1.6 * Math.min(width, height));
  const horizon = Math.round(height * random.between(0.56, 0.63));
  const wet =
    subject === "sea" ||
    subject === "city" ||
    (subject === "mountains" && (random.next() < 0.7 || /\blakes?\b|湖|호수/i.test(opening)));
  // The sun stands at one of the thirds, low when the sky is red, high at noon and at night.
  const low = subject === "sea" ? random.between(0.72, 0.9) : random.between(0.5, 0.68);
  const radius = clamp(unit * random.between(0.035, 0.055), 3, 400);
  const sun = {
    x: width * (random.next() < 0.5 ? random.between(0.26, 0.4) : random.between(0.6, 0.74)),
    y: subject === "space" ? horizon * 0.46 : palette.night ? horizon * random.between(0.3, 0.42) : horizon * low,
    radius: palette.night ? radius * 0.8 : radius,
  };
  return { subject, palette, horizon, waterline: wet ? horizon : undefined, sun, unit, random };
}
