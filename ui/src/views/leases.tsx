import { useState } from "preact/hooks";

import { read, write } from "../api";
import { announce, errorText, useResource, useTitle } from "../hooks";
import {
  Badge,
  Choice,
  Countdown,
  Empty,
  Field,
  Loading,
  Notice,
  PageHead,
  Problem,
  StateBadge,
  Time,
} from "../parts/basics";
import { ActionDialog } from "../parts/dialog";
import { LeaseFacts, ReceiptView, roleOf, whoHas } from "../parts/lease";
import { hrefOf } from "../router";
import { line, plural } from "../text";
import type { Lease, LeasePage } from "../types";

const LIMIT = 500;

interface Ending {
  id: string;
  state: "running" | "ended" | "failed";
  error?: string;
  lease?: Lease;
}

// Ends one lease and fetches what proves it.
async function endLease(id: string): Promise<Ending> {
  try {
    await write("sys/leases/revoke", { lease_id: id, sync: true });
    const lease = await write<Lease>("sys/leases/receipt", { lease_id: id });
    return { id, state: "ended", lease };
  } catch (error) {
    return { id, state: "failed", error: line(errorText(error)) };
  }
}

// A few at a time: the target has only so many connections for this.
async function endAll(ids: string[], each: (ending: Ending) => void): Promise<void> {
  const waiting = [...ids];
  const worker = async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) each(await endLease(id));
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
}

function Endings({ endings, onClose }: { endings: Ending[]; onClose: () => void }) {
  const over = endings.every((one) => one.state !== "running");
  const proven = endings.filter((one) => one.lease?.receipt?.proven).length;
  return (
    <section class="panel" aria-label="Ending leases">
      <div class="panel-head">
        <h2>
          {over
            ? `${proven} of ${endings.length} ended and proven gone`
            : `Ending ${plural(endings.length, "lease")} …`}
        </h2>
        {over && (
          <button type="button" onClick={onClose}>
            Done
          </button>
        )}
      </div>
      <progress
        max={endings.length}
        value={endings.filter((one) => one.state !== "running").length}
        aria-label="Leases ended"
      />
      <ul class="rows">
        {endings.map((one) => (
          <li key={one.id} class="row">
            <div class="row-main">
              <a class="row-title mono" href={hrefOf("leases", one.id)}>
                {line(one.id)}
              </a>
              {one.error && <span class="error-text">{one.error}</span>}
            </div>
            {one.state === "running" && (
              <Badge tone="busy" icon="clock">
                Ending
              </Badge>
            )}
            {one.state === "failed" && (
              <Badge tone="bad" icon="cross">
                Not ended yet
              </Badge>
            )}
            {one.state === "ended" &&
              (one.lease?.receipt?.proven ? (
                <Badge tone="good" icon="check">
                  Proven gone
                </Badge>
              ) : (
                <Badge tone="warn" icon="alarm">
                  Not proven
                </Badge>
              ))}
          </li>
        ))}
      </ul>
      {over && endings.length === 1 && endings[0]?.lease?.receipt && (
        <ReceiptView receipt={endings[0].lease.receipt} />
      )}
    </section>
  );
}

function matches(lease: Lease, words: string[]): boolean {
  const by = lease.attribution;
  const text = [lease.id, whoHas(lease), by.human, by.session, by.trace_id, by.purpose, by.sub_agent]
    .map(line)
    .join(" ")
    .toLowerCase();
  return words.every((word) => text.includes(word));
}

function LeaseRow(props: {
  lease: Lease;
  chosen: boolean;
  onChoose: (chosen: boolean) => void;
  onEnd: () => void;
}) {
  const { lease } = props;
  const live = ["active", "pending", "quarantined", "revoking"].includes(lease.state);
  const name = `${roleOf(lease)} of ${whoHas(lease)}`;
  return (
    <tr data-lease={lease.id}>
      <td class="cell-choose">
        {live && (
          <input
            type="checkbox"
            checked={props.chosen}
            aria-label={`Choose ${name}`}
            onInput={(event) => props.onChoose(event.currentTarget.checked)}
          />
        )}
      </td>
      <th scope="row" data-label="Role">
        <a href={hrefOf("leases", lease.id)}>{roleOf(lease)}</a>
        <span class="under mono">{line(lease.id).split("/").slice(0, -2).join("/")}</span>
      </th>
      <td data-label="Held by">
        {whoHas(lease)}
        {lease.attribution.session && (
          <span class="under">session {line(lease.attribution.session)}</span>
        )}
      </td>
      <td data-label="State">
        <StateBadge state={lease.state} />
      </td>
      <td class="number" data-label="Ends in">
        {lease.state === "active" || lease.state === "pending" ? (
          <Countdown to={lease.expire_time} over="due" />
        ) : (
          <Time at={lease.receipt?.ended_at ?? lease.expire_time} />
        )}
      </td>
      <td class="cell-action">
        {live && (
          <button type="button" class="danger-quiet" onClick={props.onEnd}>
            End<span class="unseen"> {name}</span>
          </button>
        )}
      </td>
    </tr>
  );
}

export function Leases() {
  useTitle("Leases");
  const [type, setType] = useState("");
  const [filter, setFilter] = useState("");
  const [chosen, setChosen] = useState<string[]>([]);
  const [asking, setAsking] = useState<string[]>([]);
  const [endings, setEndings] = useState<Ending[]>([]);
  const leases = useResource(
    `leases ${type}`,
    (signal) => read<LeasePage>("sys/leases", { query: { limit: LIMIT, type }, signal }),
    5,
  );
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const all = leases.data?.leases ?? [];
  const shown = all
    .filter((lease) => matches(lease, words))
    .sort((a, b) => a.expire_time.localeCompare(b.expire_time));
  const picked = chosen.filter((id) => shown.some((lease) => lease.id === id));

  const end = async (ids: string[]) => {
    setAsking([]);
    setChosen([]);
    setEndings(ids.map((id) => ({ id, state: "running" })));
    await endAll(ids, (ending) =>
      setEndings((before) => before.map((one) => (one.id === ending.id ? ending : one))),
    );
    announce(`${plural(ids.length, "lease")} dealt with.`);
    await leases.reload();
  };
  return (
    <>
      <PageHead
        title="Leases"
        lead={
          leases.data &&
          `${plural(shown.length, "lease")}${all.length >= LIMIT ? `; only the first ${LIMIT} are looked at` : ""}.`
        }
      >
        <button
          type="button"
          class="danger-quiet"
          disabled={picked.length === 0}
          onClick={() => setAsking(picked)}
        >
          End chosen{picked.length > 0 ? ` (${picked.length})` : ""}
        </button>
      </PageHead>
      <div class="filters">
        <Field
          label="Filter"
          value={filter}
          onInput={setFilter}
          hint="Agent, role, session, trace, purpose …"
        />
        <Choice
          label="State"
          value={type}
          onInput={setType}
          options={[
            ["", "Live"],
            ["active", "Active"],
            ["revoking", "Ending"],
            ["irrevocable", "Ending fails"],
            ["all", "All, also ended"],
          ]}
        />
      </div>
      {endings.length > 0 && <Endings endings={endings} onClose={() => setEndings([])} />}
      <Problem error={leases.error} what="the leases" />
      {leases.loading && <Loading />}
      {leases.data && shown.length === 0 && (
        <Empty title={filter ? "Nothing fits the filter." : "Nobody holds a lease."} />
      )}
      {shown.length > 0 && (
        <table class="table cards-on-phone">
          <caption class="unseen">Leases</caption>
          <thead>
            <tr>
              <th scope="col" class="cell-choose">
                <input
                  type="checkbox"
                  aria-label="Choose all that are shown"
                  checked={picked.length > 0 && picked.length === shown.length}
                  onInput={(event) =>
                    setChosen(event.currentTarget.checked ? shown.map((lease) => lease.id) : [])
                  }
                />
              </th>
              <th scope="col">Role</th>
              <th scope="col">Held by</th>
              <th scope="col">State</th>
              <th scope="col" class="number">
                Ends in
              </th>
              <th scope="col">
                <span class="unseen">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((lease) => (
              <LeaseRow
                key={lease.id}
                lease={lease}
                chosen={picked.includes(lease.id)}
                onChoose={(choose) =>
                  setChosen(choose ? [...picked, lease.id] : picked.filter((id) => id !== lease.id))
                }
                onEnd={() => setAsking([lease.id])}
              />
            ))}
          </tbody>
        </table>
      )}
      {asking.length > 0 && (
        <ActionDialog
          title={`End ${plural(asking.length, "lease")}?`}
          action="End now"
          danger
          run={() => end(asking)}
          onClose={() => setAsking([])}
        >
          <p>
            The credential is locked out, its sessions are ended and its role is removed. Programs
            that use it lose their connection at once.
          </p>
        </ActionDialog>
      )}
    </>
  );
}

export function LeasePageView({ id }: { id: string }) {
  useTitle("Lease");
  const [asking, setAsking] = useState(false);
  const lease = useResource(
    `lease ${id}`,
    () => write<Lease>("sys/leases/receipt", { lease_id: id }),
    5,
  );
  const { data } = lease;
  const live = data && !data.receipt;
  return (
    <>
      <p class="back">
        <a href="#/leases">Leases</a>
      </p>
      <PageHead title={data ? roleOf(data) : "Lease"} lead={data && `Held by ${whoHas(data)}.`}>
        {data && <StateBadge state={data.state} />}
        {live && (
          <button type="button" class="danger-quiet" onClick={() => setAsking(true)}>
            End lease
          </button>
        )}
      </PageHead>
      <Problem error={lease.error} what="the lease" />
      {lease.loading && <Loading />}
      {data && (
        <section class="panel" aria-label="Lease">
          {data.state === "active" && (
            <p class="big-countdown">
              Ends in <Countdown to={data.expire_time} over="due" />
            </p>
          )}
          <LeaseFacts lease={data} />
          {data.revoke_error && (
            <Notice tone="bad" title={`Ending it fails (attempt ${data.attempts}).`}>
              {line(data.revoke_error)}
            </Notice>
          )}
          {data.receipt && <ReceiptView receipt={data.receipt} />}
        </section>
      )}
      {asking && (
        <ActionDialog
          title="End this lease?"
          action="End now"
          danger
          run={async () => {
            await write("sys/leases/revoke", { lease_id: id, sync: true });
            setAsking(false);
            announce("The lease is ended.");
            await lease.reload();
          }}
          onClose={() => setAsking(false)}
        >
          <p>Programs that use the credential lose their connection at once.</p>
        </ActionDialog>
      )}
    </>
  );
}
