/** How the operator sees credentials: `GET /api/v1/providers`. */
import type { Routing } from "./support.ts";

export interface CredentialView {
  credential: string;
  running: number;
  waiting: number;
  parked: { reason: string; until: string } | null;
  routes: Array<{ model: string; state: string }>;
}

export async function credentialsOf({ router }: Routing, id: string): Promise<CredentialView[]> {
  const answer = await router.get("/api/v1/providers", router.keys.management);
  const { data } = (await answer.json()) as { data: Array<{ id: string; credentials: CredentialView[] }> };
  return data.find((provider) => provider.id === id)?.credentials ?? [];
}
