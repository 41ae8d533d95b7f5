/** How the cells of a table are written: a column of numbers with the same digits after the point, so that they compare. Pure. */
import type { Cell } from "../types";

export interface Column { name: string; numeric: boolean; texts: string[] }

/** The columns of a table, their cells as text; "" where there is nothing to say. */
export function columnsOf(names: string[], rows: Cell[][]): Column[] {
  return names.map((name, at) => {
    const cells = rows.map((row) => row[at] ?? null);
    const numbers = cells.filter((cell) => typeof cell === "number");
    const numeric = numbers.length > 0 && cells.every((cell) => cell === null || typeof cell === "number");
    const digits = numeric ? digitsOf(numbers) : 0;
    return { name, numeric, texts: cells.map((cell) => (cell === null ? "" : typeof cell === "number" ? written(cell, digits) : cell)) };
  });
}

/** Digits after the point: three that count in the middle one; none where all are whole; -1 for powers of ten. */
export function digitsOf(numbers: number[]): number {
  if (numbers.every(Number.isInteger)) return 0;
  const sizes = numbers.map(Math.abs).filter((size) => size > 0).sort((one, other) => one - other);
  const [middle, largest] = [sizes[Math.floor(sizes.length / 2)]!, sizes.at(-1)!];
  if (largest >= 1e6 || largest < 1e-4) return -1;
  return Math.max(0, Math.min(2 - Math.floor(Math.log10(middle)), 5 - Math.floor(Math.log10(largest)), 6));
}

function written(number: number, digits: number): string {
  if (number === 0) return "0";
  // What is too small for the digits of its column says how small it is.
  if (digits < 0 || Number(number.toFixed(digits)) === 0) return number.toExponential(1);
  return number.toFixed(digits);
}

function plain(cell: Cell): string {
  return cell === null ? "" : String(cell).replace(/[\t\r\n]+/g, " ");
}

/** The table as lines of cells with tabs between them, which spreadsheets take; numbers in full. */
export function tabbed(names: string[], rows: Cell[][]): string {
  return [names, ...rows].map((row) => row.map(plain).join("\t")).join("\n");
}
