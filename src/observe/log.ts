/** Structured logs, one JSON line each, on standard output. */
import pino from "pino";
import type { Logger } from "../ports.ts";

/** Whatever a line is made of, these never appear in it. */
const secretPaths = [
  "authorization",
  "*.authorization",
  "credential",
  "*.credential",
  "*.credentials",
  "secret",
  "*.secret",
  "prompt",
  "*.prompt",
];

export function createLogger(level: string): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, redact: secretPaths },
    pino.destination({ dest: 1, sync: true }),
  );
}
