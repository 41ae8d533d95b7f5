/**
 * A part of the page whose code is loaded when it is first shown. Where that fails (the server is away) it says so and can
 * be asked for again; React's own `lazy` would take the page down with it, and never ask again.
 *
 *     const Gallery = late(() => import("./Gallery"));
 */
import { type ComponentType, useEffect, useState } from "react";

type Load<P> = () => Promise<{ default: ComponentType<P> }>;

/** `wait` is what is shown meanwhile; null: nothing. */
export function late<P extends object>(load: Load<P>, wait: string | null = "One moment…"): ComponentType<P> {
  let loaded: ComponentType<P> | null = null;
  return function Late(props: P) {
    const [state, setState] = useState<"asking" | "there" | "failed">(loaded ? "there" : "asking");
    useEffect(() => {
      if (state !== "asking") return;
      let wanted = true;
      load().then(
        (part) => {
          loaded = part.default;
          if (wanted) setState("there");
        },
        () => { if (wanted) setState("failed"); },
      );
      return () => { wanted = false; };
    }, [state]);
    if (loaded) {
      const Part = loaded;
      return <Part {...props} />;
    }
    if (state === "failed") {
      return (
        <div className="lg-late" role="alert">
          <p>This part could not be loaded.</p>
          <button type="button" className="lg-button small" onClick={() => setState("asking")}>Try again</button>
        </div>
      );
    }
    return wait === null ? null : <p className="lg-late">{wait}</p>;
  };
}
