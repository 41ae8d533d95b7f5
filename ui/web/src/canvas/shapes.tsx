/** The marks of sockets: one shape for each kind of value, so that colour never says it alone. On a field of 14 × 14. */
import type { Shape } from "../types";

const PATHS: Record<Shape, string> = {
  circle: "M7 1.8a5.2 5.2 0 1 0 0 10.4A5.2 5.2 0 0 0 7 1.8z",
  square: "M2.4 2.4h9.2v9.2H2.4z",
  diamond: "M7 .9L13.1 7 7 13.1.9 7z",
  triangle: "M2.2 1.6L12.6 7 2.2 12.4z",
  hexagon: "M4 1.6h6L13 7l-3 5.4H4L1 7z",
  pentagon: "M7 1l6 4.5-2.3 7H3.3L1 5.5z",
  star: "M7 .8l1.8 4 4.4.4-3.3 2.9 1 4.3L7 10.1l-3.9 2.3 1-4.3L.8 5.2l4.4-.4z",
  cross: "M5 1.4h4V5h3.6v4H9v3.6H5V9H1.4V5H5z",
};

export interface MarkProps { shape: Shape; colour: string; hollow?: boolean; many?: boolean }

/** `hollow`: may stay empty. `many`: takes several wires, drawn as two marks in one. */
export function Mark({ shape, colour, hollow = false, many = false }: MarkProps) {
  const drawn = { d: PATHS[shape], fill: hollow ? "var(--raised)" : colour, stroke: hollow ? colour : "var(--raised)", strokeWidth: hollow ? 1.8 : 1 };
  return (
    <svg className="lg-shape" width={many ? 22 : 14} height={14} viewBox={many ? "-8 0 22 14" : "0 0 14 14"} aria-hidden="true">
      {many && <path {...drawn} transform="translate(-7 0)" />}
      <path {...drawn} />
    </svg>
  );
}
