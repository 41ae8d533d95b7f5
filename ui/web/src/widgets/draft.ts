/**
 * Text while it is being typed. What is typed reaches the graph at every key, but the field goes on showing the text itself
 * ("1." or half a list), as long as the value is one that the text gave: undo, or another page, shows through at once.
 * The value comes back to the field a moment later than the text (through the canvas), so until it has arrived the value
 * before counts too: showing that for a moment would move the caret to the end.
 * A text that gives no value is remembered when the node leaves the screen, and is there again when it is back.
 */
import { useState } from "react";
import { useGraph } from "../state/graph";
import type { Catalog, Graph, GraphNode, Json } from "../types";

interface Draft {
  text: string;
  value: string;
  /** Values that may still arrive before `value` does. */
  before: string[];
  /** The document that it was typed into: another one may have a node of the same name. */
  loads: number;
}

/** Texts that give no value, by node and setting. */
const left = new Map<string, Draft>();

/** The settings that show a text which gives no value, such as half a list: what is seen there is not what the graph has. */
export function unfinished({ nodes }: Graph, catalog: Catalog, loads: number): { node: string; field: string }[] {
  return [...left].flatMap(([key, draft]) => {
    const [node, field] = key.split("\n") as [string, string];
    const known = catalog.nodes[nodes[node]?.type ?? ""]?.fields.find(({ name }) => name === field);
    if (!known || draft.loads !== loads) return [];
    return JSON.stringify(nodes[node]!.settings[field] ?? known.default) === draft.value ? [{ node, field }] : [];
  });
}

export interface Typing {
  text: string;
  /** The field shows `text`, and the graph now has `value`. `keep` where the value doesn't say all that was typed. */
  typed(text: string, value: Json, keep?: boolean): void;
  /** Show the value as it is written again. */
  settled(): void;
}

export function useTyping(node: GraphNode, name: string, value: Json, written: string): Typing {
  const key = `${node.id}\n${name}`;
  const now = JSON.stringify(value);
  const [draft, setDraft] = useState<Draft | null>(() => left.get(key) ?? null);
  const loads = useGraph((state) => state.loads);
  const live = draft?.loads === loads && (draft.value === now || draft.before.includes(now)) ? draft : null;
  // It has arrived: from here on the values before are what an undo brings back.
  if (draft?.value === now && draft.before.length > 0) setDraft({ ...draft, before: [] });
  return {
    text: live?.text ?? written,
    typed(text, next, keep = false) {
      const typing = { text, value: JSON.stringify(next), before: live ? [...live.before, live.value, now] : [now], loads };
      setDraft(typing);
      if (keep) left.set(key, typing);
      else left.delete(key);
    },
    settled() {
      setDraft(null);
      left.delete(key);
    },
  };
}
