/** Add a node where the pointer is, by typing. With a wire that was dropped there: only what fits, and wired at once. */
import { useMemo } from "react";
import { addNode } from "../canvas/place";
import { type Socket, candidates } from "../graph/fits";
import { Chooser } from "../shell/Chooser";
import { Dialog } from "../shell/Dialog";
import { useGraph } from "../state/graph";
import { closeDialog } from "../state/shell";
import type { NodeType, Point } from "../types";
import { categoryColour } from "../canvas/colours";
import { firstLines } from "./describe";
import { search } from "./search";

export default function QuickAdd({ data }: { data?: { client?: Point | null; wire?: Socket } }) {
  const catalog = useGraph((state) => state.catalog);
  const { client = null, wire } = data ?? {};
  const find = useMemo(() => {
    // For a wire, the nodes that take exactly its type come first, as `candidates` has them.
    const types = wire ? candidates(catalog, wire).map(({ type }) => type) : Object.values(catalog.nodes);
    return (query: string) => (wire && !query.trim() ? types : search(types, query));
  }, [catalog, wire]);
  const add = (type: NodeType) => {
    closeDialog();
    addNode(type.type, client, wire);
  };
  const title = wire ? `Add a node that ${wire.side === "out" ? "takes" : "gives"} ${wire.type}` : "Add a node";
  return (
    <Dialog title={title} at={client ?? [innerWidth / 2 - 170, innerHeight / 3]} onClose={closeDialog} testId="quick-add">
      <Chooser
        label={title} find={find} keyOf={(type) => type.type} choose={add} nothing={wire ? "No node that fits answers this." : "No node answers this."}
        render={(type) => <>
          <span className="lg-dot" style={{ background: categoryColour(type.category) }} />
          <span className="lg-grow"><span className="lg-option-name">{type.type}</span><span className="lg-option-text">{firstLines(type.doc)}</span></span>
          <span className="lg-quiet">{type.category}</span>
        </>}
      />
    </Dialog>
  );
}
