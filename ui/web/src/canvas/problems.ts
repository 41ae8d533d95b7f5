/** The problems of each node; the same list as long as the server's answer is the same. */
import type { Problem } from "../types";

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
