import { useState } from "preact/hooks";

import { list, read, write } from "../api";
import { announce, useResource, useTitle } from "../hooks";
import { Badges, headline } from "../parts/approval";
import {
  Badge,
  Countdown,
  Empty,
  Fact,
  Facts,
  Loading,
  Mono,
  Notice,
  PageHead,
  Problem,
  StateBadge,
  Time,
} from "../parts/basics";
import { ActionDialog } from "../parts/dialog";
import { roleOf } from "../parts/lease";
import { hrefOf } from "../router";
import { line, plural } from "../text";
import { duration, useNow } from "../time";
import type { Agent, AgentInfo, ApprovalList, LeasePage } from "../types";

function MayAct({ mayAct }: { mayAct: boolean }) {
  return mayAct ? (
    <Badge tone="good" icon="check">
      May act
    </Badge>
  ) : (
    <Badge tone="bad" icon="cross">
      May not act
    </Badge>
  );
}

export function Agents() {
  useTitle("Agents");
  const agents = useResource("agents", (signal) =>
    list<{ keys: string[]; key_info: Record<string, AgentInfo> }>("identity/agent", { signal }),
  );
  const names = agents.data?.keys ?? [];
  return (
    <>
      <PageHead
        title="Agents"
        lead={names.length > 0 ? `${plural(names.length, "agent")} registered.` : undefined}
      />
      <Problem error={agents.error} what="the agents" />
      {agents.loading && <Loading />}
      {!agents.loading && !agents.error && names.length === 0 && (
        <Empty title="No agent is registered.">
          <span class="mono">curfew agent write -owner=NAME AGENT</span> registers one.
        </Empty>
      )}
      {names.length > 0 && (
        <table class="table cards-on-phone">
          <caption class="unseen">Registered agents</caption>
          <thead>
            <tr>
              <th scope="col">Agent</th>
              <th scope="col">Program</th>
              <th scope="col">Answers for it</th>
              <th scope="col">State</th>
            </tr>
          </thead>
          <tbody>
            {names.map((name) => {
              const info = agents.data?.key_info[name];
              return (
                <tr key={name}>
                  <th scope="row" data-label="Agent">
                    <a href={hrefOf("agents", name)}>{line(name)}</a>
                  </th>
                  <td data-label="Program">{line(info?.kind) || "–"}</td>
                  <td data-label="Answers for it">{line(info?.owner)}</td>
                  <td data-label="State">
                    <MayAct mayAct={info?.may_act === true} />
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </>
  );
}

function Budget(props: { name: string; used: number | null; max: number }) {
  const { used, max } = props;
  return (
    <div class="meter">
      <span>
        {props.name}: {used ?? "?"} {max > 0 ? `of ${max}` : "(no limit)"}
      </span>
      {max > 0 && <progress max={max} value={Math.min(used ?? 0, max)} aria-label={props.name} />}
    </div>
  );
}

const HOUR = 3_600_000;

function Activity({ agent }: { agent: Agent }) {
  const now = useNow();
  const leases = useResource(
    `leases of ${agent.name}`,
    (signal) =>
      read<LeasePage>("sys/leases", { query: { agent: agent.name, type: "all", limit: 1000 }, signal }),
    10,
  );
  const requests = useResource(`requests of ${agent.name}`, (signal) =>
    list<ApprovalList>("sys/approvals", { query: { agent: agent.name, limit: 10 }, signal }),
  );
  const all = leases.data?.leases ?? [];
  const live = all.filter((lease) => !lease.receipt);
  const lately = all.filter((lease) => now - Date.parse(lease.issue_time) < HOUR);
  const newest = [...all].sort((a, b) => b.issue_time.localeCompare(a.issue_time)).slice(0, 10);
  return (
    <>
      <section class="panel" aria-label="Budget">
        <h2>Budget</h2>
        <div class="meters">
          <Budget name="Live leases" used={leases.data && live.length} max={agent.max_live_leases} />
          <Budget
            name="Leases within the hour"
            used={leases.data && lately.length}
            max={agent.max_leases_per_hour}
          />
        </div>
        <Facts>
          <Fact name="Longest lease">
            {agent.max_ttl > 0 ? duration(agent.max_ttl) : "no limit of its own"}
          </Fact>
          <Fact name="Roles">{(agent.allowed_roles ?? []).map(line).join(", ") || "any"}</Fact>
          <Fact name="Ceiling">
            {(agent.ceiling_policies ?? []).map(line).join(", ") || "none"}
          </Fact>
          <Fact name="Policies">{(agent.policies ?? []).map(line).join(", ") || "none"}</Fact>
        </Facts>
      </section>
      <section class="panel" aria-label="Activity">
        <h2>Latest leases</h2>
        <Problem error={leases.error} what="its leases" />
        {leases.data && newest.length === 0 && <p class="quiet-text">None.</p>}
        <ul class="rows">
          {newest.map((lease) => (
            <li key={lease.id} class="row">
              <div class="row-main">
                <a class="row-title" href={hrefOf("leases", lease.id)}>
                  {roleOf(lease)}
                </a>
                <span class="quiet-text">
                  <Time at={lease.issue_time} />
                </span>
              </div>
              <StateBadge state={lease.state} />
              {lease.state === "active" && (
                <span class="row-time">
                  <Countdown to={lease.expire_time} over="due" />
                </span>
              )}
            </li>
          ))}
        </ul>
      </section>
      {requests.data && requests.data.keys.length > 0 && (
        <section class="panel" aria-label="Requests">
          <h2>Latest requests</h2>
          <ul class="rows">
            {requests.data.keys.map((id) => {
              const view = requests.data?.key_info[id];
              return (
                view && (
                  <li key={id} class="row">
                    <div class="row-main">
                      <a class="row-title" href={hrefOf("approvals", id)}>
                        {headline(view)}
                      </a>
                      <span class="quiet-text">
                        <Time at={view.created_at} />
                      </span>
                    </div>
                    <Badges view={view} now={now} />
                  </li>
                )
              );
            })}
          </ul>
        </section>
      )}
    </>
  );
}

export function AgentPage({ name }: { name: string }) {
  useTitle(name);
  const [asking, setAsking] = useState(false);
  const path = `identity/agent/${encodeURIComponent(name)}`;
  const agent = useResource(`agent ${name}`, (signal) => read<Agent>(path, { signal }));
  const { data } = agent;
  const verb = data?.disabled ? "enable" : "disable";
  return (
    <>
      <p class="back">
        <a href="#/agents">Agents</a>
      </p>
      <PageHead title={line(name)} lead={data && line(data.description)}>
        {data && (
          <>
            <MayAct mayAct={data.may_act} />
            <button
              type="button"
              class={data.disabled ? "" : "danger-quiet"}
              onClick={() => setAsking(true)}
            >
              {data.disabled ? "Enable" : "Disable"}
            </button>
          </>
        )}
      </PageHead>
      <Problem error={agent.error} what="the agent" />
      {agent.loading && <Loading />}
      {data && (
        <>
          {!data.may_act && data.may_not_act_because && (
            <Notice tone="warn" title="It may not act:">
              {line(data.may_not_act_because)}
            </Notice>
          )}
          <section class="panel" aria-label="About">
            <Facts>
              <Fact name="Answers for it">
                {line(data.owner)} {data.owner_type === "group" && "(group)"}
              </Fact>
              <Fact name="Program">{line(data.kind)}</Fact>
              <Fact name="Registered">
                <Time at={data.creation_time} />
              </Fact>
              <Fact name="Entity">
                <Mono text={data.id} />
              </Fact>
            </Facts>
          </section>
          <Activity agent={data} />
        </>
      )}
      {asking && data && (
        <ActionDialog
          title={data.disabled ? `Enable ${line(name)}?` : `Disable ${line(name)}?`}
          action={data.disabled ? "Enable" : "Disable"}
          danger={!data.disabled}
          run={async () => {
            await write(`${path}/${verb}`, {});
            setAsking(false);
            announce(data.disabled ? "Enabled." : "Disabled.");
            await agent.reload();
          }}
          onClose={() => setAsking(false)}
        >
          <p>
            {data.disabled
              ? "Its tokens and logins are taken again."
              : "Its tokens and logins are refused at once. Leases that it holds live on; end them under Incident."}
          </p>
        </ActionDialog>
      )}
    </>
  );
}
