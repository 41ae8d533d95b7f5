/**
 * The one dialog: a native modal `<dialog>`, so the browser keeps the focus inside, closes on Escape and gives the focus
 * back where it was. What is shown names itself by `title`.
 *
 *     <Dialog title="Save as" onClose={closeDialog} foot={<button className="lg-button primary">Save</button>}>…</Dialog>
 */
import { type CSSProperties, type MouseEvent, type ReactNode, useId, useLayoutEffect, useRef } from "react";
import type { Point } from "../types";
import { Icon } from "./icons";

export interface DialogProps {
  title: string;
  onClose: () => void;
  children: ReactNode;
  foot?: ReactNode;
  size?: "normal" | "wide" | "full";
  /** Without padding round the content. */
  flush?: boolean;
  /** Holds nothing that takes the focus, so the text itself must, to be scrolled by keys. */
  text?: boolean;
  /** Hangs at this place of the window, in pixels, with no heading: a pop-up such as quick-add. */
  at?: Point;
  testId?: string;
}

export function Dialog({ title, onClose, children, foot, size = "normal", flush = false, text = false, at, testId }: DialogProps) {
  const own = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useLayoutEffect(() => {
    const dialog = own.current!;
    dialog.showModal();
    dialog.querySelector<HTMLElement>("[data-autofocus]")?.focus();
    return () => dialog.close();
  }, []);
  // A press on the backdrop is a press on the dialog element itself, outside of its rectangle.
  const outside = (event: MouseEvent) => {
    if (event.target !== own.current) return;
    const { left, right, top, bottom } = own.current!.getBoundingClientRect();
    if (event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom) onClose();
  };
  return (
    // What the pointer does here, Escape does for the keyboard.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
    <dialog
      ref={own} className={`lg-dialog ${size} ${at ? "lg-pop" : ""}`} style={at && placed(at)} data-testid={testId}
      {...(at ? { "aria-label": title } : { "aria-labelledby": heading })}
      onCancel={(event) => { event.preventDefault(); onClose(); }} onMouseDown={outside}
    >
      {!at && (
        <header className="lg-dialog-head">
          <h2 id={heading}>{title}</h2>
          <button type="button" className="lg-icon-button" aria-label="Close" onClick={onClose}><Icon name="close" /></button>
        </header>
      )}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div tabIndex={text ? 0 : undefined} className={`lg-dialog-body ${flush || at ? "flush" : ""}`}>{children}</div>
      {foot && <div className="lg-dialog-foot">{foot}</div>}
    </dialog>
  );
}

/** Beside the pointer, but whole within the window. */
function placed([x, y]: Point): CSSProperties {
  const [width, height] = [Math.min(340, innerWidth - 16), 440];
  return { left: Math.max(8, Math.min(x, innerWidth - width - 8)), top: Math.max(8, Math.min(y, innerHeight - height - 8)), width };
}
