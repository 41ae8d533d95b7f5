/** What the File menu does. */
import { toText } from "../graph/convert";
import { register } from "../commands";
import { server } from "../server";
import { question } from "../shell/question";
import { useGraph } from "../state/graph";
import { notify, openDialog, useShell } from "../state/shell";
import { copyText } from "./clipboard";
import { askName, download, messageOf, newDocument, save } from "./documents";
import { unsaved } from "./drafts";

register(
  { id: "file.new", title: "New", section: "File", run: newDocument },
  { id: "file.open", title: "Open…", section: "File", keys: ["Mod+O"], run: () => openDialog("open") },
  { id: "file.templates", title: "Templates…", section: "File", run: () => openDialog("templates") },
  { id: "file.save", title: "Save", section: "File", keys: ["Mod+S"], run: async () => { await save(); } },
  { id: "file.saveAs", title: "Save as…", section: "File", keys: ["Mod+Shift+S"], run: async () => { await askName(); } },
  { id: "file.download", title: "Download as JSON", section: "File", run: download },
  { id: "file.command", title: "Copy as command", section: "File", run: copyCommand },
  { id: "file.api", title: "Use via API…", section: "File", run: () => openDialog("api") },
);

/** Put the `loragraph run` line for this workflow on the clipboard. It runs a file, so what is not in one is saved first. */
async function copyCommand(): Promise<void> {
  if (!(await mayCopy())) return;
  const { name, path } = useShell.getState().file;
  const text = toText(useGraph.getState().graph);
  try {
    const { line } = await server().call<{ line: string }>("command", { text, path, name });
    if (await copyText(line)) notify("good", "The command is on the clipboard.", { detail: line });
    else openDialog("command-line", { line });
  } catch (error) {
    notify("error", "There is no command for this workflow.", { detail: messageOf(error) });
  }
}

/** Save what the command is to run, if the user says so; false where there is no file that is up to date. */
async function mayCopy(): Promise<boolean> {
  const { name, path } = useShell.getState().file;
  if (path === null) return await askName();
  if (!unsaved()) return true;
  const answer = await question("Save before you copy?", `The command runs the file, and "${name}" has changes that are not saved in it.`, [
    { value: "save", label: "Save and copy", look: "primary" },
  ]);
  return answer === "save" && (await save());
}
