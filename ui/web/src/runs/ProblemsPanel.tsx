/** What has failed in the shown run and what is wrong with the workflow; a click shows the node. */
import { useShallow } from "zustand/react/shallow";
import { Icon } from "../shell/icons";
import { useGraph } from "../state/graph";
import { useRuns } from "../state/runs";
import type { Problem } from "../types";
import { failures, reveal } from "./ending";

export function ProblemsPanel() {
  const problems = useGraph((state) => state.problems);
  const nodes = useGraph((state) => state.graph.nodes);
  const failed = useRuns(useShallow((state) => failures(state.nodes)));
  if (!problems.length && !failed.length) return <p className="lg-side-empty">Nothing is wrong with this workflow.</p>;
  return (
    <ul className="lg-problem-list" data-testid="problems">
      {failed.map((id) => <Failed key={`failed ${id}`} id={id} known={id in nodes} />)}
      {problems.map((problem, index) => {
        const known = problem.node !== null && problem.node in nodes;
        const said = <Said problem={problem} />;
        return (
          <li key={`${problem.node}.${problem.field}#${index}`}>
            {known ? <button type="button" onClick={() => reveal(problem.node!)} title="Show the node">{said}</button> : <div>{said}</div>}
          </li>
        );
      })}
    </ul>
  );
}

/** A node that failed in the shown run. */
function Failed({ id, known }: { id: string; known: boolean }) {
  const message = useRuns((state) => state.nodes[id]?.error ?? "");
  const said = (
    <>
      <Icon name="error" size={15} />
      <span><b>{id}<span className="lg-quiet"> · failed in this run</span></b><span>{message}</span></span>
    </>
  );
  return <li data-failed={id}>{known ? <button type="button" onClick={() => reveal(id)} title="Show the node">{said}</button> : <div>{said}</div>}</li>;
}

function Said({ problem }: { problem: Problem }) {
  return (
    <>
      <Icon name="problems" size={15} />
      <span>
        {problem.node && <b>{problem.node}{problem.field && <span className="lg-quiet"> · {problem.field}</span>}</b>}
        <span>{problem.message}</span>
        {problem.hint && <span className="lg-quiet">{problem.hint}</span>}
      </span>
    </>
  );
}
