/** Where the stage is looking: how large the picture is drawn, and where. Until it is moved, the whole picture fits. */
import { type RefObject, useLayoutEffect, useState } from "react";
import type { Point } from "../types";
import type { Frame } from "./draw";

export interface StageView {
  frame: Frame;
  /** Pixels of the screen for one of the picture. */
  scale: number;
  move(by: Point): void;
  /** Zoom about a place of the stage, in its pixels; about its middle where none is given. */
  zoom(factor: number, about?: Point): void;
  /** One finger rests at `still`, the other goes from `from` to `to`. */
  pinch(still: Point, from: Point, to: Point): void;
  fit(): void;
}

interface Moved { scale: number; x: number; y: number }

const MARGIN = 24;
const SMALLEST = 16;
const LARGEST = 40;

export function useStageView(canvas: RefObject<HTMLCanvasElement | null>, [width, height]: Point): StageView {
  const [room, setRoom] = useState<Point>([600, 400]);
  const [moved, setMoved] = useState<Moved | null>(null);

  useLayoutEffect(() => {
    const element = canvas.current!;
    const place = element.parentElement!;
    const measure = () => {
      const fine = devicePixelRatio || 1;
      const { clientWidth, clientHeight } = place;
      Object.assign(element, { width: Math.round(clientWidth * fine), height: Math.round(clientHeight * fine) });
      setRoom([clientWidth, clientHeight]);
    };
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(place);
    return () => watch.disconnect();
  }, [canvas]);

  const fitted = Math.max(0.01, Math.min((room[0] - 2 * MARGIN) / width, (room[1] - 2 * MARGIN) / height));
  const now: Moved = moved ?? { scale: fitted, x: (room[0] - width * fitted) / 2, y: (room[1] - height * fitted) / 2 };
  const least = Math.min(fitted, SMALLEST / Math.max(width, height));
  const most = Math.max(LARGEST, fitted * 4);
  const about = (from: Moved, factor: number, [x, y]: Point): Moved => {
    const scale = Math.max(least, Math.min(most, from.scale * factor));
    const real = scale / from.scale;
    return { scale, x: x - (x - from.x) * real, y: y - (y - from.y) * real };
  };
  return {
    frame: { x: now.x, y: now.y, width: width * now.scale, height: height * now.scale },
    scale: now.scale,
    move: ([x, y]) => setMoved((before) => ({ scale: (before ?? now).scale, x: (before ?? now).x + x, y: (before ?? now).y + y })),
    zoom: (factor, place = [room[0] / 2, room[1] / 2]) => setMoved((before) => about(before ?? now, factor, place)),
    pinch: (still, from, to) => {
      const spread = (place: Point) => Math.max(8, Math.hypot(place[0] - still[0], place[1] - still[1]));
      const by: Point = [(to[0] - from[0]) / 2, (to[1] - from[1]) / 2];
      const middle: Point = [(still[0] + to[0]) / 2, (still[1] + to[1]) / 2];
      setMoved((before) => {
        const shifted = { ...(before ?? now), x: (before ?? now).x + by[0], y: (before ?? now).y + by[1] };
        return about(shifted, spread(to) / spread(from), middle);
      });
    },
    fit: () => setMoved(null),
  };
}
