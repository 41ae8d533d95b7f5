/**
 * The region painter: over the whole window, with its own undo. Apply writes the layers (and the picture and the size, where
 * they were changed here) into the node as one step of the canvas; Cancel leaves the node as it is.
 */
import { type ChangeEvent, type MouseEvent, useEffect, useRef, useState } from "react";
import { setSetting } from "../graph/operations";
import { Dialog } from "../shell/Dialog";
import { Icon } from "../shell/icons";
import { useGraph } from "../state/graph";
import looks from "../styles/painter.css?inline";
import { closeDialog } from "../state/shell";
import type { Field, GraphNode, Json, Point } from "../types";
import { Browse } from "../widgets/Browse";
import { baseName } from "../widgets/paths";
import { press } from "./keys";
import { LayerList } from "./LayerList";
import { type Layers, readLayers, writeLayers } from "./layers";
import { paperOf, sizeOf, usePicture } from "./picture";
import { Stage, type StageHandle } from "./Stage";
import { type Choice, LARGEST_BRUSH, SMALLEST_BRUSH, TOOLS, type Tool } from "./tools";
import { type Work, useWork } from "./work";

export interface PainterData { node: string; setting: string }

export default function PainterDialog({ data }: { data: PainterData }) {
  const [node] = useState(() => useGraph.getState().graph.nodes[data.node]);
  return node ? <Painter node={node} setting={data.setting} /> : null;
}

function Painter({ node, setting }: { node: GraphNode; setting: string }) {
  const fields = useGraph((state) => state.catalog.nodes[node.type]?.fields);
  const has = (name: string) => fields?.some((field) => field.name === name) ?? false;
  const [start] = useState(() => startOf(node, setting, fields ?? []));
  const editing = useWork(start);
  const { work } = editing;
  const [chosen, setChosen] = useState<Choice>({ layer: start.layers.length - 1, shape: -1 });
  const [tool, setTool] = useState<Tool>(start.layers.length > 0 ? "select" : "box");
  const [brush, setBrush] = useState(0.06);
  const [leaving, setLeaving] = useState(false);
  const [browsing, setBrowsing] = useState<Point | null>(null);
  const stage = useRef<StageHandle>(null);
  const picture = usePicture(work.background);
  const size = sizeOf(work, picture);
  // After an undo the chosen layer may be gone.
  const choice: Choice = { layer: Math.min(chosen.layer, work.layers.length - 1), shape: chosen.shape };

  // Nothing of this is in the draft that a reload brings back.
  const { changed } = editing;
  useEffect(() => {
    if (!changed) return;
    const warn = (event: Event) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [changed]);

  const change = (layers: Layers, next: Choice, merge?: string) => {
    editing.change({ layers }, merge);
    setChosen(next);
  };
  const apply = () => {
    write(node, setting, start, work, fields ?? []);
    closeDialog();
  };
  const close = () => {
    if (editing.changed) setLeaving(true);
    else closeDialog();
  };
  const browse = (event: MouseEvent) => {
    const { left, bottom } = event.currentTarget.getBoundingClientRect();
    setBrowsing([left, bottom + 4]);
  };
  const resize = (name: "width" | "height") => (event: ChangeEvent<HTMLInputElement>) =>
    editing.change({ [name]: Math.max(0, Math.min(8192, Math.round(Number(event.target.value) || 0))) }, name);

  const foot = leaving ? (
    <>
      <span className="lg-grow lg-painter-hint" role="alert">The changes have not been applied.</span>
      <button type="button" className="lg-button" onClick={() => setLeaving(false)}>Keep editing</button>
      <button type="button" className="lg-button danger" onClick={closeDialog}>Discard them</button>
    </>
  ) : (
    <>
      <span className="lg-grow lg-painter-hint">{TOOLS.find((each) => each.tool === tool)?.hint}</span>
      <button type="button" className="lg-button" onClick={close}>Cancel</button>
      <button type="button" className="lg-button primary" onClick={apply} data-testid="painter-apply">Apply</button>
    </>
  );
  return (
    <Dialog title={`Regions of ${node.id}`} onClose={close} size="full" flush foot={foot} testId="painter">
      <style href="lg-painter" precedence="default">{looks}</style>
      <div
        className="lg-painter" role="presentation" onKeyUp={(event) => { if (event.key === " ") stage.current?.pan(false); }}
        onKeyDown={(event) => press(event, { editing, choice, tool, brush, stage: stage.current, setTool, setBrush, change, apply, close })}
      >
        <div className="lg-painter-bar">
          <div className="lg-painter-tools" role="toolbar" aria-label="Tools">
            {TOOLS.map(({ tool: each, title, key, icon }) => (
              <button
                key={each} type="button" className="lg-icon-button" aria-pressed={tool === each} aria-label={title} aria-keyshortcuts={key} title={`${title} (${key})`}
                data-testid={`painter-${each}`} onClick={() => setTool(each)}
              ><Icon name={icon} /></button>
            ))}
          </div>
          {(tool === "brush" || tool === "eraser") && (
            <label className="lg-painter-size">size
              <input
                type="range" min={SMALLEST_BRUSH} max={LARGEST_BRUSH} step={0.005} value={brush} style={{ ["--share" as string]: `${(brush / LARGEST_BRUSH) * 100}%` }}
                onChange={(event) => setBrush(Number(event.target.value))}
              />
              <output>{Math.max(1, Math.round(brush * size[0]))} px</output>
            </label>
          )}
          <span className="lg-grow" />
          <button type="button" className="lg-icon-button" aria-label="Undo" title="Undo" disabled={!editing.undo} onClick={() => editing.undo?.()}><Icon name="undo" /></button>
          <button type="button" className="lg-icon-button" aria-label="Redo" title="Redo" disabled={!editing.redo} onClick={() => editing.redo?.()}><Icon name="redo" /></button>
          <i className="lg-painter-gap" />
          <button type="button" className="lg-icon-button" aria-label="Zoom out" title="Zoom out (-)" onClick={() => stage.current?.view.zoom(0.8)}><Icon name="zoom-out" /></button>
          <button type="button" className="lg-icon-button" aria-label="Zoom in" title="Zoom in (+)" onClick={() => stage.current?.view.zoom(1.25)}><Icon name="zoom-in" /></button>
          <button type="button" className="lg-icon-button" aria-label="Show all" title="Show all (0)" onClick={() => stage.current?.view.fit()}><Icon name="fit" /></button>
        </div>
        <div className="lg-painter-stage">
          <Stage
            stage={stage} layers={work.layers} choice={choice} tool={tool} brush={brush} size={size} picture={picture} onChange={change}
            onChoose={setChosen}
          />
        </div>
        <aside className="lg-painter-side">
          <LayerList layers={work.layers} choice={choice} onChoose={setChosen} onChange={change} />
          {(has("background") || has("width")) && (
            <section className="lg-painter-paper" aria-label="Picture">
              <h3>Picture</h3>
              {has("background") && (
                <div className="lg-row">
                  <button type="button" className="lg-button small" onClick={browse}><Icon name="gallery" size={14} />{work.background ? "Another…" : "Paint over a picture…"}</button>
                  {work.background && (
                    <>
                      <span className="lg-painter-name" title={work.background}>{baseName(work.background)}</span>
                      <button type="button" className="lg-mini" aria-label="Without a picture" title="Without a picture" onClick={() => editing.change({ background: "" })}><Icon name="close" size={14} /></button>
                    </>
                  )}
                </div>
              )}
              {has("width") && has("height") && (
                <div className="lg-row">
                  <label>width <input className="lg-field lg-number" type="number" min={0} max={8192} step={8} value={work.width || ""} placeholder={String(size[0])} onChange={resize("width")} /></label>
                  <label>height <input className="lg-field lg-number" type="number" min={0} max={8192} step={8} value={work.height || ""} placeholder={String(size[1])} onChange={resize("height")} /></label>
                </div>
              )}
            </section>
          )}
        </aside>
      </div>
      {browsing && (
        <Browse
          kind="file" suggestions={[]} value={work.background} at={browsing} onClose={() => setBrowsing(null)}
          onPick={(path) => { setBrowsing(null); editing.change({ background: path }); }}
        />
      )}
    </Dialog>
  );
}

function startOf(node: GraphNode, setting: string, fields: readonly Field[]): Work {
  return { layers: readLayers(node.settings[setting] ?? fields.find((field) => field.name === setting)?.default ?? []), ...paperOf(node, fields) };
}

/** Write what has changed into the node, as one step. */
function write(node: GraphNode, setting: string, start: Work, work: Work, fields: readonly Field[]): void {
  const standard = (name: string) => fields.find((field) => field.name === name)?.default ?? null;
  const changed: [string, Json][] = [];
  if (work.layers !== start.layers) changed.push([setting, writeLayers(work.layers)]);
  for (const name of ["width", "height"] as const) if (work[name] !== start[name]) changed.push([name, work[name]]);
  if (work.background !== start.background) changed.push(["background", work.background || null]);
  useGraph.getState().edit("paint regions", (graph) => changed.reduce((next, [name, value]) => setSetting(next, node.id, name, value, standard(name)), graph));
}
