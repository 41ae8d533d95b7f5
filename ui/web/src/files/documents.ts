/**
 * Opening and saving. Whatever opens another document asks first when something is unsaved.
 *
 *     await openDocument({ path });          // a file on the server; also {text, name} and {template}
 *     await save();                          // asks for a name where the document has none yet
 *
 * A document with mistakes opens all the same: its problems are shown on its nodes. What is no workflow at all is refused,
 * with a dialog that says why.
 */
import { fromDocument, toText } from "../graph/convert";
import { reservedNames } from "../graph/names";
import { Lost, Refused, server } from "../server";
import { question } from "../shell/question";
import { EMPTY, useGraph } from "../state/graph";
import { closeDialog, dismiss, notify, openDialog, useShell } from "../state/shell";
import type { Graph, Problem, WorkflowDocument } from "../types";
import { unsaved } from "./drafts";
import { LARGEST } from "./limits";

/** What a document is opened from: exactly one of `text` (with a name), `path` and `template`. */
export interface Source { text?: string; path?: string; template?: string; name?: string }

export interface Opened {
  document: WorkflowDocument;
  problems: Problem[];
  /** Nodes whose types are not installed: node id to a hint on which package has them. */
  missing: Record<string, string>;
  upgraded: Record<string, number>;
  name: string;
  path: string | null;
  revision: string | null;
}

export interface Theirs { text: string; revision: string }

/** The notices about the document that is shown: another one's are not wanted any more. */
const said: number[] = [];

function dismissAll(notices: number[]): void {
  for (const id of notices.splice(0)) dismiss(id);
}

/** Save or give up what is unsaved; false where the user would rather stay. */
export async function mayLeave(): Promise<boolean> {
  if (!unsaved()) return true;
  const { graph } = useGraph.getState();
  const name = graph.title || useShell.getState().file.name;
  const answer = await question("Save your changes?", `"${name}" has changes that are not saved. They are lost if you don't save them.`, [
    { value: "discard", label: "Don't save", look: "danger" },
    { value: "save", label: "Save", look: "primary" },
  ]);
  if (answer === "save") return await save();
  return answer === "discard";
}

/** Give up what is unsaved, if the user says so. */
export async function mayDiscard(): Promise<boolean> {
  if (!unsaved()) return true;
  return (await question("Give up your changes?", "What you changed since you last saved is lost.", [
    { value: "discard", label: "Give up my changes", look: "danger" },
  ])) !== null;
}

export async function newDocument(): Promise<void> {
  if (!(await mayLeave())) return;
  dismissAll(said);
  useShell.setState({ file: { name: "workflow", path: null, revision: null } });
  useGraph.getState().load(EMPTY);
  closeDialog();
}

/** How many documents have been asked for: of several answers the last one counts. */
let asked = 0;

/** Open a document; false where it could not be, or was not to be. `label` is what to call it in messages. */
export async function openDocument(source: Source, label = source.name ?? source.path ?? source.template ?? "the workflow"): Promise<boolean> {
  if (!(await mayLeave())) return false;
  const mine = ++asked;
  const { graph } = useGraph.getState();
  try {
    const opened = await server().call<Opened & Record<string, unknown>>("open", { ...source });
    // Something else was asked for since; or the answer took so long that there is new work to lose.
    if (mine !== asked || (useGraph.getState().graph !== graph && !(await mayLeave()))) return false;
    showOpened(opened);
    return true;
  } catch (error) {
    explain(error, label);
    return false;
  }
}

/** Open a file of this computer: a workflow's JSON, or a picture that carries one. */
export async function openFile(file: File): Promise<boolean> {
  try {
    const text = await textOf(file);
    return await openDocument({ text, name: file.name.replace(/\.(json|png)$/i, "") }, file.name);
  } catch (error) {
    openDialog("unreadable", { name: file.name, message: (error as Error).message, problems: [] });
    return false;
  }
}

async function textOf(file: File): Promise<string> {
  if (file.type === "image/png" || /\.png$/i.test(file.name)) {
    const { workflowIn } = await import("./png");
    const text = await workflowIn(file);
    if (text === null) {
      throw new Error(
        "This picture carries no workflow: only PNG files that SaveImages wrote do. To use the picture itself, drop it on a node's file setting.",
      );
    }
    return text;
  }
  if (file.size > LARGEST) {
    throw new Error(
      `This file has ${Math.round(file.size / 2 ** 20)} MB; the canvas opens up to 20 MB. A workflow of that size runs with the command line: loragraph run "${file.name}"`,
    );
  }
  return await file.text();
}

/** Show what the server's "open" returned, and say what is particular about it. Throws `Refused` where saving would lose nodes. */
export function showOpened({ document, problems, missing, upgraded, name, path, revision }: Opened): void {
  const left = problems.filter(({ node, field }) => (node === null ? field === "nodes" : !(node in document.nodes)));
  if (left.length) throw new Refused("Not everything in this file can be shown, and saving it would lose the rest. Mend it in an editor first.", left);
  const taken = reservedNames(document);
  if (taken.length) throw new Refused(`No node can be called "${taken[0]}" on the canvas: rename it in an editor first.`);
  const { catalog, load, judge } = useGraph.getState();
  dismissAll(said);
  load(fromDocument(document, catalog));
  judge(problems, {}, []);
  useShell.setState({ file: { name, path, revision } });
  closeDialog();
  const absent = Object.keys(missing ?? {});
  if (absent.length) openDialog("missing", { missing, document });
  const older = Object.keys(upgraded ?? {}).length;
  if (older) said.push(notify("info", `${count(older, "node was", "nodes were")} brought up to the installed versions. Save to keep that.`));
  const others = problems.filter((problem) => !problem.node || !absent.includes(problem.node));
  if (others.length) {
    said.push(notify("warning", `The workflow opened with ${count(others.length, "problem", "problems")}.`, {
      detail: others[0]!.message, action: { label: "Show problems", run: () => useShell.setState({ panel: "problems" }) },
    }));
  }
}

/** Save the document where it belongs; false where it was not saved. */
export async function save(overwrite = false): Promise<boolean> {
  const { path } = useShell.getState().file;
  return path === null ? await askName() : await write({ path, overwrite });
}

/** Ask for a name and save under it. */
export function askName(): Promise<boolean> {
  return new Promise((settle) => openDialog("save-as", { settle }));
}

/** Save under a name in the server's folder of workflows. Throws `Refused` with {conflict} where the name is taken. */
export async function saveAs(name: string, overwrite: boolean): Promise<void> {
  await send({ name, overwrite });
}

async function write(where: { path: string; overwrite: boolean }): Promise<boolean> {
  try {
    await send(where);
    return true;
  } catch (error) {
    if (error instanceof Refused && error.data.conflict) {
      return await new Promise((settle) => openDialog("conflict", { theirs: error.data.theirs, settle }));
    }
    explainSaving(error);
    return false;
  }
}

type Where = { path?: string; name?: string; overwrite: boolean };

let last: Promise<unknown> = Promise.resolve();
let waiting = 0;

/** Whether the server is being told of a new version. */
export function saving(): boolean {
  return waiting > 0;
}

/** One after the other: a second version goes out with the revision that the first one got. */
async function send(where: Where): Promise<void> {
  waiting++;
  const { graph, loads } = useGraph.getState();
  const mine = last.then(() => sendNow(where, graph, loads));
  last = mine.catch(() => {});
  try {
    await mine;
  } finally {
    waiting--;
  }
}

async function sendNow(where: Where, graph: Graph, loads: number): Promise<void> {
  if (useGraph.getState().loads !== loads) throw new Error("Another document was opened before this one could be saved.");
  const { revision } = useShell.getState().file;
  const known = where.path === undefined ? null : revision;
  const answer = await server().call<{ path: string; name: string; revision: string }>("save", { ...where, text: toText(graph), revision: known });
  // What was edited while the answer was on its way is not saved, and what was opened then has another place.
  if (useGraph.getState().loads === loads) {
    useShell.setState({ file: { name: answer.name, path: answer.path, revision: answer.revision } });
    useGraph.setState({ saved: graph });
  }
  notify("good", `Saved as ${answer.path}`);
}

function explainSaving(error: unknown): void {
  if (error instanceof Lost) {
    notify("error", "Not saved: the server cannot be reached. Your work is kept in this browser.", { action: { label: "Download", run: download } });
  } else {
    notify("error", "Not saved.", { detail: messageOf(error), action: { label: "Download", run: download } });
  }
}

/** Show the other version of the document that is open, in the place of one's own. */
export async function showTheirs(theirs: Theirs): Promise<void> {
  const { name, path } = useShell.getState().file;
  try {
    const opened = await server().call<Opened & Record<string, unknown>>("open", { text: theirs.text, name });
    showOpened({ ...opened, name, path, revision: theirs.revision });
  } catch (error) {
    explain(error, name);
  }
}

/** What the document is called as a file of this computer. */
function fileName(): string {
  const plain = useShell.getState().file.name.replace(/\.json$/, "").replaceAll(/[^\p{L}\p{N}_ -]/gu, "_").trim().slice(0, 80);
  return `${plain || "workflow"}.json`;
}

/** Give the document to the browser as a file. */
export function download(): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([toText(useGraph.getState().graph)], { type: "application/json" }));
  link.download = fileName();
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function explain(error: unknown, name: string): void {
  if (error instanceof Refused) {
    openDialog("unreadable", { name, message: error.message, problems: error.problems });
  } else if (error instanceof Lost) {
    notify("error", "The server cannot be reached: nothing was opened.");
  } else {
    notify("error", `"${name}" could not be opened.`, { detail: messageOf(error) });
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}
