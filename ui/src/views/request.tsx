import { useEffect, useRef, useState } from "preact/hooks";

import { ApiError, read, write } from "../api";
import { useApprovalEvents } from "../events";
import { announce, useResource, useTitle } from "../hooks";
import {
  agentName,
  Badges,
  Claims,
  databaseName,
  Earlier,
  EvidenceView,
  Factors,
  headline,
  History,
  Requester,
  TaskBounds,
} from "../parts/approval";
import {
  Countdown,
  Empty,
  Fact,
  Facts,
  Field,
  Loading,
  Mono,
  Notice,
  PageHead,
  Problem,
  Time,
} from "../parts/basics";
import { Decisions } from "../parts/decide";
import { Tree } from "../parts/tree";
import { hrefOf } from "../router";
import { line } from "../text";
import { useNow } from "../time";
import type { Approval } from "../types";

function When({ view }: { view: Approval }) {
  return (
    <Facts>
      <Fact name="Asked">
        <Time at={view.created_at} />
      </Fact>
      {view.state === "pending" && view.expires_at && (
        <Fact name="Decide within">
          <Countdown to={view.expires_at} over="expired" />
        </Fact>
      )}
      {view.approved_at && (
        <Fact name="Approved">
          <Time at={view.approved_at} />
        </Fact>
      )}
      {view.state === "approved" && view.claim_until && (
        <Fact name="To be claimed within">
          <Countdown to={view.claim_until} over="lapsed" />
        </Fact>
      )}
      {view.claimed_at && (
        <Fact name="Claimed">
          <Time at={view.claimed_at} />
        </Fact>
      )}
      {view.closed_at && (
        <Fact name="Closed">
          <Time at={view.closed_at} />
        </Fact>
      )}
      {view.break_glass && (
        <Fact name="Review due">
          {view.break_glass.reviewed ? "reviewed" : <Time at={view.break_glass.review_due} />}
        </Fact>
      )}
    </Facts>
  );
}

function Basis({ view }: { view: Approval }) {
  return (
    <Facts>
      <Fact name="Request">
        <Mono text={view.id} />
      </Fact>
      <Fact name="Rule on">
        <Mono text={view.rule_path} />
      </Fact>
      <Fact name="Policies">{(view.policies ?? []).map(line).join(", ")}</Fact>
      <Fact name="Policy version">{view.policy_version && <Mono text={view.policy_version} />}</Fact>
      {view.automatic && (
        <Fact name="Approved by rule">
          {line(view.automatic.rule)} (version {line(view.automatic.version)})
        </Fact>
      )}
      <Fact name="Digest" wide>
        <Mono text={view.digest} />
      </Fact>
    </Facts>
  );
}

function Shadow({ view }: { view: Approval }) {
  const rules = view.shadow ?? [];
  if (rules.length === 0) return null;
  return (
    <section class="block">
      <h3>Rules on trial</h3>
      <ul class="plain">
        {rules.map((rule, index) => (
          <li key={index}>
            <strong>{line(rule.rule)}</strong> would{rule.would_approve ? "" : " not"} have approved:{" "}
            {line(rule.why)}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Comment({ view, onDone }: { view: Approval; onDone: (view: Approval) => void }) {
  const [text, setText] = useState("");
  const [error, setError] = useState("");
  if (!view.can?.comment) return null;
  const submit = async (event: Event) => {
    event.preventDefault();
    if (text.trim() === "") return;
    try {
      const after = await write<Approval>(`sys/approvals/${encodeURIComponent(view.id)}/comment`, {
        text: text.trim(),
      });
      setText("");
      setError("");
      announce("Comment added.");
      onDone(after);
    } catch (failure) {
      setError((failure as Error).message);
    }
  };
  return (
    <form class="comment" onSubmit={submit}>
      <Field label="Comment" value={text} onInput={setText} multiline error={line(error)} />
      <div class="buttons">
        <button type="submit" disabled={text.trim() === ""}>
          Add comment
        </button>
      </div>
    </form>
  );
}

function Leases({ view }: { view: Approval }) {
  const ids = view.lease_ids ?? [];
  if (ids.length === 0) return null;
  return (
    <section class="block">
      <h3>Leases that came of it</h3>
      <ul class="plain">
        {ids.map((id) => (
          <li key={id}>
            <a class="mono" href={hrefOf("leases", id)}>
              {line(id)}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Body({ view }: { view: Approval }) {
  // The statement stands with what was seen of it.
  const parameters = Object.fromEntries(
    Object.entries(view.parameters ?? {}).filter(
      ([name]) => !view.evidence?.statement || !name.startsWith("statement"),
    ),
  );
  return (
    <div class="columns">
      <div>
        <section class="panel" aria-label="What is asked for">
          <h2>What is asked for</h2>
          <Claims view={view} />
          <Requester view={view} />
          <TaskBounds view={view} />
          {Object.keys(parameters).length > 0 && (
            <section class="block">
              <h3>Parameters</h3>
              <Tree value={parameters} />
            </section>
          )}
          <EvidenceView view={view} open />
        </section>
        <section class="panel" aria-label="Earlier requests">
          <h2>Earlier requests of this agent</h2>
          <Earlier view={view} />
        </section>
      </div>
      <div>
        <section class="panel" aria-label="Approvals">
          <h2>Who must approve</h2>
          {view.factors.length === 0 && <p class="quiet-text">Nobody.</p>}
          <Factors view={view} />
          <When view={view} />
          <Leases view={view} />
        </section>
        <section class="panel" aria-label="Basis">
          <h2>What this rests on</h2>
          <Basis view={view} />
          <Shadow view={view} />
        </section>
      </div>
    </div>
  );
}

export function RequestPage({ id }: { id: string }) {
  const now = useNow();
  const [note, setNote] = useState("");
  const request = useResource(`request ${id}`, (signal) =>
    read<Approval>(`sys/approvals/${encodeURIComponent(id)}`, { signal }),
  );
  useApprovalEvents(() => void request.reload(), id);
  const view = request.data;
  useTitle(view ? headline(view) : "Request");

  // Content that becomes another one while somebody reads must not slip by.
  const digest = useRef("");
  useEffect(() => {
    if (!view) return;
    if (digest.current !== "" && digest.current !== view.digest)
      setNote("The content of this request has changed. Look again at what is asked now.");
    digest.current = view.digest;
  }, [view?.digest]);

  const done = (after: Approval) => {
    digest.current = after.digest ?? digest.current;
    setNote("");
    if (view) request.set({ ...view, ...after });
    void request.reload();
  };
  if (request.error instanceof ApiError && request.error.status === 404)
    return (
      <>
        <PageHead title="Request" />
        <Empty title="There is no such request.">
          It may be of another namespace. <a href="#/approvals">All requests</a>
        </Empty>
      </>
    );
  return (
    <>
      <p class="back">
        <a href="#/approvals">Requests</a>
      </p>
      <PageHead
        title={view ? headline(view) : "Request"}
        lead={view && `${agentName(view)} asks for ${databaseName(view) || "access"}.`}
      >
        {view && <Badges view={view} now={now} />}
      </PageHead>
      <Problem error={request.error} what="the request" />
      {request.loading && <Loading />}
      {view && (
        <>
          {note && (
            <Notice tone="warn" role="alert" title="Look again.">
              {note}
            </Notice>
          )}
          <div class="decision-bar">
            <Decisions
              view={view}
              complete={view.evidence !== undefined}
              onDone={done}
              onChanged={(why) => {
                setNote(why);
                void request.reload();
              }}
            />
          </div>
          <Body view={view} />
          <section class="panel" aria-label="History">
            <h2>History</h2>
            <History view={view} />
            <Comment view={view} onDone={done} />
          </section>
        </>
      )}
    </>
  );
}
