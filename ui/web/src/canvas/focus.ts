/** Give a node the keyboard, also one that only now comes into view and thereby into being. */
import { view } from "./view";

/** In how many frames it must be there. */
const LATEST = 30;

export function focusNode(id: string): void {
  const element = view()?.element();
  const focus = (left: number): void => {
    const found = element?.querySelector<HTMLElement>(`.react-flow__node[data-id="${CSS.escape(id)}"]`);
    if (found) found.focus({ preventScroll: true });
    else if (left) requestAnimationFrame(() => focus(left - 1));
  };
  requestAnimationFrame(() => focus(LATEST));
}
