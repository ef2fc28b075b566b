/** The header of one part of a multipart body (RFC 7578). */
export interface PartHeader {
  name: string;
  isFile: boolean;
}

/** @returns null for a part that is none of a form, or is encoded in a way that RFC 7578 has done away with */
export function readPartHeader(fields: Record<string, string[]>): PartHeader | null {
  const disposition = fields["content-disposition"]?.[0] ?? "";
  const encoding = fields["content-transfer-encoding"]?.[0]?.toLowerCase() ?? "binary";
  if (!/^form-data\s*;/i.test(disposition) || !["binary", "7bit", "8bit"].includes(encoding)) return null;
  const name = parameter(disposition, "name");
  if (name === undefined || name === "") return null;
  const type = fields["content-type"]?.[0]?.toLowerCase() ?? "";
  const isBytes = type.startsWith("image/") || type.startsWith("application/octet-stream");
  return {
    name,
    isFile: isBytes || parameter(disposition, "filename") !== undefined || /;\s*filename\*=/i.test(disposition),
  };
}

function parameter(disposition: string, name: string): string | undefined {
  const found = new RegExp(`;\\s*${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s;"]+))`, "i").exec(disposition);
  if (found === null) return undefined;
  // Header bytes come one by one; a name is in UTF-8.
  return Buffer.from(found[1] ?? found[2] ?? "", "latin1").toString("utf8");
}
