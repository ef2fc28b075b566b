/** Recognises SVG drawings and reads their size from the root element. */

/** What stands before the root, and the root's own attributes, of real drawings: a few hundred bytes. */
const maxHeadBytes = 64 << 10;
const pixelsPerUnit: Record<string, number> = { "": 1, px: 1, pt: 4 / 3, pc: 16, in: 96, cm: 96 / 2.54, mm: 96 / 25.4 };
/** Nobody draws larger than this, and the numbers stay whole ones. */
const maxSide = 1_000_000;

/**
 * @param head the first bytes of the file
 * @returns width and height in pixels; "more" when the bytes so far do not tell yet; null when this is no SVG drawing
 */
export function inspectSvg(head: Uint8Array): { width: number; height: number } | "more" | null {
  const text = new TextDecoder().decode(head.subarray(0, maxHeadBytes));
  const rest = afterProlog(text);
  if (rest === "more") return head.length < maxHeadBytes ? "more" : null;
  if (rest === null) return null;
  const root = /^<svg(?=[\s>/])((?:[^<>"']|"[^<"]*"|'[^<']*')*)>/.exec(rest);
  if (root !== null) return sizeOf(attributesOf(root[1] ?? ""));
  const mayBecome = "<svg".startsWith(rest.slice(0, 4)) && !/^<svg[^\s>/]/.test(rest) && !rest.slice(1).includes("<");
  return mayBecome && head.length < maxHeadBytes ? "more" : null;
}

/** What follows the XML declaration, comments and document type. */
function afterProlog(text: string): string | "more" | null {
  let rest = text.replace(/^\ufeff/, "");
  for (;;) {
    rest = rest.replace(/^\s+/, "");
    if (rest === "") return "more";
    if (!rest.startsWith("<?") && !rest.startsWith("<!")) return rest.startsWith("<") ? rest : null;
    const isComment = rest.startsWith("<!--");
    if (!isComment && "<!--".startsWith(rest.slice(0, 4))) return "more";
    // Another document type is another document; one with declarations of its own is no honest drawing.
    if (rest.startsWith("<!") && !isComment && !isSvgDoctype(rest)) return null;
    const end = isComment ? "-->" : rest.startsWith("<?") ? "?>" : ">";
    const at = rest.indexOf(end, isComment ? 4 : 2);
    if (at < 0) return "more";
    rest = rest.slice(at + end.length);
  }
}

/** Also of a document type that has not arrived whole yet. */
function isSvgDoctype(text: string): boolean {
  const declaration = text.slice(0, text.includes(">") ? text.indexOf(">") : undefined).toLowerCase();
  const opening = declaration.replace(/\s+/g, " ");
  const isBeginning = "<!doctype svg".startsWith(opening) || opening.startsWith("<!doctype svg");
  return isBeginning && !/^<!doctype svg[^ ]/.test(opening) && !declaration.includes("[");
}

function attributesOf(text: string): Map<string, string> {
  const found = text.matchAll(/([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g);
  return new Map([...found].map(([, name = "", double, single]) => [name, double ?? single ?? ""]));
}

/** By `width` and `height`; what one of them leaves open, `viewBox` tells. */
function sizeOf(attributes: Map<string, string>): { width: number; height: number } | null {
  const box = (attributes.get("viewBox") ?? "")
    .trim()
    .split(/[\s,]+/)
    .map(Number);
  const [boxWidth, boxHeight] = box.length === 4 ? [box[2], box[3]] : [];
  const given = { width: pixels(attributes.get("width")), height: pixels(attributes.get("height")) };
  const ratio = boxWidth && boxHeight ? boxWidth / boxHeight : undefined;
  const width = given.width ?? (given.height && ratio ? given.height * ratio : boxWidth);
  const height = given.height ?? (given.width && ratio ? given.width / ratio : boxHeight);
  return isSide(width) && isSide(height) ? { width: whole(width), height: whole(height) } : null;
}

/** Undefined for what depends on the page: `100%`, `20em`, `auto`. */
function pixels(length: string | undefined): number | undefined {
  const [, number, unit = ""] = /^\s*\+?(\d*\.?\d+(?:e\d+)?)([a-z]*)\s*$/i.exec(length ?? "") ?? [];
  const factor = pixelsPerUnit[unit.toLowerCase()];
  return number === undefined || factor === undefined ? undefined : Number(number) * factor;
}

const isSide = (side: number | undefined): side is number => side !== undefined && side > 0 && side <= maxSide;
const whole = (side: number): number => Math.max(1, Math.round(side));
