import { describe, expect, it } from "vitest";
import { LARGEST } from "./limits";
import { workflowIn } from "./png";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function zlib(data: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([new Uint8Array(data)]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** A chunk with an empty checksum: nobody here looks at it. */
function chunk(type: string, ...parts: Uint8Array[]): Uint8Array[] {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, parts.reduce((sum, part) => sum + part.length, 0));
  return [length, bytes(type), ...parts, new Uint8Array(4)];
}

function png(...chunks: Uint8Array[][]): Blob {
  const all = [new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]), ...chunk("IHDR", new Uint8Array(13)), ...chunks.flat(), ...chunk("IEND")];
  return new Blob(all.map((part) => new Uint8Array(part)));
}

const plain = (key: string, text: string) => chunk("iTXt", bytes(`${key}\0\0\0en\0\0`), bytes(text));
const packed = async (key: string, text: Uint8Array) => chunk("iTXt", bytes(`${key}\0\x01\0\0\0`), await zlib(text));

const TEXT = '{"format": "loragraph/1", "title": "Füchse 🦊", "nodes": {}}';

describe("workflowIn", () => {
  it("reads plain iTXt as UTF-8", async () => expect(await workflowIn(png(plain("loragraph", TEXT)))).toBe(TEXT));
  it("reads compressed iTXt", async () => expect(await workflowIn(png(await packed("loragraph", bytes(TEXT))))).toBe(TEXT));
  it("reads tEXt and zTXt", async () => {
    expect(await workflowIn(png(chunk("tEXt", bytes("loragraph\0{}"))))).toBe("{}");
    expect(await workflowIn(png(chunk("zTXt", bytes("loragraph\0\0"), await zlib(bytes("{}")))))).toBe("{}");
  });
  it("passes over other chunks, also large ones", async () => {
    const other = [plain("prompt", "a fox"), await packed("settings", bytes("{}")), chunk("IDAT", new Uint8Array(100_000))];
    expect(await workflowIn(png(...other, await packed("loragraph", bytes(TEXT))))).toBe(TEXT);
  });
  it("finds nothing in a picture of others", async () => expect(await workflowIn(png(plain("workflow", TEXT)))).toBeNull());
  it("finds nothing in what is no PNG, is empty or ends early", async () => {
    expect(await workflowIn(new Blob([TEXT]))).toBeNull();
    expect(await workflowIn(new Blob([]))).toBeNull();
    expect(await workflowIn(png(plain("loragraph", TEXT)).slice(0, 60))).toBeNull();
  });
  it("does not loop over a chunk that says it is endless", async () => {
    const liar = chunk("IDAT", new Uint8Array(8));
    liar[0] = new Uint8Array([255, 255, 255, 255]);
    expect(await workflowIn(png(liar, plain("loragraph", TEXT)))).toBeNull();
  });
  it("refuses what unpacks to more than 20 MB", async () => {
    await expect(workflowIn(png(await packed("loragraph", new Uint8Array(LARGEST + 1))))).rejects.toThrow("larger than 20 MB");
  });
  it("rejects broken compression", async () => {
    await expect(workflowIn(png(chunk("iTXt", bytes("loragraph\0\x01\0\0\0"), bytes("not zlib"))))).rejects.toThrow();
  });
});
