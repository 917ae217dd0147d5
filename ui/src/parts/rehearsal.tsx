import { clean, line } from "../text";
import type { Rehearsal, TableChange } from "../types";
import { Code, Fact, Facts, Notice } from "./basics";
import { Tree } from "./tree";

type Row = Record<string, unknown>;

// Rows as the database gives them: objects, sometimes in text.
function rowsOf(sample: unknown): Row[] {
  const list = Array.isArray(sample) ? sample : [];
  return list
    .map((row) => {
      if (typeof row !== "string") return row as unknown;
      try {
        return JSON.parse(row) as unknown;
      } catch {
        return { row };
      }
    })
    .filter((row): row is Row => typeof row === "object" && row !== null && !Array.isArray(row));
}

function RowTable({ title, sample, other }: { title: string; sample: unknown; other?: unknown }) {
  const rows = rowsOf(sample);
  if (rows.length === 0) return null;
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const others = rowsOf(other);
  const isNew = (index: number, column: string) =>
    others.length === rows.length &&
    JSON.stringify(others[index]?.[column]) !== JSON.stringify(rows[index]?.[column]);
  return (
    <div class="sample" role="region" aria-label={title} tabIndex={0}>
      <table class="table">
        <caption>{title}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col">
                {line(column)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {columns.map((column) => (
                <td key={column}>
                  {isNew(index, column) ? <mark>{line(row[column])}</mark> : line(row[column])}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Change({ change }: { change: TableChange }) {
  const counts = [
    change.inserted > 0 && `${change.inserted} inserted`,
    change.updated > 0 && `${change.updated} updated`,
    change.deleted > 0 && `${change.deleted} deleted`,
  ].filter(Boolean);
  return (
    <li>
      <strong class="mono">{line(change.table)}</strong>: {counts.join(", ") || "no rows"}
      <RowTable title="Before" sample={change.sample_before} />
      <RowTable title="After" sample={change.sample_after} other={change.sample_before} />
    </li>
  );
}

// What a statement did when it was tried and rolled back.
export function RehearsalView({ rehearsal }: { rehearsal: Rehearsal }) {
  const warnings = rehearsal.warnings ?? [];
  const { rows, milliseconds, tables = [], locks = [], triggers = [], plan } = rehearsal;
  if (rows === undefined && warnings.length === 0) return null;
  return (
    <section class="block" aria-label="Tried and rolled back">
      <h3>Tried and rolled back</h3>
      {warnings.length > 0 && (
        <Notice tone="warn" title="Note:">
          {warnings.map(line).join("; ")}
        </Notice>
      )}
      <Facts>
        <Fact name="Rows">{rows}</Fact>
        <Fact name="Took">{milliseconds !== undefined && `${milliseconds} ms`}</Fact>
        <Fact name="Locks" wide>
          {locks.map((lock) => `${line(lock.relation)} (${line(lock.mode)})`).join(", ")}
        </Fact>
      </Facts>
      {tables.length > 0 && (
        <ul class="plain" aria-label="Tables that change">
          {tables.map((change) => (
            <Change key={change.table} change={change} />
          ))}
        </ul>
      )}
      <RowTable title="First rows" sample={rehearsal.sample} />
      {triggers.length > 0 && (
        <details>
          <summary>Triggers of these tables ({triggers.length})</summary>
          <Tree value={triggers} />
        </details>
      )}
      {plan !== undefined && plan !== null && (
        <details>
          <summary>Plan</summary>
          <Code
            name="Plan"
            text={typeof plan === "string" ? clean(plan) : JSON.stringify(plan, null, 1)}
          />
        </details>
      )}
      {rehearsal.shortened && <p class="quiet-text">Some of it was too long to be kept.</p>}
    </section>
  );
}
