/** A title that becomes a text field: on a double click, or when its node or group is being renamed. */
import { useEffect, useRef, useState } from "react";
import { useCanvas } from "./state";

interface TitleProps {
  id: string;
  text: string;
  label: string;
  className: string;
  /** Why the title can't be this; null where it can. */
  trouble?: (text: string) => string | null;
  rename: (text: string) => void;
}

export function Title({ id, text, label, className, trouble, rename }: TitleProps) {
  const renaming = useCanvas((state) => state.renaming === id);
  const begin = () => useCanvas.setState({ renaming: id });
  if (!renaming) return <span className={className} title={text} onDoubleClick={begin}>{text}</span>;
  return <Field label={label} className={className} text={text} trouble={trouble} rename={rename} />;
}

function Field({ text, label, className, trouble, rename }: Omit<TitleProps, "id">) {
  const [value, setValue] = useState(text);
  const own = useRef<HTMLInputElement>(null);
  const over = useRef(false);
  useEffect(() => {
    own.current?.focus({ preventScroll: true });
    own.current?.select();
  }, []);
  const wrong = value.trim() === text ? null : (trouble?.(value.trim()) ?? null);
  const end = (keep: boolean) => {
    if (over.current) return;
    over.current = true;
    useCanvas.setState({ renaming: null });
    if (keep && !wrong && value.trim() !== text) rename(value.trim());
    // The keyboard stays on what was renamed.
    own.current?.closest<HTMLElement>(".react-flow__node")?.focus({ preventScroll: true });
  };
  return (
    <span className={`${className} editing`}>
      <input
        ref={own} className="lg-title-input nodrag nopan nowheel" aria-label={label} aria-invalid={wrong !== null} value={value} spellCheck={false}
        onChange={(event) => setValue(event.target.value)} onBlur={() => end(true)}
        onKeyDown={(event) => {
          if (event.key === "Escape") end(false);
          else if (event.key === "Enter" && !wrong) end(true);
          else if (event.ctrlKey || event.metaKey) return;
          event.stopPropagation();
        }}
      />
      {wrong && <span className="lg-title-wrong" role="alert">{wrong}</span>}
    </span>
  );
}
