/** The newest preview of a node at work. */
import { useEffect, useRef, useState } from "react";
import { fileUrl } from "../server";

/** The server keeps only the newest few: one that is already followed by another is not asked for. In milliseconds. */
const PAUSE = 120;

interface PreviewProps { path: string; width: number; height: number; onRatio?: (ratio: number) => void }

export function Preview({ path, width, height, onRatio }: PreviewProps) {
  // The one before stays until the next has been loaded.
  const [shown, setShown] = useState("");
  // Pictures may arrive in another order than they were asked for: an older one is not wanted any more.
  const asked = useRef(0);
  const newest = useRef(0);
  useEffect(() => {
    const number = ++asked.current;
    const timer = setTimeout(() => {
      const image = new Image();
      image.addEventListener("load", (event) => {
        if (number < newest.current) return;
        newest.current = number;
        const { src, naturalWidth, naturalHeight } = event.currentTarget as HTMLImageElement;
        onRatio?.(naturalWidth / (naturalHeight || 1));
        setShown(src);
      });
      image.src = fileUrl(path);
    }, PAUSE);
    return () => clearTimeout(timer);
  }, [path, onRatio]);
  if (!shown) return <span className="lg-preview" style={{ width, height }} />;
  return <img className="lg-preview" data-testid="preview" src={shown} alt="The newest preview" style={{ width, height }} draggable={false} />;
}
