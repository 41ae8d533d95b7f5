/** A table: on a node its beginning, which scrolls both ways under a head that stays; all of it in a dialog of its own. */
import { useMemo } from "react";
import { Icon } from "../shell/icons";
import { openDialog } from "../state/shell";
import type { ResultView } from "../types";
import { columnsOf } from "./tables";

export type TableResult = Extract<ResultView, { kind: "table" }>;

/** Rows on a node; a node is redrawn often, and who reads more than these opens the table. */
const ROWS_ON_A_NODE = 60;

export function TableCard({ node, result, width, height }: { node: string; result: TableResult; width: number; height: number }) {
  return (
    <div className="lg-table-card" style={{ width, height }} data-testid="table">
      <div className="lg-table-head">
        <b className="lg-cut" title={result.title}>{result.title || result.name}</b>
        <span className="lg-quiet">{result.count} {result.count === 1 ? "row" : "rows"}</span>
        <button
          type="button" className="lg-icon-button nodrag nopan" aria-label={`${result.title || node}: show large`} title="Show large"
          onClick={() => openDialog("table", result)}
        ><Icon name="expand" size={14} /></button>
      </div>
      <Grid result={result} most={ROWS_ON_A_NODE} />
    </div>
  );
}

export function Grid({ result, most = Infinity }: { result: TableResult; most?: number }) {
  // The digits of a column follow from all of its rows, so that they stay the same when more of them are shown.
  const columns = useMemo(() => columnsOf(result.columns, result.rows), [result.columns, result.rows]);
  const shown = Math.min(result.rows.length, most);
  const more = Math.max(result.count, result.rows.length) - shown;
  return (
    // What scrolls must be reachable by keyboard.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <section className="lg-table nodrag nopan nowheel" tabIndex={0} aria-label={result.title || result.name}>
      <table>
        <thead>
          <tr>{columns.map(({ name, numeric }, at) => <th key={`${at} ${name}`} scope="col" className={numeric ? "number" : undefined}>{name}</th>)}</tr>
        </thead>
        <tbody>
          {result.rows.slice(0, shown).map((row, at) => (
            // Rows have no names of their own, and a table never changes.
            <tr key={`${at} ${row[0]}`}>
              {columns.map(({ name, numeric, texts }, column) => {
                const text = texts[at]!;
                return <td key={`${column} ${name}`} className={numeric ? "number" : undefined} title={numeric ? undefined : text}>{numeric ? text : <bdi>{text}</bdi>}</td>;
              })}
            </tr>
          ))}
        </tbody>
      </table>
      {more > 0 && <p className="lg-quiet">and {more} more</p>}
    </section>
  );
}
