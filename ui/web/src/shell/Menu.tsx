/**
 * Menus, as the ARIA practices have them: arrows move, Home and End jump, a letter goes to the next item that begins with
 * it, Escape and Tab close, and the focus goes back to the button.
 *
 *     <MenuButton label="File" items={() => commandItems("File")}>File</MenuButton>
 */
import { Fragment, type KeyboardEvent, type ReactNode, useEffect, useId, useLayoutEffect, useRef, useState } from "react";
import { type Command, all, shown } from "../commands";
import { Icon, type IconName } from "./icons";

/** A line of a menu; "line" separates, {head} is a heading. `checked` draws a check mark for what is on. */
export type MenuItem =
  | { id: string; title: string; icon?: IconName; keys?: string; disabled?: boolean; checked?: boolean; run: () => void }
  | { head: string }
  | "line";

/** The commands of a section; a line where the second part of their ids changes ("arrange.align.left"). */
export function commandItems(section: Command["section"]): MenuItem[] {
  const items: MenuItem[] = [];
  let kin = "";
  for (const command of all().filter((each) => each.section === section)) {
    const family = command.id.split(".").slice(0, -1).join(".");
    if (items.length && family !== kin) items.push("line");
    kin = family;
    items.push(commandItem(command));
  }
  return items;
}

export function commandItem({ id, title, keys, enabled, run }: Command): MenuItem {
  return { id, title, keys: keys?.[0] && shown(keys[0]), disabled: !(enabled?.() ?? true), run: () => void run() };
}

export interface MenuButtonProps {
  /** The accessible name, for a button that shows no words. */
  label?: string;
  items: () => MenuItem[];
  children: ReactNode;
  className?: string;
  /** On which side of the button the menu's edge is. */
  side?: "left" | "right";
  testId?: string;
}

export function MenuButton({ label, items, children, className = "lg-button plain", side = "left", testId }: MenuButtonProps) {
  const [shownItems, setShown] = useState<MenuItem[] | null>(null);
  const own = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const isOpen = shownItems !== null;
  useEffect(() => {
    if (!isOpen) return;
    const outside = (event: PointerEvent) => { if (!own.current?.contains(event.target as Node)) setShown(null); };
    document.addEventListener("pointerdown", outside, true);
    return () => document.removeEventListener("pointerdown", outside, true);
  }, [isOpen]);
  const close = (refocus: boolean) => {
    setShown(null);
    if (refocus) button.current?.focus();
  };
  return (
    <div ref={own} className="lg-menu-holder">
      <button
        ref={button} type="button" className={className} aria-label={label} title={label} aria-haspopup="menu" aria-expanded={isOpen} aria-controls={isOpen ? id : undefined}
        data-testid={testId} onClick={() => setShown(isOpen ? null : items())}
        onKeyDown={(event) => {
          if (event.key !== "ArrowDown" || isOpen) return;
          event.preventDefault();
          setShown(items());
        }}
      >{children}</button>
      {isOpen && <MenuList id={id} label={label ?? String(children)} items={shownItems} side={side} close={close} />}
    </div>
  );
}

interface MenuListProps { id?: string; label: string; items: MenuItem[]; side?: "left" | "right"; close: (refocus: boolean) => void }

/** The open menu; the first item has the focus. */
export function MenuList({ id, label, items, side = "left", close }: MenuListProps) {
  const own = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => { own.current?.querySelector<HTMLElement>('[role^="menuitem"]')?.focus({ preventScroll: true }); }, []);
  const pressed = (event: KeyboardEvent) => {
    const buttons = [...own.current!.querySelectorAll<HTMLElement>('[role^="menuitem"]')];
    const at = buttons.indexOf(document.activeElement as HTMLElement);
    const target = aim(event.key, buttons, at);
    if (target) target.focus();
    else if (event.key === "Escape" || event.key === "Tab") close(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div ref={own} id={id} role="menu" aria-label={label} tabIndex={-1} className="lg-menu" style={side === "right" ? { right: 0 } : { left: 0 }} onKeyDown={pressed}>
      {items.map((item, index) => {
        if (item === "line") return <hr key={before(items, index)} className="lg-menu-line" />;
        if ("head" in item) return <div key={item.head} role="presentation" className="lg-menu-head">{item.head}</div>;
        return <Fragment key={item.id}><Line item={item} close={close} /></Fragment>;
      })}
    </div>
  );
}

function Line({ item, close }: { item: Extract<MenuItem, { id: string }>; close: (refocus: boolean) => void }) {
  const { id, title, icon, keys, disabled, checked, run } = item;
  const role = checked === undefined ? "menuitem" : "menuitemcheckbox";
  return (
    <button
      type="button" role={role} tabIndex={-1} aria-checked={checked} aria-disabled={disabled} className="lg-menu-item" data-testid={`menu-${id}`}
      onClick={() => {
        if (disabled) return;
        close(true);
        run();
      }}
    >
      {checked !== undefined && (checked ? <Icon name="check" /> : <span className="lg-menu-gap" />)}
      {icon && <Icon name={icon} />}
      <span className="lg-menu-title">{title}</span>
      {keys && <span className="lg-menu-keys">{keys}</span>}
    </button>
  );
}

function aim(key: string, buttons: HTMLElement[], at: number): HTMLElement | undefined {
  if (key === "ArrowDown") return buttons[(at + 1) % buttons.length];
  if (key === "ArrowUp") return buttons.at(at <= 0 ? -1 : at - 1);
  if (key === "Home") return buttons[0];
  if (key === "End") return buttons.at(-1);
  if (key.length !== 1 || key === " ") return undefined;
  const round = [...buttons.slice(at + 1), ...buttons.slice(0, at + 1)];
  return round.find((button) => button.textContent?.toLowerCase().startsWith(key.toLowerCase()));
}

/** What a line stands behind: its own name among the items. */
function before(items: MenuItem[], index: number): string {
  const item = items[index - 1];
  return typeof item === "object" && "id" in item ? `after ${item.id}` : `line ${index}`;
}
