/**
 * How the page talks to the server: private functions through Gradio's own helper, events through @gradio/client.
 *
 * A run's events come as a stream (`/follow`) that lives as long as somebody reads it. The client keeps one connection for
 * all its streams; it is made when the first is asked for, and anew after it broke.
 */
import type { Client } from "@gradio/client";
import { Lost, Refused, type Server } from "../server";
import type { Problem, RunEvent, RunRecord } from "../types";
import type { MountOptions } from "./connection";

type Batch = { events: RunEvent[]; run: RunRecord };
interface Answer { ok?: boolean; message?: string; problems?: Problem[] }

/** A stream without a word for so long (milliseconds; the server says something every 15 s) is asked for anew. */
const QUIET = 45_000;

/** The address of a file; "#" and "?" belong to its name. */
export function fileAddress(root: string, apiPrefix: string, path: string): string {
  return `${root}${apiPrefix}/file=${encodeURI(path).replace(/[#?]/g, encodeURIComponent)}`;
}

/** `onLost` is told that the server did not answer, `onBroken` that a stream broke: the server may be there all the same. */
export function makeServer(options: MountOptions, onLost: () => void, onBroken: () => void): Server {
  let client: Promise<Client> | null = null;

  function lost(): Lost {
    onLost();
    return new Lost("The server cannot be reached.");
  }

  function broken(): Lost {
    client = null;
    onBroken();
    return new Lost("The stream of the run's events broke.");
  }

  function connected(): Promise<Client> {
    client ??= import("@gradio/client").then(({ Client }) =>
      // Gradio would keep every run in the browser's storage; ours are kept by the server.
      Client.connect(new URL(options.root || "/", location.href).href.replace(/\/$/, ""), { events: ["data", "status"], record_history: false }));
    return client;
  }

  async function* follow(run: string, after: number, signal: AbortSignal): AsyncGenerator<Batch> {
    let one: Client;
    try {
      one = await connected();
    } catch {
      throw broken();
    }
    if (signal.aborted) return;
    const stream = one.submit("/follow", [run, after]);
    let ended = false;
    const stop = (): void => {
      if (ended) return;
      ended = true;
      // Forget the stream first: what Gradio sends at a cancelled one is an error without a meaning.
      void stream.wait_for_id().then((id) => {
        if (id) delete one.event_callbacks[id];
        return stream.cancel();
      }).catch(() => {});
      void stream.return();
    };
    signal.addEventListener("abort", stop);
    try {
      while (!signal.aborted) {
        const next = await unlessQuiet(stream.next());
        if (next === "quiet" || next.done || signal.aborted) return;
        const event = next.value;
        if (event.type === "data") {
          const batch = (event.data as unknown[])[0] as (Batch & Answer) | undefined;
          if (batch?.ok === false) throw new Refused(batch.message ?? "The run cannot be followed.");
          // The client goes on writing into the same object: take what may change.
          if (batch?.events) yield { events: [...batch.events], run: { ...batch.run } };
        } else if (event.type === "status" && event.stage === "error") {
          if (event.broken || event.session_not_found || !event.message) {
            throw broken();
          }
          throw new Refused(String(event.message));
        } else if (event.type === "status" && event.stage === "complete") {
          ended = true;
          return;
        }
      }
    } catch (error) {
      ended = !(error instanceof Refused);
      // Whatever else the client throws is about its connection.
      throw error instanceof Refused || error instanceof Lost ? error : broken();
    } finally {
      signal.removeEventListener("abort", stop);
      stop();
    }
  }

  return {
    async call<T>(method: string, data: Record<string, unknown> = {}): Promise<T> {
      let answer: unknown;
      try {
        answer = await options.call(method, data);
      } catch {
        throw lost();
      }
      // Gradio's helper answers nothing where it could not reach the server.
      if (typeof answer !== "object" || answer === null) throw lost();
      const { ok, message, problems } = answer as Answer;
      if (ok === false) throw new Refused(message || "The server refused it without a reason.", problems ?? [], answer as Record<string, unknown>);
      return answer as T;
    },
    async upload(file) {
      try {
        return (await options.upload(file)).path;
      } catch (error) {
        throw new Refused(`“${file.name}” could not be uploaded: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
    follow,
    fileUrl: (path) => fileAddress(options.root, options.apiPrefix, path),
  };
}

async function unlessQuiet<T>(next: Promise<T>): Promise<T | "quiet"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const quiet = new Promise<"quiet">((resolve) => {
    timer = setTimeout(() => resolve("quiet"), QUIET);
  });
  try {
    return await Promise.race([next, quiet]);
  } finally {
    clearTimeout(timer);
  }
}
