/** The layers, the topmost first: what each is, its colour and strength, whether it is shown, and their order. */
import { type PointerEvent, useEffect, useRef } from "react";
import { Icon } from "../shell/icons";
import { type Layer, type Layers, addLayer, changeLayer, duplicateLayer, removeLayer, reorder } from "./layers";
import type { Choice } from "./tools";

export interface LayerListProps {
  layers: Layers;
  choice: Choice;
  onChoose: (choice: Choice) => void;
  onChange: (layers: Layers, choice: Choice, merge?: string) => void;
}

export function LayerList({ layers, choice, onChoose, onChange }: LayerListProps) {
  const list = useRef<HTMLUListElement>(null);
  const asked = useRef(false);
  const add = () => {
    asked.current = true;
    onChange(addLayer(layers), { layer: layers.length, shape: -1 });
  };
  // A new layer is asked what it is.
  useEffect(() => {
    if (!asked.current) return;
    asked.current = false;
    list.current?.querySelector<HTMLInputElement>(`[data-layer="${layers.length - 1}"] .lg-layer-prompt`)?.focus();
  }, [layers.length]);

  const dragged = useRef<number | null>(null);
  const drag = (event: PointerEvent) => {
    const from = dragged.current;
    const over = document.elementFromPoint(event.clientX, event.clientY)?.closest<HTMLElement>("[data-layer]");
    if (from === null || !over || !list.current?.contains(over)) return;
    const to = Number(over.dataset.layer);
    if (to === from) return;
    dragged.current = to;
    onChange(reorder(layers, from, to), { layer: to, shape: -1 }, "order");
  };
  return (
    <section className="lg-layers" aria-label="Layers">
      <header>
        <h3>Layers</h3>
        <span className="lg-quiet">top first</span>
        <span className="lg-grow" />
        <button type="button" className="lg-button small" title="New layer (N)" onClick={add} data-testid="painter-new-layer"><Icon name="plus" size={14} />New layer</button>
      </header>
      <ul ref={list}>
        {layers.map((layer, index) => (
          <Row
            key={index} layer={layer} index={index} layers={layers} chosen={index === choice.layer} onChange={onChange}
            onChoose={() => { if (index !== choice.layer) onChoose({ layer: index, shape: -1 }); }}
            onGrip={(event) => { dragged.current = index; event.currentTarget.setPointerCapture(event.pointerId); }} onDrag={drag}
            onDrop={() => { dragged.current = null; }}
          />
        )).toReversed()}
      </ul>
      {layers.length === 0 && <p className="lg-layers-empty">Each thing in the picture gets a layer: what it is, and where. Draw a box to begin, or add a layer.</p>}
    </section>
  );
}

interface RowProps {
  layer: Layer;
  index: number;
  layers: Layers;
  chosen: boolean;
  onChange: LayerListProps["onChange"];
  onChoose: () => void;
  onGrip: (event: PointerEvent<HTMLElement>) => void;
  onDrag: (event: PointerEvent) => void;
  onDrop: () => void;
}

function Row({ layer, index, layers, chosen, onChange, onChoose, onGrip, onDrag, onDrop }: RowProps) {
  const name = layer.prompt || `layer ${index + 1}`;
  const here = { layer: index, shape: -1 };
  const set = (change: Partial<Layer>, merge?: string) => onChange(changeLayer(layers, index, change), here, merge && `${merge} ${index}`);
  const move = (to: number) => onChange(reorder(layers, index, to), { layer: to, shape: -1 });
  const empty = layer.shapes.every((shape) => shape.erase);
  return (
    <li className={`lg-layer ${chosen ? "chosen" : ""} ${layer.hidden ? "hidden" : ""}`} data-layer={index}><div role="presentation" onPointerDown={onChoose} onFocus={onChoose}>
      <div className="lg-layer-main">
        <span className="lg-layer-grip" title="Drag to change the order" onPointerDown={onGrip} onPointerMove={onDrag} onPointerUp={onDrop} onPointerCancel={onDrop}><Icon name="grip" size={14} /></span>
        <input
          type="color" className="lg-swatch" value={layer.colour} aria-label={`Colour of ${name}`} title="Colour" onChange={(event) => set({ colour: event.target.value }, "colour")}
        />
        <input
          className="lg-field lg-layer-prompt" type="text" value={layer.prompt} aria-label={`What layer ${index + 1} is`} placeholder="what is here, such as: a red fox" autoComplete="off"
          onChange={(event) => set({ prompt: event.target.value }, "prompt")}
        />
        <button
          type="button" className="lg-mini" aria-pressed={!layer.hidden} aria-label={`${name} is used`} title={layer.hidden ? "Left out. Click to use it." : "Used. Click to leave it out."}
          onClick={() => set({ hidden: !layer.hidden })}
        ><Icon name={layer.hidden ? "eye-off" : "eye"} size={14} /></button>
      </div>
      {chosen && (
        <div className="lg-layer-more">
          <label>strength
            <input
              type="range" min={0} max={2} step={0.05} value={Math.min(2, layer.strength)} aria-label={`Strength of ${name}`} style={{ ["--share" as string]: `${Math.min(100, layer.strength * 50)}%` }}
              onChange={(event) => set({ strength: Number(event.target.value) }, "strength")}
            />
            <output>{layer.strength}</output>
          </label>
          {empty && <span className="lg-layer-count">no region yet</span>}
          <button type="button" className="lg-mini" aria-label={`Move ${name} up`} title="Up" disabled={index === layers.length - 1} onClick={() => move(index + 1)}><Icon name="up" size={14} /></button>
          <button type="button" className="lg-mini" aria-label={`Move ${name} down`} title="Down" disabled={index === 0} onClick={() => move(index - 1)}><Icon name="down" size={14} /></button>
          <button
            type="button" className="lg-mini" aria-label={`Duplicate ${name}`} title="Duplicate" onClick={() => onChange(duplicateLayer(layers, index), { layer: index + 1, shape: -1 })}
          ><Icon name="copy" size={14} /></button>
          <button
            type="button" className="lg-mini danger" aria-label={`Delete ${name}`} title="Delete the layer"
            onClick={() => onChange(removeLayer(layers, index), { layer: Math.min(index, layers.length - 2), shape: -1 })}
          ><Icon name="trash" size={14} /></button>
        </div>
      )}
    </div></li>
  );
}
