/** Seeds that are drawn anew: by the dice, and before each run for those that are not locked. Pure but for the dice. */
import type { Catalog, Field, Graph } from "../types";

/** Seeds have at most this many bits, so that they stay short enough to read out and to type. */
const LARGEST = 2 ** 32 - 1;

export function freshSeed(field: Pick<Field, "minimum" | "maximum">, random: () => number = Math.random): number {
  const low = field.minimum ?? 0;
  const high = Math.min(field.maximum ?? LARGEST, LARGEST);
  return low + Math.floor(random() * (high - low + 1));
}

/** The graph with a new value for every seed that is randomised; the same graph where none is. */
export function freshSeeds(graph: Graph, catalog: Catalog, random: () => number = Math.random): Graph {
  const nodes = { ...graph.nodes };
  let changed = false;
  for (const node of Object.values(graph.nodes)) {
    const seeds = (catalog.nodes[node.type]?.fields ?? []).filter(({ name, kind }) => kind === "seed" && node.randomise.includes(name));
    if (seeds.length === 0) continue;
    changed = true;
    nodes[node.id] = { ...node, settings: { ...node.settings, ...Object.fromEntries(seeds.map((field) => [field.name, freshSeed(field, random)])) } };
  }
  return changed ? { ...graph, nodes } : graph;
}
