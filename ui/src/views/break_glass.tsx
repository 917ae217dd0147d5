import { list, read } from "../api";
import { useApprovalEvents } from "../events";
import { useResource, useTitle } from "../hooks";
import { agentName, Badges, Claims, databaseName, headline, History } from "../parts/approval";
import { Countdown, Empty, Loading, PageHead, Problem, Time } from "../parts/basics";
import { Decisions } from "../parts/decide";
import { hrefOf } from "../router";
import { useNow } from "../time";
import type { Approval, ApprovalList } from "../types";

const STATES = "approved,claimed,withdrawn,lapsed,ended";

// Every use of break glass, those first that nobody has looked at.
async function load(signal: AbortSignal): Promise<Approval[]> {
  const found: Approval[] = [];
  let after: string | undefined;
  for (let page = 0; page < 5; ++page) {
    const next = await list<ApprovalList>("sys/approvals", {
      query: { state: STATES, limit: 200, after },
      signal,
    });
    for (const id of next?.keys ?? []) {
      const view = next?.key_info[id];
      if (view?.break_glass) found.push(view);
    }
    if (!next?.next) break;
    after = next.next;
  }
  const open = found.filter((view) => view.break_glass && !view.break_glass.reviewed);
  const whole = await Promise.all(
    open.map((view) =>
      read<Approval>(`sys/approvals/${encodeURIComponent(view.id)}`, { signal }).catch(() => view),
    ),
  );
  return [...whole, ...found.filter((view) => !open.includes(view))];
}

export function BreakGlass() {
  useTitle("Break glass");
  const now = useNow();
  const uses = useResource("break glass", load);
  useApprovalEvents(() => void uses.reload());
  const open = (uses.data ?? []).filter((view) => view.break_glass && !view.break_glass.reviewed);
  const reviewed = (uses.data ?? []).filter((view) => view.break_glass && view.break_glass.reviewed);
  return (
    <>
      <PageHead
        title="Break glass"
        lead="People who could not wait for an approval took access themselves. Each use is looked at afterwards."
      />
      <Problem error={uses.error} what="these requests" />
      {uses.loading && <Loading />}
      {uses.data && open.length === 0 && (
        <Empty title="There is nothing to review.">Uses of break glass appear here.</Empty>
      )}
      <div class="cards">
        {open.map((view) => (
          <article key={view.id} class="card" aria-labelledby={`glass-${view.id}`} data-request={view.id}>
            <header class="card-head">
              <div>
                <h2 id={`glass-${view.id}`}>
                  <a href={hrefOf("approvals", view.id)}>{headline(view)}</a>
                </h2>
                <p class="card-sub">
                  {agentName(view)} took {databaseName(view) || "access"} ·{" "}
                  <Time at={view.created_at} />
                </p>
              </div>
              <div class="card-state">
                <Badges view={view} now={now} />
                {view.break_glass && view.break_glass.review_due && (
                  <span class="card-time">
                    Review within <Countdown to={view.break_glass.review_due} over="overdue" />
                  </span>
                )}
              </div>
            </header>
            <Claims view={view} />
            <History view={view} />
            <footer class="card-foot">
              <Decisions
                view={view}
                complete
                onDone={() => void uses.reload()}
                onChanged={() => void uses.reload()}
              />
              <a class="button-like" href={hrefOf("approvals", view.id)}>
                Details and history
              </a>
            </footer>
          </article>
        ))}
      </div>
      {reviewed.length > 0 && (
        <section class="panel">
          <h2>Reviewed</h2>
          <ul class="rows">
            {reviewed.map((view) => (
              <li key={view.id} class="row">
                <div class="row-main">
                  <a class="row-title" href={hrefOf("approvals", view.id)}>
                    {headline(view)}
                  </a>
                  <span class="quiet-text">{agentName(view)}</span>
                </div>
                <Badges view={view} now={now} />
                <span class="row-time">
                  <Time at={view.created_at} />
                </span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}
