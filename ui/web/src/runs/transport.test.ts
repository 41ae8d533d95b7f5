import { describe, expect, it, vi } from "vitest";
import { Lost, Refused } from "../server";
import { fileAddress, makeServer } from "./transport";

const options = (call: (method: string, data: Record<string, unknown>) => Promise<unknown>) => ({
  value: "", root: "http://host/sub", apiPrefix: "/gradio_api", call, upload: async () => ({ path: "/tmp/up.png" }), onChange: () => {},
});

it("a file's address keeps the signs that belong to its name", () => {
  expect(fileAddress("http://host/sub", "/gradio_api", "/out/a #1? 50%/ä.png")).toBe("http://host/sub/gradio_api/file=/out/a%20%231%3F%2050%25/%C3%A4.png");
});

describe("asking the server", () => {
  it("returns the answer", async () => {
    const server = makeServer(options(async (method, data) => ({ ok: true, method, data })), vi.fn<() => void>(), vi.fn<() => void>());
    expect(await server.call("queue", { known: 3 })).toMatchObject({ method: "queue", data: { known: 3 } });
  });

  it("throws what was refused, with the problems", async () => {
    const problems = [{ node: "a", field: "seed", message: "no", hint: "" }];
    const server = makeServer(options(async () => ({ ok: false, message: "wrong", problems, conflict: true })), vi.fn<() => void>(), vi.fn<() => void>());
    const error = await server.call("submit").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Refused);
    expect(error).toMatchObject({ message: "wrong", problems, data: { conflict: true } });
  });

  it.each([
    ["no answer, as Gradio gives it", async () => undefined],
    ["an error", async () => { throw new TypeError("Failed to fetch"); }],
  ])("takes %s for a lost server, and says so", async (_, call) => {
    const lost = vi.fn<() => void>();
    await expect(makeServer(options(call), lost, vi.fn<() => void>()).call("queue")).rejects.toBeInstanceOf(Lost);
    expect(lost).toHaveBeenCalledTimes(1);
  });
});
