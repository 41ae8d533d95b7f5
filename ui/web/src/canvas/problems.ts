/** The problems of each node; the same list as long as the server's answer is the same. */
import type { Problem } from "../types";
import type { Layout } from "./geometry";

const NONE: Problem[] = [];
const known = new WeakMap<Problem[], Map<string, Problem[]>>();

export function problemsOf(problems: Problem[], node: string): Problem[] {
  let byNode = known.get(problems);
  if (!byNode) {
    byNode = new Map();
    for (const problem of problems) if (problem.node !== null) byNode.set(problem.node, [...(byNode.get(problem.node) ?? []), problem]);
    known.set(problems, byNode);
  }
  return byNode.get(node) ?? NONE;
}

/** Whether nothing is wrong but that a wire is not drawn yet: a node that was just added is no mistake. */
export function lacksWire(problem: Problem, layout: Layout): boolean {
  return (problem.value ?? null) === null && layout.inputs.some((socket) => socket.name === problem.field && !socket.gone);
}
