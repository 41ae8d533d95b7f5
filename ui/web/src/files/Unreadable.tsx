/** Why a file is no workflow that can be opened. */
import { Dialog } from "../shell/Dialog";
import { closeDialog } from "../state/shell";
import type { Problem } from "../types";

export default function Unreadable({ data }: { data: { name: string; message: string; problems: Problem[] } }) {
  const problems = data.problems.filter((problem) => !data.message.includes(problem.message));
  return (
    <Dialog
      title={`"${data.name}" can't be opened`} onClose={closeDialog} testId="dialog-unreadable"
      foot={<button type="button" className="lg-button primary" data-autofocus onClick={closeDialog}>Close</button>}
    >
      <p>{data.message}</p>
      {problems.length > 0 && (
        <ul className="lg-problems">
          {problems.map(({ node, field, message, hint }) => (
            <li key={`${node} ${field} ${message}`}>
              {node && <strong>{field ? `${node}.${field}` : node}: </strong>}{message}{hint && <span className="lg-quiet"> {hint}</span>}
            </li>
          ))}
        </ul>
      )}
    </Dialog>
  );
}
