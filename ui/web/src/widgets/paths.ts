/** Words about files: their names, sizes and dates. No page in here. */

export type PathKind = "file" | "folder" | "model" | "lora";
export const NOUNS: Record<PathKind, string> = { file: "file", folder: "folder", model: "model", lora: "LoRA" };

const PICTURE = /\.(png|jpe?g|webp|bmp|gif|avif)$/i;

export function isPicture(path: string): boolean {
  return PICTURE.test(path);
}

export function baseName(path: string): string {
  return path.split(/[\\/]/).findLast((part) => part !== "") ?? path;
}

/** Where a browser can ask for the file itself: "embedded:..." and paths beside the document are the server's affair. */
export function isAbsolute(path: string): boolean {
  return /^(\/|[A-Za-z]:[\\/]|\\\\)/.test(path);
}

const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

/** "12 kB", "4.1 GB": decimal units, two digits or three. */
export function size(bytes: number): string {
  let unit = 0;
  let amount = bytes;
  while (amount >= 1000 && unit < UNITS.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return `${unit === 0 || amount >= 10 ? Math.round(amount) : amount.toFixed(1)} ${UNITS[unit]}`;
}

/** Seconds since 1970 as a short date: "14:05" for today, "3 Mar" for this year, else "3 Mar 2024". */
export function date(seconds: number, now = new Date()): string {
  const then = new Date(seconds * 1000);
  if (then.toDateString() === now.toDateString()) return then.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const year = then.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return then.toLocaleDateString("en-GB", { day: "numeric", month: "short", year });
}
