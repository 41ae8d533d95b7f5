/** Names of things in a graph: of new nodes, groups and notes, and of wires. */
import type { Wire, WorkflowDocument } from "../types";

/** A node's name as the runtime takes it (graph_runtime/reading.py). */
export const NODE_ID = /^[\p{L}\p{N}_][\p{L}\p{N}_-]{0,99}$/u;

/** "LoadBase" becomes "load_base", "ApplyLoRA" "apply_lora". */
export function nameFor(type: string): string {
  const name = type
    .replaceAll("LoRA", "Lora")
    .replaceAll(/([\p{Ll}\p{N}])(\p{Lu})/gu, "$1_$2")
    .replaceAll(/(\p{Lu})(\p{Lu}\p{Ll})/gu, "$1_$2")
    .replaceAll(/[^\p{L}\p{N}_]+/gu, "_")
    .toLowerCase()
    .slice(0, 90);
  return NODE_ID.test(name) ? name : "node";
}

/** The name itself where it is free, else "name_2", "name_3", …; a number at its end is counted on from. */
export function freeName(wanted: string, taken: { has(name: string): boolean }): string {
  if (!taken.has(wanted)) return wanted;
  const [, stem = wanted] = /^(.*?)(?:_\d+)?$/u.exec(wanted) ?? [];
  for (let number = 2; ; number++) {
    const name = `${stem.slice(0, 90)}_${number}`;
    if (!taken.has(name)) return name;
  }
}

/** The names of nodes in a document, and of those that its wires come from, that every object of JavaScript answers to. */
export function reservedNames({ nodes }: WorkflowDocument): string[] {
  const sources = Object.values(nodes).flatMap(({ inputs }) => Object.values(inputs ?? {}).flat().map((wire) => sourceOf(wire).from));
  return [...Object.keys(nodes), ...sources].filter(isReserved);
}

/** Whether a record of nodes would answer to this name without having the node, as to "constructor". */
export function isReserved(name: string): boolean {
  return name in {};
}

/** The next free id of a group ("#g") or a note ("#n"). */
export function freeMark(prefix: "#g" | "#n", taken: Record<string, unknown>): string {
  for (let number = 1; ; number++) {
    if (!(`${prefix}${number}` in taken)) return prefix + number;
  }
}

export function wireId(wire: Omit<Wire, "id" | "via">): string {
  return `${reference(wire)}→${wire.to}.${wire.input}`;
}

/** How a document writes where a wire comes from. */
export function reference({ from, output }: Pick<Wire, "from" | "output">): string {
  return output === "" ? from : `${from}.${output}`;
}

/** What `reference` wrote, read again. */
export function sourceOf(text: string): Pick<Wire, "from" | "output"> {
  const dot = text.indexOf(".");
  return dot < 0 ? { from: text, output: "" } : { from: text.slice(0, dot), output: text.slice(dot + 1) };
}

/** A wire with its id. `taken` tells apart the wires of a file that has the same one twice in an input. */
export function makeWire(wire: Omit<Wire, "id">, taken?: ReadonlySet<string>): Wire {
  const id = wireId(wire);
  if (!taken?.has(id)) return { ...wire, id };
  for (let number = 2; ; number++) {
    if (!taken.has(`${id}#${number}`)) return { ...wire, id: `${id}#${number}` };
  }
}
