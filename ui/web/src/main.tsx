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

export function mount(element: HTMLElement, options: MountOptions): Handle {
  const connection = connect(options);
  const root = createRoot(element);
  root.render(<App />);
  return {
    setValue: connection.setValue,
    unmount() {
      connection.close();
      root.unmount();
    },
  };
}
