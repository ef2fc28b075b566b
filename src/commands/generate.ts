import type { Command } from "commander";

export function addGenerate(_program: Command): void {}
