/** A Python program that runs this workflow on this server. */
import { useEffect, useState } from "react";
import { toText } from "../graph/convert";
import { server } from "../server";
import { Dialog } from "../shell/Dialog";
import { Icon } from "../shell/icons";
import { useGraph } from "../state/graph";
import { closeDialog, useShell } from "../state/shell";
import { Code } from "./Code";
import { download, fileName, messageOf } from "./documents";

export default function ApiDialog() {
  const [python, setPython] = useState("");
  const [failed, setFailed] = useState("");
  const name = useShell((state) => state.file.name);
  useEffect(() => {
    server().call<{ python: string }>("snippet", { text: toText(useGraph.getState().graph), name })
      .then((answer) => setPython(answer.python), (error: unknown) => setFailed(messageOf(error)));
  }, [name]);
  return (
    <Dialog
      title="Use via API" size="wide" onClose={closeDialog} testId="dialog-api"
      foot={<button type="button" className="lg-button" onClick={download}><Icon name="download" />Download {fileName()}</button>}
    >
      <p className="lg-quiet">
        This program runs the workflow on this server. It reads the file <code>{fileName()}</code> beside it: download it below. It
        needs <code>pip install gradio_client</code>.
      </p>
      {python && <Code text={python} label="Python program" />}
      {failed && <p className="lg-failed" role="alert"><Icon name="error" />{failed}</p>}
    </Dialog>
  );
}
