import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Lost, Refused, type Server, setServer } from "../server";
import { EMPTY, useGraph } from "../state/graph";
import { useShell } from "../state/shell";
import type { Question } from "../shell/question";
import { mayLeave, openDocument, openFile, save, saveAs } from "./documents";

type Answer = (data: Record<string, unknown>) => unknown;

const asked: [string, Record<string, unknown>][] = [];
let answers: Record<string, Answer> = {};

const fake = {
  call: async (method: string, data: Record<string, unknown> = {}) => {
    asked.push([method, data]);
    return answers[method]!(data);
  },
} as unknown as Server;

const rename = (title: string): void => useGraph.getState().edit("rename", (graph) => ({ ...graph, title }));
const dialog = () => useShell.getState().dialog;
const answer = (value: string | null): void => (dialog()!.data as Question).settle(value);
const unsaved = (): boolean => useGraph.getState().graph !== useGraph.getState().saved;

beforeEach(() => {
  setServer(fake);
  asked.length = 0;
  answers = { save: () => ({ path: "/w/a.json", name: "a", revision: "2" }) };
  useGraph.getState().load(EMPTY);
  useShell.setState({ file: { name: "a", path: "/w/a.json", revision: "1" }, dialog: null, notices: [] });
});
afterEach(() => useShell.setState({ dialog: null, notices: [] }));

describe("save", () => {
  it("sends what was opened, so that the server can tell a conflict", async () => {
    rename("mine");
    expect(await save()).toBe(true);
    expect(asked[0]).toMatchObject(["save", { path: "/w/a.json", revision: "1", overwrite: false }]);
    expect(useShell.getState().file.revision).toBe("2");
    expect(unsaved()).toBe(false);
  });
  it("leaves unsaved what was edited while the answer was on its way", async () => {
    rename("mine");
    answers.save = () => {
      rename("later");
      return { path: "/w/a.json", name: "a", revision: "2" };
    };
    await save();
    expect(unsaved()).toBe(true);
  });
  it("sends the second of two with the revision that the first one got", async () => {
    let revision = 1;
    answers.save = () => ({ path: "/w/a.json", name: "a", revision: String(++revision) });
    rename("mine");
    const first = save();
    rename("mine, and more");
    expect(await Promise.all([first, save()])).toEqual([true, true]);
    expect(asked.map(([, data]) => data.revision)).toEqual(["1", "2"]);
    expect(unsaved()).toBe(false);
  });
  it("gives another document that was opened meanwhile neither its place nor its mark", async () => {
    rename("mine");
    answers.save = () => {
      useGraph.getState().load(EMPTY, true);
      useGraph.getState().edit("rename", (graph) => ({ ...graph, title: "another" }));
      useShell.setState({ file: { name: "b", path: "/w/b.json", revision: "7" } });
      return { path: "/w/a.json", name: "a", revision: "2" };
    };
    await save();
    expect(useShell.getState().file.path).toBe("/w/b.json");
    expect(unsaved()).toBe(true);
  });
  it("asks whose version stays where somebody else saved, and is not done before", async () => {
    rename("mine");
    answers.save = () => { throw new Refused("changed", [], { conflict: true, theirs: { text: "{}", revision: "9" } }); };
    const done = save();
    await expect.poll(() => dialog()?.name).toBe("conflict");
    const { settle, theirs } = dialog()!.data as { settle: (saved: boolean) => void; theirs: { revision: string } };
    expect(theirs.revision).toBe("9");
    settle(false);
    expect(await done).toBe(false);
    expect(unsaved()).toBe(true);
  });
  it("keeps the work and says so where the server is lost", async () => {
    rename("mine");
    answers.save = () => { throw new Lost("gone"); };
    expect(await save()).toBe(false);
    expect(useShell.getState().notices[0]).toMatchObject({ kind: "error", action: { label: "Download" } });
  });
  it("asks for a name where the document has no file", () => {
    useShell.setState({ file: { name: "workflow", path: null, revision: null } });
    void save();
    expect(dialog()?.name).toBe("save-as");
  });
  it("forgets the old revision under a new name", async () => {
    await saveAs("b", false);
    expect(asked[0]).toMatchObject(["save", { name: "b", revision: null, overwrite: false }]);
  });
});

describe("leaving", () => {
  it("asks nothing while nothing is unsaved", async () => expect(await mayLeave()).toBe(true));
  it("saves, gives up or stays, as the user says", async () => {
    rename("mine");
    const stay = mayLeave();
    answer(null);
    expect(await stay).toBe(false);
    const discard = mayLeave();
    answer("discard");
    expect(await discard).toBe(true);
    expect(unsaved()).toBe(true);
    const keep = mayLeave();
    answer("save");
    expect(await keep).toBe(true);
    expect(unsaved()).toBe(false);
  });
  it("does not open another document before that", async () => {
    rename("mine");
    const opening = openDocument({ path: "/w/b.json" });
    answer(null);
    expect(await opening).toBe(false);
    expect(asked).toEqual([]);
  });
});

describe("opening", () => {
  const opened = { document: { format: "loragraph/1", title: "B", nodes: {} }, problems: [], missing: {}, upgraded: {}, name: "b", path: "/w/b.json", revision: "7" };

  it("shows the document, with nothing unsaved", async () => {
    answers.open = () => opened;
    expect(await openDocument({ path: "/w/b.json" })).toBe(true);
    expect(useGraph.getState().graph.title).toBe("B");
    expect(useShell.getState().file).toEqual({ name: "b", path: "/w/b.json", revision: "7" });
    expect(unsaved()).toBe(false);
  });
  it("asks again where something was edited while the answer was on its way", async () => {
    answers.open = () => {
      rename("new work");
      return opened;
    };
    const opening = openDocument({ path: "/w/b.json" });
    await expect.poll(() => dialog()?.name).toBe("ask");
    answer(null);
    expect(await opening).toBe(false);
    expect(useGraph.getState().graph.title).toBe("new work");
  });
  it("shows what was asked for last, whichever answer comes first", async () => {
    let tell!: (answer: unknown) => void;
    const slow = new Promise((resolve) => { tell = resolve; });
    answers.open = ({ path }) => (path === "/w/slow.json" ? slow : opened);
    const first = openDocument({ path: "/w/slow.json" });
    await Promise.resolve();
    expect(await openDocument({ path: "/w/b.json" })).toBe(true);
    tell({ ...opened, name: "slow" });
    expect(await first).toBe(false);
    expect(useShell.getState().file.name).toBe("b");
  });
  it("refuses names that a record of nodes has by nature", async () => {
    for (const nodes of ['{"__proto__": {"type": "A", "version": 1}}', '{"a": {"type": "A", "version": 1, "inputs": {"x": "constructor.y"}}}']) {
      answers.open = () => ({ ...opened, document: { format: "loragraph/1", nodes: JSON.parse(nodes) as object } });
      expect(await openDocument({ path: "/w/b.json" })).toBe(false);
      expect((dialog()!.data as { message: string }).message).toMatch(/No node can be called "(__proto__|constructor)"/);
    }
  });
  it("says which nodes are not installed", async () => {
    answers.open = () => ({ ...opened, missing: { upscale: 'Package "upscalers" has it.' } });
    await openDocument({ path: "/w/b.json" });
    expect(dialog()?.name).toBe("missing");
  });
  it("refuses what is no workflow, and leaves what is shown", async () => {
    answers.open = () => { throw new Refused("This is no workflow."); };
    expect(await openDocument({ text: "[]", name: "list" })).toBe(false);
    expect(dialog()).toMatchObject({ name: "unreadable", data: { name: "list", message: "This is no workflow." } });
    expect(useShell.getState().file.name).toBe("a");
  });
  it("refuses what could not be shown whole: saving would lose the rest", async () => {
    for (const [node, field] of [[null, "nodes"], ["train", "type"]] as const) {
      answers.open = () => ({ ...opened, problems: [{ node, field, message: "This is no node.", hint: "" }] });
      expect(await openDocument({ path: "/w/b.json" })).toBe(false);
      expect(dialog()).toMatchObject({ name: "unreadable", data: { problems: [{ message: "This is no node." }] } });
    }
    expect(useShell.getState().file.name).toBe("a");
  });
  it("refuses a file beyond 20 MB before it is read", async () => {
    const file = { name: "big.json", type: "application/json", size: 50 * 2 ** 20 } as File;
    expect(await openFile(file)).toBe(false);
    expect((dialog()!.data as { message: string }).message).toMatch(/50 MB.*command line/);
    expect(asked).toEqual([]);
  });
});
