/** A file from this computer becomes an input file that stays on the server; returns its path there. */
import { server } from "../server";

export async function send(file: File): Promise<string> {
  const temporary = await server().upload(file);
  const { path } = await server().call<{ path: string }>("keep", { path: temporary, name: file.name });
  return path;
}
