/** What is wrong with the workflow; a click shows the node. */
import { view } from "../canvas/view";
import { Icon } from "../shell/icons";
import { useGraph } from "../state/graph";
import type { Problem } from "../types";

export function ProblemsPanel() {
  const problems = useGraph((state) => state.problems);
  const nodes = useGraph((state) => state.graph.nodes);
  if (!problems.length) return <p className="lg-side-empty">Nothing is wrong with this workflow.</p>;
  return (
    <ul className="lg-problem-list" data-testid="problems">
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

function reveal(node: string): void {
  useGraph.getState().select([node]);
  view()?.reveal([node]);
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
