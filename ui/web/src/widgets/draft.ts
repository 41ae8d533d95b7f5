/**
 * Text while it is being typed. What is typed reaches the graph at every key, but the field goes on showing the text itself
 * ("1." or half a list), as long as the value is one that the text gave: undo, or another page, shows through at once.
 * The value comes back to the field a moment later than the text (through the canvas), so until it has arrived the value
 * before counts too: showing that for a moment would move the caret to the end.
 * A text that gives no value is remembered when the node leaves the screen, and is there again when it is back.
 */
import { useState } from "react";
import type { GraphNode, Json } from "../types";

interface Draft { text: string; value: string; /** Values that may still arrive before `value` does. */ before: string[] }

const left = new Map<string, Draft>();

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
  const live = draft && (draft.value === now || draft.before.includes(now)) ? draft : null;
  // It has arrived: from here on the values before are what an undo brings back.
  if (draft?.value === now && draft.before.length > 0) setDraft({ ...draft, before: [] });
  return {
    text: live?.text ?? written,
    typed(text, next, keep = false) {
      const typing = { text, value: JSON.stringify(next), before: live ? [...live.before, live.value, now] : [now] };
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
