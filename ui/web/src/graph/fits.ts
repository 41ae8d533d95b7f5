/**
 * Which sockets may be wired together, and why not.
 *
 * An output fits an input when its type is the input's or stands in for it (`ValueType.bases`). A socket of a node whose
 * type is not installed has the type "" (unknown): it fits everything, the server has the last word.
 */
import type { Catalog, Graph, Input, NodeType, Output } from "../types";

export type Side = "in" | "out";

/** One end of a wire. */
export interface Socket { node: string; socket: string; side: Side; type: string }

export interface Ends { from: string; output: string; to: string; input: string }

export interface Candidate { type: NodeType; socket: string }

/** The types that an output of this type may be wired to, its own first. */
export function accepted(output: string, catalog: Catalog): string[] {
  const found = [output];
  for (const name of found) {
    for (const base of catalog.values[name]?.bases ?? []) if (!found.includes(base)) found.push(base);
  }
  return found;
}

export function fits(output: string, input: string, catalog: Catalog): boolean {
  return output === "" || input === "" || output === input || accepted(output, catalog).includes(input);
}

/** Whether a wire between these nodes would close a circle. */
export function wouldCycle(graph: Graph, from: string, to: string): boolean {
  return from === to || after(graph, [to]).has(from);
}

/** These nodes and all that come after them. */
export function after(graph: Graph, ids: Iterable<string>): Set<string> {
  const next = following(graph.wires);
  const found = new Set(ids);
  for (const id of found) for (const each of next.get(id) ?? []) found.add(each);
  return found;
}

const followers = new WeakMap<Graph["wires"], Map<string, string[]>>();

/** Where the wires of each node lead, made once for the same wires: it is asked for with every socket that is looked at. */
function following(wires: Graph["wires"]): Map<string, string[]> {
  const known = followers.get(wires);
  if (known) return known;
  const next = new Map<string, string[]>();
  for (const wire of wires) {
    const list = next.get(wire.from);
    if (list) list.push(wire.to);
    else next.set(wire.from, [wire.to]);
  }
  followers.set(wires, next);
  return next;
}

export function inputOf(graph: Graph, catalog: Catalog, node: string, name: string): Input | undefined {
  return typeOf(graph, catalog, node)?.inputs.find((input) => input.name === name);
}

export function outputOf(graph: Graph, catalog: Catalog, node: string, name: string): Output | undefined {
  return typeOf(graph, catalog, node)?.outputs.find((output) => output.name === name);
}

function typeOf(graph: Graph, catalog: Catalog, node: string): NodeType | undefined {
  const spec = graph.nodes[node];
  return spec && catalog.nodes[spec.type];
}

/** Whether an input takes several wires; of an unknown one it is known only when it has several. */
export function takesMany(graph: Graph, catalog: Catalog, node: string, name: string): boolean {
  return inputOf(graph, catalog, node, name)?.many ?? graph.wires.filter((wire) => wire.to === node && wire.input === name).length > 1;
}

/** Why these two sockets can't be wired, in words for the user; null where they can. */
export function refusal(graph: Graph, catalog: Catalog, { from, output, to, input }: Ends): string | null {
  if (!graph.nodes[from] || !graph.nodes[to]) return "This node is no longer there.";
  if (from === to) return `"${to}" can't take its own output.`;
  const target = inputOf(graph, catalog, to, input);
  const source = outputOf(graph, catalog, from, output);
  if (!target && typeOf(graph, catalog, to)) return `"${to}" has no input "${input}" any more.`;
  if (!source && typeOf(graph, catalog, from)) return `"${from}" has no output "${output}" any more.`;
  if (!fits(source?.type ?? "", target?.type ?? "", catalog)) {
    return `"${input}" of "${to}" takes ${target?.type}; "${output}" of "${from}" is ${source?.type}.`;
  }
  if (wouldCycle(graph, from, to)) return `"${from}" already depends on "${to}": this wire would close a circle.`;
  return null;
}

/** The wire between a socket that was dragged and another node's socket, whichever way it was dragged. */
export function endsOf(dragged: Pick<Socket, "node" | "socket" | "side">, node: string, socket: string): Ends {
  return dragged.side === "out"
    ? { from: dragged.node, output: dragged.socket, to: node, input: socket }
    : { from: node, output: socket, to: dragged.node, input: dragged.socket };
}

/** The socket of `node` that a wire dragged from another one goes to best: free before taken, same type before related. */
export function bestSocket(graph: Graph, catalog: Catalog, node: string, dragged: Socket): string | null {
  const type = typeOf(graph, catalog, node);
  if (!type) return null;
  const open = (name: string): boolean => refusal(graph, catalog, endsOf(dragged, node, name)) === null;
  if (dragged.side === "in") {
    const names = type.outputs.filter((output) => open(output.name));
    return (names.find((output) => output.type === dragged.type) ?? names[0])?.name ?? null;
  }
  const taken = new Set(graph.wires.filter((wire) => wire.to === node).map((wire) => wire.input));
  const rank = (input: Input): number => (taken.has(input.name) && !input.many ? 4 : 0) + (input.type === dragged.type ? 0 : 2) + (input.required ? 0 : 1);
  return type.inputs.filter((input) => open(input.name)).sort((a, b) => rank(a) - rank(b))[0]?.name ?? null;
}

/** The node types that could take the other end of a wire, each with the socket it would go to; same types first. */
export function candidates(catalog: Catalog, wire: Pick<Socket, "side" | "type">): Candidate[] {
  const exact: Candidate[] = [];
  const related: Candidate[] = [];
  for (const type of Object.values(catalog.nodes)) {
    const sockets: { name: string; type: string }[] = wire.side === "out" ? type.inputs : type.outputs;
    const same = sockets.find((socket) => socket.type === wire.type);
    const other = sockets.find((socket) => (wire.side === "out" ? fits(wire.type, socket.type, catalog) : fits(socket.type, wire.type, catalog)));
    if (same) exact.push({ type, socket: same.name });
    else if (other) related.push({ type, socket: other.name });
  }
  return [...exact, ...related];
}
