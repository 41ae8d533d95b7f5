/**
 * How well something answers what was typed. Every word must be found somewhere; where and how it is found decides.
 *
 *     score("load lo", { name: "LoadLoRA", others: ["LoRA"], text: "A LoRA from a file." })   // a large number
 *     search(Object.values(catalog.nodes), "ll")                                            // LoadLoRA first
 */
import type { NodeType } from "../types";

/** `others` are names that count less (a category, a type), `text` is searched for whole words' beginnings. */
export interface Searched { name: string; others: string[]; text: string }

/** 0: does not answer. An empty query is answered by everything alike. */
export function score(query: string, { name, others, text }: Searched): number {
  const words = query.toLowerCase().split(/[\s_.]+/).filter(Boolean);
  let sum = 1;
  for (const word of words) {
    const best = Math.max(inName(word, name), ...others.map((other) => inName(word, other) * 0.4), inText(word, text));
    if (best === 0) return 0;
    sum += best;
  }
  // Of two that answer alike, the shorter name is nearer to what was typed.
  return words.length ? sum - Math.min(name.length, 99) / 1000 : 1;
}

/** The node types that answer `query`, best first; all, by category and name, for an empty one. */
export function search(types: NodeType[], query: string): NodeType[] {
  const ranked = types.map((type) => ({ type, rank: score(query, { name: type.type, others: [type.category], text: type.doc }) }));
  return ranked
    .filter(({ rank }) => rank > 0)
    .sort((a, b) => b.rank - a.rank || a.type.category.localeCompare(b.type.category) || a.type.type.localeCompare(b.type.type))
    .map(({ type }) => type);
}

/** "LoadLoRA" is read as "load" and "lora", "ApplyLoRA2" as "apply", "lora2". */
export function wordsOf(name: string): string[] {
  return name.replaceAll("LoRA", "Lora").split(/(?<=[\p{Ll}\p{N}])(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})|[\s_.-]+/u).filter(Boolean).map((word) => word.toLowerCase());
}

function inName(word: string, name: string): number {
  const whole = name.toLowerCase();
  const parts = wordsOf(name);
  if (whole === word) return 100;
  if (whole.startsWith(word)) return 80;
  if (parts.some((part) => part.startsWith(word))) return 60;
  if (parts.map((part) => part[0]).join("").startsWith(word)) return 50;
  if (whole.includes(word)) return 40;
  return word.length > 1 && scattered(word, whole) ? 15 : 0;
}

/** Whether the letters come in this order, the first of them at the beginning of the name. */
function scattered(word: string, name: string): boolean {
  if (word[0] !== name[0]) return false;
  let at = 0;
  for (const letter of word) {
    at = name.indexOf(letter, at) + 1;
    if (at === 0) return false;
  }
  return true;
}

function inText(word: string, text: string): number {
  if (word.length < 2) return 0;
  const at = text.toLowerCase().indexOf(word);
  if (at < 0) return 0;
  return at === 0 || /[^\p{L}\p{N}]/u.test(text[at - 1]!) ? 10 : 3;
}
