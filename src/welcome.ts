/** What a person sees when the server has started. */
import type { KeyKind } from "./database.ts";
import { isConfigured, type Providers } from "./generation/providers.ts";

export interface WelcomeFacts {
  url: string;
  /** Only on the first start on an empty database. */
  secrets: Record<KeyKind, string> | null;
  providers: Providers;
}

export function welcome({ url, secrets, providers }: WelcomeFacts): string {
  const configured = providers.all.filter((provider) => provider.adapter.settings !== null && isConfigured(provider));
  const names = configured.map(({ adapter }) => adapter.id).join(", ");
  const lines = [
    `ARouter serves on ${url}`,
    `Providers: sandbox${names === "" ? " (for real ones set a key, e.g. OPENAI_API_KEY; `npx arouter doctor` names them all)" : `, ${names}`}`,
  ];
  if (secrets !== null) {
    lines.push(
      "",
      "These keys are shown once, now:",
      `  sandbox only, free      ${secrets.test}`,
      `  real providers          ${secrets.live}`,
      `  keys and reports        ${secrets.management}`,
      "",
      "Try it:",
      "",
      curlLine(url, secrets.test),
      "",
    );
  }
  return lines.join("\n");
}

/** One line, to be pasted as it is. */
export function curlLine(url: string, key: string): string {
  const body = JSON.stringify({
    model: "openai/dall-e-3",
    prompt: "A futuristic city skyline at sunset, photorealistic",
    n: 1,
    size: "1024x1024",
  });
  return `curl ${url}/v1/images/generations -H "Authorization: Bearer ${key}" -H "Content-Type: application/json" -d '${body}'`;
}
