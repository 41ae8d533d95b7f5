/**
 * The workflow that a PNG carries: SaveImages writes it into a text chunk named "loragraph".
 *
 *     const text = await workflowIn(file);      // null: no PNG, or none of ours
 *
 * Only the chunks' headers are read, so a large picture costs nothing. PNG: https://www.w3.org/TR/png-3/ (11.3.3, text).
 */
import { LARGEST } from "./limits";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const KEYWORD = "loragraph";

export async function workflowIn(file: Blob): Promise<string | null> {
  const head = await bytes(file, 0, 8);
  if (head.length < 8 || SIGNATURE.some((byte, index) => head[index] !== byte)) return null;
  for (let at = 8; at + 12 <= file.size;) {
    const view = new DataView((await bytes(file, at, at + 8)).buffer);
    const length = view.getUint32(0);
    const type = String.fromCharCode(...new Uint8Array(view.buffer, 4, 4));
    if (type === "IEND") return null;
    if (/^(iTXt|tEXt|zTXt)$/.test(type) && length <= LARGEST && at + 8 + length <= file.size) {
      const text = await textOf(type, await bytes(file, at + 8, at + 8 + length));
      if (text !== null) return text;
    }
    at += 12 + length;
  }
  return null;
}

/** The text of a chunk of this type, if its keyword is ours. */
async function textOf(type: string, chunk: Uint8Array<ArrayBuffer>): Promise<string | null> {
  const end = chunk.indexOf(0);
  if (end < 0 || latin1(chunk.subarray(0, end)) !== KEYWORD) return null;
  if (type === "tEXt") return latin1(chunk.subarray(end + 1));
  if (type === "zTXt") return latin1(await inflated(chunk.subarray(end + 2)));
  // iTXt: keyword 0, compressed?, method, language 0, translated keyword 0, text in UTF-8
  const language = chunk.indexOf(0, end + 3);
  const translated = language < 0 ? -1 : chunk.indexOf(0, language + 1);
  if (translated < 0) return null;
  const held = chunk.subarray(translated + 1);
  return new TextDecoder().decode(chunk[end + 1] === 1 ? await inflated(held) : held);
}

/** Unpack zlib data; an error where it is broken or grows beyond LARGEST. */
async function inflated(packed: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > LARGEST) {
      await reader.cancel();
      throw new Error("The workflow in this picture is larger than 20 MB: run it with the command line.");
    }
    parts.push(value);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function bytes(file: Blob, from: number, to: number): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await file.slice(from, to).arrayBuffer());
}

function latin1(part: Uint8Array): string {
  return new TextDecoder("latin1").decode(part);
}
