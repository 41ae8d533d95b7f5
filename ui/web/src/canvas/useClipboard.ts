/** The keys for copy, cut and paste, through the browser's own events: these need no permission (graph/clipboard.ts). */
import { type RefObject, useEffect } from "react";
import { matches, typing } from "../commands";
import { pasteText, removeSelected, selectedText } from "../graph/clipboard";
import { useShell } from "../state/shell";
import { pointed } from "./place";
import { pointer } from "./state";

const KEYS = ["Mod+C", "Mod+X", "Mod+V"];

export function useClipboard(canvas: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    /** Ours, unless text is being written or is selected, a dialog is open, or another part of the page has the focus. */
    const ours = (event: Event): boolean => {
      const focus = document.activeElement;
      const here = focus === null || focus === document.body || Boolean(canvas.current?.closest(".lg")?.contains(focus));
      return here && !typing(event) && useShell.getState().dialog === null;
    };
    const selectsText = (): boolean => String(getSelection() ?? "") !== "";
    const pressed = (event: KeyboardEvent): void => {
      pointer.shift = event.shiftKey;
      // The command of the same keys, for the menus, would have to ask for the clipboard: leave these to the events below.
      if (KEYS.some((keys) => matches(event, keys)) && ours(event)) event.stopImmediatePropagation();
    };
    const copied = (event: ClipboardEvent): void => {
      const text = ours(event) && !selectsText() ? selectedText() : null;
      if (text === null) return;
      event.clipboardData?.setData("text/plain", text);
      event.preventDefault();
      if (event.type === "cut") removeSelected("cut");
    };
    const pasted = (event: ClipboardEvent): void => {
      const text = ours(event) ? event.clipboardData?.getData("text/plain") : undefined;
      if (!text) return;
      pasteText(text, pointed());
      event.preventDefault();
    };
    window.addEventListener("keydown", pressed, true);
    document.addEventListener("copy", copied);
    document.addEventListener("cut", copied);
    document.addEventListener("paste", pasted);
    return () => {
      window.removeEventListener("keydown", pressed, true);
      document.removeEventListener("copy", copied);
      document.removeEventListener("cut", copied);
      document.removeEventListener("paste", pasted);
    };
  }, [canvas]);
}
