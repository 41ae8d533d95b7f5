/** The newest preview of a node at work. */
import { useEffect, useState } from "react";
import { fileUrl } from "../server";

/** The server keeps only the newest few: one that is already followed by another is not asked for. In milliseconds. */
const PAUSE = 120;

interface PreviewProps { path: string; width: number; height: number; onRatio?: (ratio: number) => void }

export function Preview({ path, width, height, onRatio }: PreviewProps) {
  // The one before stays until the next has been loaded.
  const [shown, setShown] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => {
      const image = new Image();
      image.addEventListener("load", (event) => {
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
