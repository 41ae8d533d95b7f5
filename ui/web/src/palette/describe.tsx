/** A node type in a few lines: what it does, what goes in and what comes out. Shown beside the palette and in quick-add. */
import { categoryColour } from "../canvas/colours";
import { Mark } from "../canvas/shapes";
import { useGraph } from "../state/graph";
import type { NodeType } from "../types";

/** The first sentences of a docstring: up to its first empty line, without its marks of code. */
export function firstLines(doc: string): string {
  return doc.split(/\n\s*\n/)[0]!.replaceAll("`", "").replaceAll(/\s+/g, " ").trim();
}

export function Description({ type }: { type: NodeType }) {
  return (
    <>
      <p className="lg-about-name"><span className="lg-dot" style={{ background: categoryColour(type.category) }} />{type.type}</p>
      <p className="lg-about-text">{firstLines(type.doc)}</p>
      <Sockets title="In" sockets={type.inputs.map((input) => ({ ...input, note: input.required ? "" : "optional" }))} />
      <Sockets title="Out" sockets={type.outputs.map((output) => ({ ...output, note: "" }))} />
    </>
  );
}

function Sockets({ title, sockets }: { title: string; sockets: { name: string; type: string; note: string }[] }) {
  const values = useGraph((state) => state.catalog.values);
  if (!sockets.length) return null;
  return (
    <p className="lg-about-sockets">
      <span className="lg-quiet">{title}</span>
      {sockets.map(({ name, type, note }) => (
        <span key={name} className="lg-about-socket">
          <Mark shape={values[type]?.shape ?? "circle"} colour={values[type]?.colour ?? "var(--line-strong)"} hollow={note !== ""} />
          {name}<span className="lg-quiet">{type}{note && `, ${note}`}</span>
        </span>
      ))}
    </p>
  );
}
