/** The colour of a node's category. Those that ship with LoRAGraph are chosen; another's follows from its name. */

const CATEGORIES: Record<string, string> = {
  Model: "#4f7be0", Data: "#2f9e68", LoRA: "#d97a2b", Image: "#a259c4", Train: "#c64b5c", Training: "#c64b5c", Regions: "#1c9aaa", Video: "#8a6d3b",
  Text: "#7c8a2e",
};
const OTHERS = ["#5c7c9c", "#8d6bb8", "#b0683f", "#3f8f86", "#b4548a", "#6f8a3a"];

export function categoryColour(category: string): string {
  let hash = 0;
  for (const letter of category) hash = (hash * 31 + letter.codePointAt(0)!) % 9973;
  return CATEGORIES[category] ?? OTHERS[hash % OTHERS.length]!;
}
