/** Notice that somebody else saved the file that is open: asked every few seconds while the page is seen. */
import { server } from "../server";
import { notify, useShell } from "../state/shell";
import { openDocument, saving } from "./documents";

const EVERY = 5000;

/** Watch the open file until the returned function is called. */
export function watchFile(): () => void {
  let told = "";
  const timer = setInterval(() => {
    const { path, revision } = useShell.getState().file;
    if (path === null || saving() || document.visibilityState === "hidden") return;
    changed(path).then((theirs) => {
      const { file } = useShell.getState();
      if (theirs === null || saving() || file.path !== path || file.revision !== revision || theirs === revision || told === `${path} ${theirs}`) return;
      told = `${path} ${theirs}`;
      notify("warning", `"${file.name}" was saved by someone else.`, {
        action: { label: "Show theirs", run: () => void openDocument({ path }) }, other: { label: "Keep mine", run: () => {} },
      });
    }, () => {
      // A lost server says so elsewhere (runs/Banner.tsx).
    });
  }, EVERY);
  return () => clearInterval(timer);
}

async function changed(path: string): Promise<string | null> {
  return (await server().call<{ revision: string | null }>("changed", { path })).revision;
}
