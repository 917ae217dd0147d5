import { hrefOf } from "../router";
import { clean, line, plural } from "../text";
import { duration, millis } from "../time";
import type { Approval, Decision, Evidence, Factor, Privilege } from "../types";
import { RehearsalView } from "./rehearsal";
import { Badge, Code, Countdown, Fact, Facts, Mono, StateBadge, Time } from "./basics";

export function agentName(view: Approval): string {
  const { agent, entity_name, display_name, entity_id } = view.requester;
  return line(entity_name || agent || display_name || entity_id || "somebody unknown");
}

export function databaseName(view: Approval): string {
  return line(view.evidence?.database || view.target);
}

export function headline(view: Approval): string {
  if (view.kind === "task") return `A task: ${line(view.role || view.path)}`;
  return line(view.role || view.path);
}

// What has to be looked at first: escalated, or soon over.
export function isUrgent(view: Approval, now: number): boolean {
  if (view.state !== "pending") return false;
  const end = millis(view.expires_at);
  return view.escalated === true || (end > 0 && end - now < 5 * 60_000);
}

// Urgent ones first, then the newest.
export function inOrder(views: Approval[], now: number): Approval[] {
  return [...views].sort((a, b) => {
    const urgency = Number(isUrgent(b, now)) - Number(isUrgent(a, now));
    return urgency || millis(b.created_at) - millis(a.created_at);
  });
}

export function Badges({ view, now }: { view: Approval; now: number }) {
  return (
    <span class="badges">
      <StateBadge state={view.state} />
      {view.kind === "task" && (
        <Badge tone="quiet" icon="task">
          Task
        </Badge>
      )}
      {view.break_glass && (
        <Badge tone="bad" icon="glass">
          Break glass
        </Badge>
      )}
      {view.automatic && (
        <Badge tone="quiet" icon="shield">
          By a rule
        </Badge>
      )}
      {isUrgent(view, now) && (
        <Badge tone="warn" icon="alarm">
          {view.escalated ? "Escalated" : "Ends soon"}
        </Badge>
      )}
    </span>
  );
}

// Untrusted: whatever stands here is text, and said to be the agent's.
export function Claims({ view }: { view: Approval }) {
  const claims = view.claims_of_agent ?? {};
  const rows: [string, string][] = [
    ["Purpose", clean(claims.purpose)],
    ["Reason", claims.reason === claims.purpose ? "" : clean(claims.reason)],
    ["Ticket", clean(claims.ticket)],
  ];
  const given = rows.filter(([, text]) => text !== "");
  const person = view.requester.kind === "human";
  return (
    <section class="claims" aria-label={person ? "Claimed by the requester" : "Claimed by the agent"}>
      <p class="claims-title">{person ? "Claimed by the requester" : "Claimed by the agent"}</p>
      {given.length === 0 && <p class="quiet-text">Nothing.</p>}
      {given.map(([name, text]) => (
        <p key={name}>
          <span class="claims-name">{name}</span> <bdi class="claims-text">{text}</bdi>
        </p>
      ))}
    </section>
  );
}

export function Requester({ view }: { view: Approval }) {
  const who = view.requester;
  return (
    <Facts>
      <Fact name="Role">{line(view.role)}</Fact>
      <Fact name="Database">{databaseName(view)}</Fact>
      <Fact name="Lives for">
        {view.ttl > 0 && duration(view.ttl)}
        {view.ttl_max ? ` (at most ${duration(view.ttl_max)} here)` : ""}
      </Fact>
      <Fact name={who.kind === "human" ? "Person" : "Agent"}>{agentName(view)}</Fact>
      <Fact name="Its human">{line(who.human || who.owner)}</Fact>
      {who.human && who.owner && who.owner !== who.human && (
        <Fact name="Answers for it">{line(who.owner)}</Fact>
      )}
      <Fact name="Sub-agent">{line(who.sub_agent)}</Fact>
      <Fact name="Session">{line(who.session) || "not named"}</Fact>
      <Fact name="Trace">
        {who.trace_id ? <Mono text={who.trace_id} /> : "not named"}
      </Fact>
      <Fact name="From">{line(who.remote_address)}</Fact>
      <Fact name="Path" wide>
        <Mono text={`${view.operation} ${view.path}`} />
      </Fact>
    </Facts>
  );
}

export function TaskBounds({ view }: { view: Approval }) {
  const { task } = view;
  if (!task) return null;
  return (
    <Facts>
      <Fact name="Task lasts">{duration(task.duration)}</Fact>
      <Fact name="Leases">
        {task.leases_used} of {task.leases_max || "any number"} used
      </Fact>
      <Fact name="Statements">
        {task.statements_used} of {task.statements_max || "any number"} used
      </Fact>
      {task.ends_at && (
        <Fact name="Ends in">
          <Countdown to={task.ends_at} />
        </Fact>
      )}
    </Facts>
  );
}

// "GRANT SELECT, UPDATE ON public.orders TO …", as far as it is that simple.
export function grantsOf(statements: string[]): Privilege[] {
  const found: Privilege[] = [];
  const grant = /\bgrant\s+(.+?)\s+on\s+(?:table\s+)?(.+?)\s+to\s/gis;
  for (const statement of statements)
    for (const [, privileges = "", objects = ""] of statement.matchAll(grant)) {
      const names = line(privileges).split(/\s*,\s*(?![^(]*\))/);
      for (const object of line(objects).split(/\s*,\s*/))
        found.push({ object, privileges: names });
    }
  return found;
}

function foreseenIn(evidence: Evidence): Privilege[] | undefined {
  return evidence.privileges ?? evidence.rehearsal?.privileges;
}

function Privileges({ evidence }: { evidence: Evidence }) {
  const foreseen = foreseenIn(evidence) ?? [];
  const rows = foreseen.length > 0 ? foreseen : grantsOf(evidence.statements ?? []);
  if (rows.length === 0)
    return <p class="quiet-text">Not known beforehand: read the SQL below.</p>;
  return (
    <table class="table">
      <caption class="unseen">Tables and privileges</caption>
      <thead>
        <tr>
          <th scope="col">Table or object</th>
          <th scope="col">Privileges</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row, index) => (
          <tr key={index}>
            <th scope="row" class="mono">
              {line(row.object)}
            </th>
            <td>
              {row.privileges.map((name) => (
                <span key={name} class={isWrite(name) ? "privilege writes" : "privilege"}>
                  {line(name)}
                </span>
              ))}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const isWrite = (privilege: string) => !/^(select|usage|connect|read)$/i.test(privilege);

export function EvidenceView({ view, open }: { view: Approval; open: boolean }) {
  const { evidence } = view;
  if (evidence === undefined) return null;
  if (evidence === null)
    return (
      <p class="quiet-text block">
        What this would do in a database is not known: the path is none of a database role.
      </p>
    );
  const statements = evidence.statements ?? [];
  return (
    <>
      {view.kind === "access" && (
        <section class="block" aria-label="Tables and privileges">
          <h3>Tables and privileges{!foreseenIn(evidence) && ", as the SQL grants them"}</h3>
          <Privileges evidence={evidence} />
          <Facts>
            <Fact name="Member of">{(evidence.rehearsal?.member_of ?? []).map(line).join(", ")}</Fact>
            <Fact name="Attributes">{(evidence.rehearsal?.attributes ?? []).map(line).join(", ")}</Fact>
          </Facts>
        </section>
      )}
      {evidence.statement && (
        <section class="block" aria-label="The statement">
          <h3>The statement that will run</h3>
          <Code name="The statement that will run" text={evidence.statement.text} />
          {(evidence.statement.parameters ?? []).length > 0 && (
            <p>
              With <Mono text={evidence.statement.parameters} />
            </p>
          )}
        </section>
      )}
      {evidence.rehearsal && <RehearsalView rehearsal={evidence.rehearsal} />}
      {statements.length > 0 && (
        <details class="block" open={open}>
          <summary>SQL that makes the role ({plural(statements.length, "statement")})</summary>
          <Code name="SQL that makes the role" text={statements.join(";\n").replace(/;;/g, ";")} />
        </details>
      )}
    </>
  );
}

function FactorLine({ factor }: { factor: Factor }) {
  const missing = Math.max(0, factor.approvals - factor.given);
  const groups = factor.groups.map((group) => line(group.name)).join(", ");
  return (
    <li>
      <Badge tone={factor.satisfied ? "good" : "busy"} icon={factor.satisfied ? "check" : "circle"}>
        {factor.given} of {factor.approvals}
      </Badge>
      <span>
        <strong>{line(factor.name)}</strong>
        {factor.by.length > 0 && <>: {factor.by.map((who) => line(who.name)).join(", ")}</>}
        {!factor.satisfied && (
          <>
            {factor.by.length > 0 ? ";" : ":"} {missing} more of {groups || "the approvers"}
          </>
        )}
      </span>
    </li>
  );
}

export function Factors({ view }: { view: Approval }) {
  if (view.factors.length === 0) return null;
  const others = (view.escalate_to ?? []).map((group) => line(group.name)).join(", ");
  return (
    <ul class="factors" aria-label="Who must approve">
      {view.factors.map((factor, index) => (
        <FactorLine key={index} factor={factor} />
      ))}
      {others && view.state === "pending" && (
        <li class="quiet-text">
          {view.escalated ? `Told as well, for it took long: ${others}` : `Told later: ${others}`}
        </li>
      )}
    </ul>
  );
}

const verdicts: Record<string, string> = {
  approve: "approved",
  deny: "denied",
  narrow: "narrowed",
  cancel: "cancelled",
  withdraw: "withdrew",
  comment: "commented",
  auto: "approved by a rule",
  break_glass: "broke the glass",
  review: "reviewed",
  lapse: "lapsed",
  expire: "expired",
  escalate: "escalated",
  claim: "claimed",
};

function DecisionLine({ decision }: { decision: Decision }) {
  return (
    <li>
      <p>
        <strong>{line(decision.by?.name) || "Curfew"}</strong>{" "}
        {verdicts[decision.verdict] ?? line(decision.verdict)}
        {decision.ttl ? ` to ${duration(decision.ttl)}` : ""}
        {decision.counts === false && decision.verdict === "approve" && (
          <span class="quiet-text"> (does not count any more: the content changed)</span>
        )}
        <span class="quiet-text">
          {" · "}
          <Time at={decision.at} />
        </span>
      </p>
      {decision.reason && <p class="said">{clean(decision.reason)}</p>}
    </li>
  );
}

export function History({ view }: { view: Approval }) {
  const decisions = view.decisions ?? [];
  if (decisions.length === 0) return <p class="quiet-text">Nobody has decided yet.</p>;
  return (
    <ol class="history">
      {decisions.map((decision, index) => (
        <DecisionLine key={index} decision={decision} />
      ))}
    </ol>
  );
}

export function Earlier({ view }: { view: Approval }) {
  const earlier = view.earlier ?? [];
  if (earlier.length === 0) return <p class="quiet-text">None: this is the first one.</p>;
  return (
    <ul class="earlier">
      {earlier.map((one) => (
        <li key={one.id}>
          <StateBadge state={one.state} />
          <a href={hrefOf("approvals", one.id)}>{line(one.path)}</a>
          <span class="quiet-text">
            <Time at={one.created_at} />
          </span>
        </li>
      ))}
    </ul>
  );
}

export function shortDigest(digest: string): string {
  return line(digest).replace(/^sha256:/, "").slice(0, 12);
}
