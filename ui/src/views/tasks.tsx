import { list, read } from "../api";
import { useApprovalEvents } from "../events";
import { useResource, useTitle } from "../hooks";
import { agentName, Badges, Claims, databaseName, headline } from "../parts/approval";
import { Countdown, Empty, Loading, PageHead, Problem } from "../parts/basics";
import { Decisions } from "../parts/decide";
import { hrefOf } from "../router";
import { duration, useNow } from "../time";
import type { Approval, ApprovalList } from "../types";

async function load(signal: AbortSignal): Promise<Approval[]> {
  const page = await list<ApprovalList>("sys/approvals", {
    query: { kind: "task", state: "approved,claimed", limit: 100 },
    signal,
  });
  // What may be done with each is in its own view.
  return Promise.all(
    (page?.keys ?? []).map((id) =>
      read<Approval>(`sys/approvals/${encodeURIComponent(id)}`, { signal }),
    ),
  );
}

function Use(props: { name: string; used: number; max: number }) {
  return (
    <div class="meter">
      <span>
        {props.name}: {props.used} of {props.max > 0 ? props.max : "any number"}
      </span>
      {props.max > 0 && (
        <progress max={props.max} value={Math.min(props.used, props.max)} aria-label={props.name} />
      )}
    </div>
  );
}

export function Tasks() {
  useTitle("Tasks");
  const now = useNow();
  const tasks = useResource("tasks", load, 15);
  useApprovalEvents(() => void tasks.reload());
  return (
    <>
      <PageHead
        title="Tasks"
        lead="Work that was approved as a whole. Ending a task takes away everything that it holds."
      />
      <Problem error={tasks.error} what="the tasks" />
      {tasks.loading && <Loading />}
      {tasks.data?.length === 0 && (
        <Empty title="No task is under way.">Approved tasks appear here, with their time and budget.</Empty>
      )}
      <div class="cards">
        {(tasks.data ?? []).map((view) => (
          <article key={view.id} class="card" aria-labelledby={`task-${view.id}`} data-request={view.id}>
            <header class="card-head">
              <div>
                <h2 id={`task-${view.id}`}>
                  <a href={hrefOf("approvals", view.id)}>{headline(view)}</a>
                </h2>
                <p class="card-sub">
                  {agentName(view)} · {databaseName(view)}
                </p>
              </div>
              <div class="card-state">
                <Badges view={view} now={now} />
                <span class="card-time">
                  {view.task?.ends_at ? (
                    <>
                      Ends in <Countdown to={view.task.ends_at} />
                    </>
                  ) : (
                    `Not begun; lasts ${duration(view.task?.duration ?? 0)}`
                  )}
                </span>
              </div>
            </header>
            <Claims view={view} />
            {view.task && (
              <div class="meters">
                <Use name="Leases" used={view.task.leases_used} max={view.task.leases_max} />
                <Use name="Statements" used={view.task.statements_used} max={view.task.statements_max} />
              </div>
            )}
            <footer class="card-foot">
              <Decisions
                view={view}
                complete
                onDone={() => void tasks.reload()}
                onChanged={() => void tasks.reload()}
              />
              <a class="button-like" href={hrefOf("approvals", view.id)}>
                Details and history
              </a>
            </footer>
          </article>
        ))}
      </div>
    </>
  );
}
