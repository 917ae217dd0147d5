import { useState } from "preact/hooks";

import { list, read } from "../api";
import { useApprovalEvents } from "../events";
import { announce, useResource, useTitle } from "../hooks";
import {
  agentName,
  Badges,
  Claims,
  databaseName,
  EvidenceView,
  Factors,
  headline,
  inOrder,
  isUrgent,
  Requester,
  TaskBounds,
} from "../parts/approval";
import {
  Choice,
  Countdown,
  Empty,
  Loading,
  Notice,
  PageHead,
  Problem,
  Tabs,
  Time,
} from "../parts/basics";
import { Decisions } from "../parts/decide";
import { hrefOf } from "../router";
import { plural } from "../text";
import { duration, useNow } from "../time";
import type { Approval, ApprovalList } from "../types";

type Tab = "waiting" | "open" | "decided";

const queries: Record<Tab, Record<string, string | boolean>> = {
  waiting: { waiting: true, state: "pending" },
  open: { state: "pending,approved" },
  decided: { state: "approved,denied,claimed,expired,cancelled,superseded,lapsed,withdrawn,ended" },
};

const FULL_MAX = 25; // so many cards are shown with all they rest on

// The list, with the whole view of those that may be decided from here.
async function loadInbox(tab: Tab, signal: AbortSignal): Promise<Approval[]> {
  const page = await list<ApprovalList>("sys/approvals", {
    query: { ...queries[tab], limit: 100 },
    signal,
  });
  if (!page) return [];
  const views = page.keys.flatMap((id) => page.key_info[id] ?? []);
  if (tab === "decided") return views;
  const wanted = inOrder(views, Date.now()).slice(0, FULL_MAX);
  const whole = await Promise.all(
    wanted.map((view) =>
      read<Approval>(`sys/approvals/${encodeURIComponent(view.id)}`, { signal }).catch(() => view),
    ),
  );
  return [...whole, ...views.filter((view) => !wanted.includes(view))];
}

export function Card(props: {
  view: Approval;
  now: number;
  note?: string;
  onDone: (view: Approval) => void;
  onChanged: (why: string) => void;
}) {
  const { view, now } = props;
  const title = `request-${view.id}`;
  return (
    <article
      class={isUrgent(view, now) ? "card urgent" : "card"}
      aria-labelledby={title}
      data-request={view.id}
    >
      <header class="card-head">
        <div>
          <h2 id={title}>
            <a href={hrefOf("approvals", view.id)}>{headline(view)}</a>
          </h2>
          <p class="card-sub">
            {agentName(view)} asks for {databaseName(view) || "access"}
            {view.ttl > 0 && <>, for {duration(view.ttl)}</>}
          </p>
        </div>
        <div class="card-state">
          <Badges view={view} now={now} />
          {view.state === "pending" && view.expires_at && (
            <span class="card-time">
              Decide within <Countdown to={view.expires_at} />
            </span>
          )}
        </div>
      </header>
      {props.note && (
        <Notice tone="warn" role="alert" title="Look again.">
          {props.note}
        </Notice>
      )}
      <Claims view={view} />
      <Requester view={view} />
      <TaskBounds view={view} />
      <EvidenceView view={view} open={false} />
      <Factors view={view} />
      <footer class="card-foot">
        <Decisions
          view={view}
          complete={view.evidence !== undefined}
          onDone={props.onDone}
          onChanged={props.onChanged}
        />
        <a class="button-like" href={hrefOf("approvals", view.id)}>
          Details and history
        </a>
      </footer>
    </article>
  );
}

function Row({ view, now }: { view: Approval; now: number }) {
  const last = [...(view.decisions ?? [])].reverse().find((one) => one.verdict !== "comment");
  return (
    <li class="row">
      <div class="row-main">
        <a class="row-title" href={hrefOf("approvals", view.id)}>
          {headline(view)}
        </a>
        <span class="quiet-text">
          {agentName(view)} · {databaseName(view)}
          {last && <> · {last.by?.name || "Curfew"}</>}
        </span>
      </div>
      <Badges view={view} now={now} />
      <span class="row-time">
        <Time at={view.closed_at ?? view.approved_at ?? view.created_at} />
      </span>
    </li>
  );
}

export function Inbox({ tab }: { tab: Tab }) {
  useTitle("Requests");
  const now = useNow();
  const [kind, setKind] = useState("");
  const [notes, setNotes] = useState<Record<string, string>>({});
  const inbox = useResource(`inbox ${tab}`, (signal) => loadInbox(tab, signal));
  useApprovalEvents((event) => {
    if (event.id && event.state === "pending" && event.waiting)
      announce(`A request waits for you${event.role ? `: ${event.role}` : ""}.`);
    void inbox.reload();
  });

  const all = (inbox.data ?? []).filter((view) => kind === "" || view.kind === kind);
  const shown = tab === "decided" ? all : inOrder(all, now);
  const replace = (view: Approval) => {
    setNotes(({ [view.id]: _gone, ...rest }) => rest);
    inbox.set((inbox.data ?? []).map((one) => (one.id === view.id ? { ...one, ...view } : one)));
    void inbox.reload();
  };
  return (
    <>
      <PageHead
        title="Requests"
        lead={
          inbox.data && shown.length > 0
            ? tab === "decided"
              ? "What was decided lately."
              : `${plural(shown.length, "request")} ${tab === "waiting" ? "waiting for you" : "open"}.`
            : undefined
        }
      >
        <Choice
          label="Kind"
          value={kind}
          onInput={setKind}
          options={[
            ["", "All kinds"],
            ["access", "Access"],
            ["task", "Tasks"],
          ]}
        />
      </PageHead>
      <Tabs
        label="Lists of requests"
        current={tab}
        tabs={[
          { id: "waiting", text: "Waiting for you", href: "#/approvals" },
          { id: "open", text: "All open", href: "#/approvals?tab=open" },
          { id: "decided", text: "Decided", href: "#/approvals?tab=decided" },
        ]}
      />
      <Problem error={inbox.error} what="the requests" />
      {inbox.loading && <Loading />}
      {inbox.data && shown.length === 0 && (
        <Empty title={tab === "waiting" ? "Nothing waits for you." : "There are no requests here."}>
          {tab === "waiting" && "New requests appear here by themselves."}
        </Empty>
      )}
      {tab === "decided" ? (
        <ul class="rows">
          {shown.map((view) => (
            <Row key={view.id} view={view} now={now} />
          ))}
        </ul>
      ) : (
        <div class="cards">
          {shown.map((view) => (
            <Card
              key={view.id}
              view={view}
              now={now}
              note={notes[view.id]}
              onDone={replace}
              onChanged={(why) => {
                setNotes({ ...notes, [view.id]: why });
                void inbox.reload();
              }}
            />
          ))}
        </div>
      )}
    </>
  );
}
