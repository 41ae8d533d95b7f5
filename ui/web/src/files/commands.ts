/** What the File menu does. */
import { toText } from "../graph/convert";
import { register } from "../commands";
import { server } from "../server";
import { useGraph } from "../state/graph";
import { notify, openDialog, useShell } from "../state/shell";
import { copyText } from "./clipboard";
import { askName, download, messageOf, newDocument, save } from "./documents";

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

/** Put the `loragraph run` line for this workflow on the clipboard. */
async function copyCommand(): Promise<void> {
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
