/** Numbers as they are typed, stepped and shown. No page in here. */
import type { Field } from "../types";

type Limits = Pick<Field, "whole" | "minimum" | "maximum" | "step">;

/** The number that a text says ("0,5" and ".5" too), or null where it says none. */
export function parseNumber(text: string): number | null {
  const plain = text.trim().replace(",", ".");
  if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(plain)) return null;
  const number = Number(plain);
  return Number.isFinite(number) ? number : null;
}

/** What is wrong with a number for its field, in a few words; "" where nothing is. */
export function complaint(number: number, { whole, minimum, maximum }: Limits): string {
  if (whole && !Number.isInteger(number)) return "a whole number is needed";
  if (minimum !== null && number < minimum) return `at least ${shown(minimum)}`;
  if (maximum !== null && number > maximum) return `at most ${shown(maximum)}`;
  return "";
}

/** How far one arrow key moves: the field's step, 1 for whole numbers, else about a tenth of the number's own size. */
export function stepOf(value: number, { whole, minimum, maximum, step }: Limits): number {
  if (step !== null && step > 0) return step;
  if (whole) return 1;
  if (value !== 0) return 10 ** Math.floor(Math.log10(Math.abs(value)) - 1 + 1e-9);
  const range = minimum !== null && maximum !== null ? maximum - minimum : 0;
  return range > 0 ? Math.min(0.1, 10 ** Math.floor(Math.log10(range) - 2 + 1e-9)) : 0.1;
}

/** The value `count` steps of `step` further, within the limits, without the dust of binary fractions. */
export function nudge(value: number, count: number, step: number, { whole, minimum, maximum }: Limits): number {
  let next = value + count * step;
  if (minimum !== null) next = Math.max(minimum, next);
  if (maximum !== null) next = Math.min(maximum, next);
  return whole ? Math.round(next) : Number(next.toFixed(decimals(step, value)));
}

/** The step of a slider: one that gives at least a hundred places where the field says none. */
export function sliderStep({ whole, minimum, maximum, step }: Limits): number {
  if (step !== null && step > 0) return step;
  if (whole) return 1;
  return 10 ** Math.floor(Math.log10(((maximum ?? 1) - (minimum ?? 0)) / 100) + 1e-9);
}

/** The number as it is written: short, and exact. */
export function shown(number: number): string {
  return String(number);
}

function decimals(...numbers: number[]): number {
  const counts = numbers.map((number) => {
    const [mantissa = "", exponent = "0"] = String(Math.abs(number)).split("e");
    return (mantissa.split(".")[1]?.length ?? 0) - Number(exponent);
  });
  return Math.min(20, Math.max(0, ...counts));
}
