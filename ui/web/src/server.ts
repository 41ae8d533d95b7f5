/**
 * The one door to the server. `server()` gives what `connect` (runs/connection.ts) made when the canvas was mounted.
 *
 * `call` runs one of the page's private functions (ui/studio.py lists them): it returns the answer's data, or throws a
 * `Refused` with the server's message and problems, or a `Lost` when the server cannot be reached.
 * `follow` streams a run's events after a number until the run has ended or the signal aborts.
 */
import type { Problem, RunEvent, RunRecord } from "./types";

export class Refused extends Error {
  constructor(message: string, readonly problems: Problem[] = [], readonly data: Record<string, unknown> = {}) {
    super(message);
  }
}

export class Lost extends Error {}

export interface Server {
  call<T = Record<string, unknown>>(method: string, data?: Record<string, unknown>): Promise<T>;
  upload(file: File): Promise<string>;
  follow(run: string, after: number, signal: AbortSignal): AsyncIterable<{ events: RunEvent[]; run: RunRecord }>;
  /** The address of a file on the server that the page may read. */
  fileUrl(path: string): string;
}

let current: Server | null = null;

export function setServer(server: Server): void {
  current = server;
}

export function server(): Server {
  if (!current) throw new Error("the canvas has not been mounted");
  return current;
}

export function fileUrl(path: string): string {
  return server().fileUrl(path);
}
