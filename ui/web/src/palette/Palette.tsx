/** The list of node types: by category, searchable, to be dragged out, or added by Enter, a tap or a double-click. */
import { type CSSProperties, type KeyboardEvent, useMemo, useRef, useState } from "react";
import { addNode } from "../canvas/place";
import { remember, remembered } from "../shell/remember";
import { Icon } from "../shell/icons";
import { useGraph } from "../state/graph";
import { useShell } from "../state/shell";
import type { Catalog, NodeType } from "../types";
import { categoryColour } from "../canvas/colours";
import { Description } from "./describe";
import { beginDrag } from "./drag";
import { search } from "./search";

/** What is described beside the list, and where: down from its top or, for the lower half, up from its bottom. */
interface About { type: NodeType; place: CSSProperties }

export function Palette() {
  const open = useShell((state) => state.palette);
  return open ? <List /> : null;
}

function List() {
  const catalog = useGraph((state) => state.catalog);
  const [query, setQuery] = useState("");
  const [folded, setFolded] = useState<string[]>(() => remembered("palette.folded", []));
  const [about, setAbout] = useState<About | null>(null);
  const own = useRef<HTMLElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const groups = useMemo(() => grouped(catalog, query), [catalog, query]);
  const first = groups[0]?.types[0];

  const fold = (category: string) => {
    const next = folded.includes(category) ? folded.filter((each) => each !== category) : [...folded, category];
    setFolded(next);
    remember("palette.folded", next);
  };
  const describe = (type: NodeType | null, item?: HTMLElement, delay = 0) => {
    clearTimeout(timer.current);
    if (!type || !item) return setAbout(null);
    const show = () => setAbout({ type, place: beside(item, own.current!) });
    if (delay && !about) timer.current = setTimeout(show, delay);
    else show();
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.key === "Escape" && about) {
      describe(null);
      event.preventDefault();
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const stops = [...own.current!.querySelectorAll<HTMLElement>("input, button")];
    const at = stops.indexOf(document.activeElement as HTMLElement) + (event.key === "ArrowDown" ? 1 : -1);
    stops[at]?.focus();
    event.preventDefault();
  };

  return (
    // Arrow keys move between the buttons within.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
    <aside ref={own} className="lg-palette" aria-label="Nodes" data-testid="palette" onKeyDown={pressed} onPointerLeave={() => describe(null)}>
      <form
        className="lg-palette-search"
        onSubmit={(event) => {
          event.preventDefault();
          if (query && first) addNode(first.type, null);
        }}
      >
        <span className="lg-search">
          <Icon name="search" size={14} />
          <input
            className="lg-input" type="search" aria-label="Search nodes" placeholder="Search nodes" value={query} autoComplete="off" spellCheck={false}
            data-testid="palette-search" onFocus={() => describe(null)} onChange={(event) => { describe(null); setQuery(event.target.value); }}
            onKeyDown={(event) => { if (event.key === "Escape") setQuery(""); }}
          />
        </span>
      </form>
      <div className="lg-palette-list" onScroll={() => describe(null)}>
        {groups.map(({ category, types }) => {
          const shut = !query && folded.includes(category);
          return (
            <section key={category}>
              <h3>
                <button type="button" className="lg-palette-head" aria-expanded={!shut} onClick={() => fold(category)}>
                  <Icon name={shut ? "right" : "down"} size={12} />
                  <span className="lg-dot" style={{ background: categoryColour(category) }} />
                  {category}<span className="lg-quiet">{types.length}</span>
                </button>
              </h3>
              {!shut && <ul>{types.map((type) => <li key={type.type}><Item type={type} describe={describe} /></li>)}</ul>}
            </section>
          );
        })}
        {groups.length === 0 && query && <p className="lg-quiet lg-empty" aria-live="polite">{`No node answers "${query}".`}</p>}
      </div>
      {about && <div className="lg-about" role="tooltip" id="lg-about" style={about.place}><Description type={about.type} /></div>}
    </aside>
  );
}

function beside(item: HTMLElement, list: HTMLElement): CSSProperties {
  const [mine, all] = [item.getBoundingClientRect(), list.getBoundingClientRect()];
  const lower = mine.top + mine.height / 2 > all.top + all.height / 2;
  return lower ? { bottom: Math.max(8, all.bottom - mine.bottom - 6) } : { top: Math.max(8, mine.top - all.top - 6) };
}

type Describe = (type: NodeType | null, item?: HTMLElement, delay?: number) => void;

function Item({ type, describe }: { type: NodeType; describe: Describe }) {
  const dragged = useRef(false);
  const byTouch = useRef(false);
  return (
    <button
      type="button" className="lg-palette-item" data-type={type.type} aria-describedby="lg-about"
      style={{ "--category": categoryColour(type.category) } as CSSProperties}
      onPointerDown={(event) => {
        dragged.current = false;
        byTouch.current = event.pointerType !== "mouse";
        describe(null);
        beginDrag(type.type, event.nativeEvent, event.currentTarget, () => { dragged.current = true; });
      }}
      onPointerEnter={(event) => { if (event.pointerType === "mouse" && !event.buttons) describe(type, event.currentTarget, 350); }}
      onFocus={(event) => { if (event.currentTarget.matches(":focus-visible")) describe(type, event.currentTarget); }}
      onBlur={() => describe(null)}
      onDoubleClick={() => addNode(type.type, null)}
      onClick={(event) => {
        // A press of Enter is a click of no pointer; a mouse's single click only looks.
        if (dragged.current) dragged.current = false;
        else if (event.detail === 0 || byTouch.current) addNode(type.type, null);
      }}
    >{type.type}</button>
  );
}

function grouped(catalog: Catalog, query: string): { category: string; types: NodeType[] }[] {
  const groups = new Map<string, NodeType[]>();
  for (const type of search(Object.values(catalog.nodes), query)) {
    const known = groups.get(type.category);
    if (known) known.push(type);
    else groups.set(type.category, [type]);
  }
  return [...groups].map(([category, types]) => ({ category, types }));
}
