/* oxlint-disable jsx-a11y/prefer-tag-over-role, jsx-a11y/no-noninteractive-element-to-interactive-role -- a <select> can't hold such options */
/**
 * Find one thing among many by typing: a text field over a list, as the ARIA practices have a combobox. The arrows move,
 * Enter takes, and the pointer may do both.
 *
 *     <Chooser label="Find a node" find={(query) => …} choose={({ id }) => jump(id)} render={…} />
 */
import { type KeyboardEvent, type ReactNode, useEffect, useId, useMemo, useRef, useState } from "react";
import { Icon } from "./icons";

export interface ChooserProps<T> {
  label: string;
  placeholder?: string;
  /** The best first. */
  find: (query: string) => T[];
  keyOf: (item: T) => string;
  render: (item: T) => ReactNode;
  choose: (item: T) => void;
  /** Said where nothing was found. */
  nothing: string;
}

/** No more than this is drawn: who looks further types another letter. */
const MOST = 60;

export function Chooser<T>({ label, placeholder, find, keyOf, render, choose, nothing }: ChooserProps<T>) {
  const [query, setQuery] = useState("");
  const [active, setActive] = useState(0);
  const id = useId();
  const list = useRef<HTMLUListElement>(null);
  const found = useMemo(() => find(query), [find, query]);
  const items = found.slice(0, MOST);
  useEffect(() => { list.current?.children[active]?.scrollIntoView({ block: "nearest" }); }, [active]);
  const pressed = (event: KeyboardEvent) => {
    const last = items.length - 1;
    const moves: Record<string, number> = {
      ArrowDown: active >= last ? 0 : active + 1, ArrowUp: active <= 0 ? last : active - 1,
      PageDown: Math.min(last, active + 8), PageUp: Math.max(0, active - 8),
    };
    const next = moves[event.key];
    if (next !== undefined) setActive(Math.max(0, next));
    else if (event.key === "Enter" && items[active]) choose(items[active]);
    else return;
    event.preventDefault();
  };
  return (
    <div className="lg-chooser">
      <span className="lg-search">
        <Icon name="search" size={14} />
        {/* Of type "search", Escape would first empty it, and only the second one close the dialog. */}
        <input
          className="lg-input" type="text" role="combobox" aria-label={label} aria-expanded="true" aria-controls={id} aria-autocomplete="list"
          aria-activedescendant={items[active] && `${id}-${active}`} placeholder={placeholder ?? label} data-autofocus autoComplete="off" spellCheck={false}
          value={query} onKeyDown={pressed} onChange={(event) => { setQuery(event.target.value); setActive(0); }}
        />
      </span>
      <ul ref={list} id={id} role="listbox" aria-label={label} className="lg-options">
        {items.map((item, index) => (
          // The field keeps the focus and the keys; an option only takes the pointer.
          // oxlint-disable-next-line jsx-a11y/click-events-have-key-events
          <li
            key={keyOf(item)} id={`${id}-${index}`} role="option" aria-selected={index === active} className="lg-option" data-option={keyOf(item)}
            onPointerMove={() => setActive(index)} onMouseDown={(event) => event.preventDefault()} onClick={() => choose(item)}
          >{render(item)}</li>
        ))}
      </ul>
      {items.length === 0 && <p className="lg-quiet lg-empty" aria-live="polite">{nothing}</p>}
      {found.length > MOST && <p className="lg-quiet lg-empty">{found.length - MOST} more: type to find them.</p>}
    </div>
  );
}
