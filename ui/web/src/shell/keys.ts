/**
 * The one place where keys are listened to. A key belongs, in this order, to a widget that has taken it
 * (`preventDefault`), to an open dialog, to the text that is being typed, and then to the command with that key.
 */
import { type Command, all, commitTyping, matches, typing } from "../commands";
import { useShell } from "../state/shell";

/** What these do in a text field is the text's own: undo, copy, select all, … */
const OF_TEXT = /^Mod\+(Shift\+)?([ACVXZY]|Backspace|Delete|Arrow\w+|Home|End)$/;
/** Keys that press the button which has the focus, or move within a list. */
const OF_CONTROLS = /^(Space|Enter|Arrow\w+|Home|End|Tab)$/;
/** The browser tells of these by events of their own, with its clipboard, which a page may not read otherwise. */
const OF_CLIPBOARD = /^Mod\+[CXV]$/;
const CONTROLS = 'button, a[href], summary, [role="menuitem"], [role="tab"], [role="option"], [role="slider"], [role="switch"]';

/** Listen until the returned function is called. */
export function listenToKeys(): () => void {
  window.addEventListener("keydown", pressed);
  return () => window.removeEventListener("keydown", pressed);
}

function pressed(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing || !isOurs(event)) return;
  const command = commandFor(event);
  if (!command) return;
  if (useShell.getState().dialog) {
    // The browser's own meaning, such as saving the page, helps nobody here either.
    if (event.ctrlKey || event.metaKey) event.preventDefault();
    return;
  }
  // What is run or saved is what is seen.
  if (command.section === "Run" || command.section === "File") commitTyping();
  const able = command.enabled?.() ?? true;
  // Even where there is nothing to do: the browser's own meaning of the keys (a bookmark, …) would only surprise.
  event.preventDefault();
  if (able) void command.run();
}

/** The command that this key press means where it was pressed. */
export function commandFor(event: KeyboardEvent): Command | undefined {
  const inText = typing(event);
  const target = event.composedPath()[0];
  const onControl = target instanceof Element && target.closest(CONTROLS) !== null;
  return all().find((command) => command.keys?.some((keys) => {
    if (!matches(event, keys)) return false;
    if (event.repeat && !/^(Edit|View|Arrange)$/.test(command.section)) return false;
    if (inText && (!keys.startsWith("Mod+") || OF_TEXT.test(keys))) return false;
    if (onControl && OF_CONTROLS.test(keys)) return false;
    return !OF_CLIPBOARD.test(keys);
  }));
}

/** Not the keys of other parts of a page that the canvas shares. */
function isOurs(event: KeyboardEvent): boolean {
  const target = event.target;
  return target === document.body || target === document.documentElement || (target instanceof Element && target.closest(".lg") !== null);
}
