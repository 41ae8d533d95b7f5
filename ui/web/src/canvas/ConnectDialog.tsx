/** Wiring without a pointer: every socket that the chosen node could be wired to, and the wires that it has. */
import { useMemo, useState } from "react";
import { type Ends, refusal, takesMany } from "../graph/fits";
import { reference, wireId } from "../graph/names";
import { connect, disconnect } from "../graph/operations";
import { Dialog } from "../shell/Dialog";
import { useGraph } from "../state/graph";
import { closeDialog } from "../state/shell";
import type { Catalog, Graph } from "../types";
import { Icon } from "../shell/icons";

interface Choice { ends: Ends; id: string; wired: boolean; type: string }

export default function ConnectDialog({ data: { node } }: { data: { node: string } }) {
  const graph = useGraph((state) => state.graph);
  const catalog = useGraph((state) => state.catalog);
  const [query, setQuery] = useState("");
  const choices = useMemo(() => choicesOf(graph, catalog, node), [graph, catalog, node]);
  const words = query.toLowerCase().split(/\s+/);
  const found = choices.filter(({ id, type }) => words.every((word) => `${id} ${type}`.toLowerCase().includes(word)));
  const press = ({ ends, id, wired }: Choice) => {
    const { edit } = useGraph.getState();
    if (wired) edit("disconnect", (now) => disconnect(now, [id]));
    else edit("connect", (now) => connect(now, ends, takesMany(now, catalog, ends.to, ends.input)));
  };
  return (
    <Dialog title={`Connect “${node}”`} onClose={closeDialog} testId="connect">
      <label className="lg-search">
        <Icon name="search" />
        <input className="lg-input" type="search" data-autofocus aria-label="Search the sockets" placeholder="Search" value={query} onChange={(event) => setQuery(event.target.value)} />
      </label>
      <ul className="lg-connect-list" aria-label="Sockets that fit">
        {found.slice(0, 200).map((choice) => (
          <li key={choice.id}>
            <button type="button" className="lg-connect" aria-pressed={choice.wired} onClick={() => press(choice)}>
              <span>{choice.wired && <Icon name="check" />}</span>
              <span>{reference(choice.ends)}</span>
              <Icon name="right" size={12} />
              <span>{choice.ends.to}.{choice.ends.input}</span>
              <span className="lg-quiet">{choice.type}</span>
            </button>
          </li>
        ))}
      </ul>
      {!found.length && <p className="lg-quiet">{choices.length ? "Nothing like that." : "No socket of another node fits."}</p>}
      {found.length > 200 && <p className="lg-quiet">{found.length - 200} more: search for a part of the name.</p>}
    </Dialog>
  );
}

/** What this node is wired to, then what it could be. */
function choicesOf(graph: Graph, catalog: Catalog, node: string): Choice[] {
  const found = new Map<string, Choice>();
  const offer = (ends: Ends, type: string, id = wireId(ends), wired = false): void => {
    if (!found.has(id)) found.set(id, { ends, id, wired, type });
  };
  const outputType = (id: string, name: string): string => catalog.nodes[graph.nodes[id]?.type ?? ""]?.outputs.find((output) => output.name === name)?.type ?? "";
  for (const { id, via: _, ...ends } of graph.wires) if (ends.from === node || ends.to === node) offer(ends, outputType(ends.from, ends.output), id, true);
  const mine = catalog.nodes[graph.nodes[node]?.type ?? ""];
  for (const other of Object.values(graph.nodes)) {
    const theirs = catalog.nodes[other.type];
    if (!mine || !theirs || other.id === node) continue;
    const pairs = [
      ...mine.inputs.flatMap((input) => theirs.outputs.map((output) => ({ from: other.id, output: output.name, to: node, input: input.name }))),
      ...theirs.inputs.flatMap((input) => mine.outputs.map((output) => ({ from: node, output: output.name, to: other.id, input: input.name }))),
    ];
    for (const ends of pairs) if (refusal(graph, catalog, ends) === null) offer(ends, outputType(ends.from, ends.output));
  }
  return [...found.values()];
}
