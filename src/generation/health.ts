/**
 * What this program knows about its upstreams: which credentials are parked, which routes fail, how fast they are, how
 * many calls run. In memory: every program learns for itself, and a restart begins with good faith.
 */
import type { Clock, Random } from "../ports.ts";
import type { FailureClass } from "../providers/provider.ts";
import type { Upstream } from "../providers/transport.ts";
import { type Breaker, type BreakerState, createBreaker } from "./breaker.ts";
import { credentialLabel } from "./providers.ts";
import { createSlots, type Slots } from "./slots.ts";

/** How long a credential is left alone after such an answer, where the provider does not say. */
const parkMs: Partial<Record<FailureClass, number>> = { quota: 300_000, auth: 300_000, rate_limited: 10_000 };
/** Also where the provider says "at once": its pool's other credentials come first. */
const minParkMs = 1_000;
/** A call that was given a credential takes its place at once; one that never comes must not count for ever. */
const promisedMs = 2_000;
/** Weight of the newest latency in the running mean. */
const newestWeight = 0.3;

export type RouteState = "healthy" | "degraded" | "parked" | "unavailable";

/** One way to an upstream model, whatever the credential. */
export interface RouteAddress {
  provider: string;
  baseUrl: string;
  model: string;
}

export interface CredentialView {
  credential: string;
  running: number;
  waiting: number;
  parked: { reason: FailureClass; untilMs: number } | null;
  routes: Array<{ model: string; state: BreakerState }>;
}

export interface Health {
  /** How a route stands, over all of its pool's credentials. */
  state(address: RouteAddress, credentials: readonly string[]): RouteState;
  /** For an unavailable route: milliseconds until it is tried again. */
  waitMs(address: RouteAddress, credentials: readonly string[]): number;
  /**
   * The least loaded credential that may be used; a parked one only where there is no other. So many calls are expected
   * to enter with it soon: requests that come at once do not all find the same one idle.
   */
  choose(address: RouteAddress, credentials: readonly string[], calls?: number): string;
  /** Running mean of successful calls, or undefined before the first. */
  latencyMs(address: RouteAddress): number | undefined;
  /**
   * Waits for a place among the credential's calls.
   * @returns gives it back; or why there is none: the signal aborted first, or another generation is finding out just now
   *   whether the route works again
   */
  enter(
    upstream: Upstream,
    model: string,
    who: Caller,
    signal: AbortSignal,
  ): Promise<(() => void) | "aborted" | "trial">;
  /** The place of a job that an earlier program submitted: it runs already and is not asked. @returns gives it back */
  resume(upstream: Upstream, model: string): () => void;
  report(upstream: Upstream, model: string, result: CallResult): void;
  credentials(provider: string): CredentialView[];
}

export interface Caller {
  keyHash: string;
  generationId: string;
}

export interface CallResult {
  generationId: string;
  outcome: FailureClass | "delivered";
  retryAfterMs?: number | undefined;
  durationMs: number;
}

interface CredentialState {
  provider: string;
  label: string;
  slots: Slots;
  /** Of calls that have been given this credential and have not entered yet: until when they are expected. */
  promised: number[];
  parked: { reason: FailureClass; sinceMs: number; untilMs: number } | null;
  breakers: Map<string, Breaker>;
}

export function createHealth({ clock, random }: { clock: Clock; random: Random }): Health {
  const states = new Map<string, CredentialState>();
  const latencies = new Map<string, number>();

  function stateOf(provider: string, baseUrl: string, credential: string): CredentialState {
    const name = `${provider} ${baseUrl} ${credential}`;
    let state = states.get(name);
    if (state === undefined) {
      const label = credentialLabel(credential);
      state = { provider, label, slots: createSlots(), promised: [], parked: null, breakers: new Map() };
      states.set(name, state);
    }
    return state;
  }

  function breakerOf(state: CredentialState, model: string): Breaker {
    let breaker = state.breakers.get(model);
    if (breaker === undefined) {
      breaker = createBreaker();
      state.breakers.set(model, breaker);
    }
    return breaker;
  }

  const parkedUntil = ({ parked }: CredentialState, now: number): number =>
    parked !== null && parked.untilMs > now ? parked.untilMs : 0;
  const isParked = (state: CredentialState, now: number): boolean => parkedUntil(state, now) > 0;

  function credentialRoute({ provider, baseUrl, model }: RouteAddress, credential: string, now: number) {
    const state = stateOf(provider, baseUrl, credential);
    const breaker = breakerOf(state, model);
    const condition = breaker.state(now);
    const routeState: RouteState =
      condition === "open"
        ? "unavailable"
        : isParked(state, now)
          ? "parked"
          : condition === "degraded"
            ? "degraded"
            : "healthy";
    return { state, breaker, routeState, credential };
  }

  const rank: Record<RouteState, number> = { healthy: 0, degraded: 1, parked: 2, unavailable: 3 };

  return {
    state(address, credentials) {
      const now = clock.now();
      const all = credentials.map((credential) => credentialRoute(address, credential, now).routeState);
      return all.sort((one, other) => rank[one] - rank[other])[0] ?? "unavailable";
    },
    waitMs(address, credentials) {
      const now = clock.now();
      return Math.min(
        ...credentials.map((credential) => credentialRoute(address, credential, now).breaker.waitMs(now)),
      );
    },
    choose(address, credentials, calls = 1) {
      const now = clock.now();
      // Beginning anywhere, so that equals share the work.
      const first = (random.bytes(1)[0] ?? 0) % Math.max(credentials.length, 1);
      const turned = [...credentials.slice(first), ...credentials.slice(0, first)];
      const known = turned.map((credential) => credentialRoute(address, credential, now));
      known.sort(
        (one, other) =>
          rank[one.routeState] - rank[other.routeState] ||
          parkedUntil(one.state, now) - parkedUntil(other.state, now) ||
          load(one.state, now) - load(other.state, now),
      );
      const [chosen] = known;
      if (chosen === undefined) return "";
      const expected = chosen.state.promised.filter((untilMs) => untilMs > now);
      chosen.state.promised = [...expected, ...new Array<number>(calls).fill(now + promisedMs)];
      return chosen.credential;
    },
    latencyMs: ({ provider, baseUrl, model }) => latencies.get(`${provider} ${baseUrl} ${model}`),
    async enter({ adapter, baseUrl, credential }, model, { keyHash, generationId }, signal) {
      const state = stateOf(adapter.id, baseUrl, credential);
      state.promised.shift();
      const caps = { total: adapter.maxConcurrent?.(""), model: adapter.maxConcurrent?.(model) };
      const leave = await state.slots.enter({ keyHash, model }, caps, signal);
      if (leave === null) return "aborted";
      const ended = breakerOf(state, model).begin(clock.now(), generationId);
      if (ended === null) {
        leave();
        return "trial";
      }
      return () => {
        ended();
        leave();
      };
    },
    resume: ({ adapter, baseUrl, credential }, model) => stateOf(adapter.id, baseUrl, credential).slots.occupy(model),
    report({ adapter, baseUrl, credential }, model, { generationId, outcome, retryAfterMs, durationMs }) {
      const now = clock.now();
      const state = stateOf(adapter.id, baseUrl, credential);
      // The sandbox plays failures on demand: they say nothing about what comes next.
      if (adapter.settings === null) return;
      breakerOf(state, model).end(outcome, generationId, now);
      if (outcome === "delivered") {
        // A call that was under way before says nothing about what has been said since.
        if (state.parked !== null && now - durationMs >= state.parked.sinceMs) state.parked = null;
        const name = `${adapter.id} ${baseUrl} ${model}`;
        const before = latencies.get(name) ?? durationMs;
        latencies.set(name, before + (durationMs - before) * newestWeight);
        return;
      }
      const defaultMs = parkMs[outcome];
      if (defaultMs === undefined) return;
      const untilMs = now + Math.max(retryAfterMs ?? defaultMs, minParkMs);
      // Several calls may be answered alike: the longest absence counts.
      if (untilMs > parkedUntil(state, now)) state.parked = { reason: outcome, sinceMs: now, untilMs };
    },
    credentials(provider) {
      const now = clock.now();
      return [...states.values()]
        .filter((state) => state.provider === provider)
        .map((state) => ({
          credential: state.label,
          running: state.slots.running,
          waiting: state.slots.waiting,
          parked: isParked(state, now) ? state.parked : null,
          routes: [...state.breakers].map(([model, breaker]) => ({ model, state: breaker.state(now) })),
        }));
    },
  };
}

const load = ({ slots, promised }: CredentialState, now: number): number =>
  slots.running + slots.waiting + promised.filter((untilMs) => untilMs > now).length;
