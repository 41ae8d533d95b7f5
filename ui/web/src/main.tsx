/** Entry: `mount` puts the canvas into an element of the page and returns how to talk to it from outside. */
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { type MountOptions, connect } from "./runs/connection";
import "@xyflow/react/dist/base.css";
import "./styles/main.css";

export interface Handle {
  /** Show another document (its text), as when Python sets the component's value. */
  setValue(text: string): void;
  unmount(): void;
}

/** The canvas of the page: its parts share one graph, so there is room for one. */
let mounted: { element: HTMLElement; handle: Handle } | null = null;

export function mount(element: HTMLElement, options: MountOptions): Handle {
  if (mounted?.element.isConnected && mounted.element !== element) return refused(element);
  // The page has taken the element of the one before away.
  mounted?.handle.unmount();
  const connection = connect(options);
  const root = createRoot(element);
  root.render(<App />);
  const handle: Handle = {
    setValue: connection.setValue,
    unmount() {
      if (mounted?.handle !== handle) return;
      mounted = null;
      connection.close();
      root.unmount();
    },
  };
  mounted = { element, handle };
  return handle;
}

function refused(element: HTMLElement): Handle {
  const said = document.createElement("p");
  said.setAttribute("role", "alert");
  said.style.padding = "1rem";
  said.textContent = "There is another canvas on this page. A page can have one GraphCanvas: put the other one on a page of its own.";
  element.replaceChildren(said);
  return { setValue() {}, unmount() { said.remove(); } };
}
