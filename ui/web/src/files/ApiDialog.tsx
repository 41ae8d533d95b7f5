/** A Python program that runs this workflow on this server. */
import { useEffect, useState } from "react";
import { toText } from "../graph/convert";
import { server } from "../server";
import { Dialog } from "../shell/Dialog";
import { Icon } from "../shell/icons";
import { useGraph } from "../state/graph";
import { closeDialog } from "../state/shell";
import { Code } from "./Code";
import { messageOf } from "./documents";

export default function ApiDialog() {
  const [python, setPython] = useState("");
  const [failed, setFailed] = useState("");
  useEffect(() => {
    server().call<{ python: string }>("snippet", { text: toText(useGraph.getState().graph) })
      .then((answer) => setPython(answer.python), (error: unknown) => setFailed(messageOf(error)));
  }, []);
  return (
    <Dialog title="Use via API" size="wide" onClose={closeDialog} testId="dialog-api">
      <p className="lg-quiet">This program runs the workflow as it is now on this server. It needs <code>pip install gradio_client</code>.</p>
      {python && <Code text={python} label="Python program" />}
      {failed && <p className="lg-failed" role="alert"><Icon name="error" />{failed}</p>}
    </Dialog>
  );
}
