/**
 * Everything a user can do has a name, a title and, mostly, keys: menus, buttons, shortcuts and the shortcut sheet all
 * come from this one list. A module registers its commands when it is imported (see the `commands.ts` beside each).
 *
 *     register({ id: "edit.undo", title: "Undo", section: "Edit", keys: ["Mod+Z"], enabled: () => …, run: () => … });
 *     perform("edit.undo");
 */
export interface Command {
  id: string;
  title: string;
  section: "Run" | "Edit" | "Arrange" | "View" | "File" | "Add";
  /** As "Mod+Shift+Z": Mod is Ctrl, or ⌘ on a Mac. A single letter or symbol works only where nothing is being typed. */
  keys?: string[];
  enabled?: () => boolean;
  run: () => void | Promise<void>;
}

const commands = new Map<string, Command>();

export function register(...added: Command[]): void {
  for (const command of added) commands.set(command.id, command);
}

export function all(): Command[] {
  return [...commands.values()];
}

export function find(id: string): Command | undefined {
  return commands.get(id);
}

export function perform(id: string): void {
  const command = commands.get(id);
  if (command && (command.enabled?.() ?? true)) void command.run();
}

export const MAC = typeof navigator !== "undefined" && /Mac|iP(hone|ad)/.test(navigator.platform);

const NAMES: Record<string, string> = {
  ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Delete: "Del", Escape: "Esc", PageUp: "Page up", PageDown: "Page down",
};

/** "Mod+Shift+Z" is Mod, Shift, Z; "+" and "Mod++" end in the key "+" itself. */
function partsOf(keys: string): string[] {
  return keys.endsWith("+") ? [...keys.slice(0, -1).split("+").filter(Boolean), "+"] : keys.split("+");
}

/** The way a combination is written for this platform: "Ctrl+Shift+Z", "⌘⇧Z". */
export function shown(keys: string): string {
  const signs: Record<string, string> = { ...NAMES, ...(MAC ? { Mod: "⌘", Shift: "⇧", Alt: "⌥", Enter: "⏎" } : { Mod: "Ctrl" }) };
  return partsOf(keys).map((part) => signs[part] ?? part).join(MAC ? "" : "+");
}

/** Whether `event` is the combination `keys`. */
export function matches(event: KeyboardEvent, keys: string): boolean {
  const parts = partsOf(keys);
  const key = parts.at(-1)!;
  const wants = (name: string): boolean => parts.slice(0, -1).includes(name);
  const mod = MAC ? event.metaKey : event.ctrlKey;
  const other = MAC ? event.ctrlKey : event.metaKey;
  // A symbol such as "?" needs Shift on some keyboards and not on others; a letter or a named key says what it means.
  const shift = /^[A-Z]$|^.{2,}$/i.test(key) ? event.shiftKey === wants("Shift") : true;
  const pressed = event.key === " " ? "Space" : event.key;
  return pressed.toLowerCase() === key.toLowerCase() && mod === wants("Mod") && !other && event.altKey === wants("Alt") && shift;
}

/**
 * Take what is being typed into the graph where that happens only when the field is left: a name, a number that was cleared.
 * The field keeps the focus, unless it is gone with that.
 */
export function commitTyping(): void {
  const field = document.activeElement;
  if (!(field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement) || !field.closest(".lg")) return;
  field.blur();
  // Later: until then the field has not been drawn with what was taken.
  setTimeout(() => { if (document.activeElement === document.body) field.focus({ preventScroll: true }); });
}

/** Whether the event's target takes text, so that plain keys belong to it. */
export function typing(event: Event): boolean {
  const target = event.composedPath()[0];
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
