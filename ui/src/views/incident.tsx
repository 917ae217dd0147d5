import { useState } from "preact/hooks";

import { list, read, remove, write } from "../api";
import { announce, useResource, useTitle } from "../hooks";
import {
  Badge,
  Check,
  Empty,
  Fact,
  Facts,
  Field,
  Loading,
  Mono,
  Notice,
  PageHead,
  Problem,
  StateBadge,
  Time,
} from "../parts/basics";
import { ActionDialog } from "../parts/dialog";
import { roleOf, scopeText, whoHas } from "../parts/lease";
import { go, hrefOf } from "../router";
import { line, plural } from "../text";
import type { EndPreview, EndProgress, Lockdown, Scope } from "../types";

type Member = Exclude<keyof Scope, "all">;

const members: [Member, string, string][] = [
  ["agent", "Agent", "Its name; of callers that are not registered the entity's id."],
  ["session", "Session", ""],
  ["trace", "Trace", "32 hexadecimal digits."],
  ["token", "Token", "Its accessor; with the tokens below it."],
  ["role", "Role", ""],
  ["target", "Target", ""],
  ["mount", "Mount", "A path such as database/."],
];

function scopeOf(fields: Partial<Record<Member, string>>, all: boolean): Scope {
  if (all) return { all: true };
  const scope: Scope = {};
  for (const [name] of members) {
    const text = fields[name]?.trim();
    if (text) scope[name] = text;
  }
  return scope;
}

function Preview({ preview }: { preview: EndPreview }) {
  return (
    <section class="panel" aria-label="What would be ended" aria-live="polite">
      <h2>
        {plural(preview.found, "lease")}
        {preview.tokens > 0 && ` and ${plural(preview.tokens, "token")}`} would be ended
      </h2>
      <p class="quiet-text">In scope: {scopeText(preview.scope)}. Nothing has been ended yet.</p>
      {preview.counts.length > 0 && (
        <table class="table">
          <caption class="unseen">Leases by role</caption>
          <thead>
            <tr>
              <th scope="col">Role</th>
              <th scope="col">Target</th>
              <th scope="col">State</th>
              <th scope="col" class="number">
                Leases
              </th>
            </tr>
          </thead>
          <tbody>
            {preview.counts.map((row, index) => (
              <tr key={index}>
                <th scope="row">
                  {line(row.role)} <span class="under mono">{line(row.mount)}</span>
                </th>
                <td>{line(row.target)}</td>
                <td>
                  <StateBadge state={row.state} />
                </td>
                <td class="number">{row.count}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {preview.leases.length > 0 && (
        <details>
          <summary>Which leases</summary>
          <ul class="plain">
            {preview.leases.map((lease) => (
              <li key={lease.id}>
                <Mono text={lease.id} /> · {whoHas(lease)}
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}

function Lockdowns() {
  const lockdowns = useResource(
    "lockdowns",
    (signal) =>
      list<{ keys: string[]; key_info: Record<string, Lockdown> }>("sys/lockdown", { signal }),
    15,
  );
  const [lifting, setLifting] = useState("");
  const ids = lockdowns.data?.keys ?? [];
  return (
    <section class="panel" aria-label="Lockdowns">
      <h2>Lockdowns in force</h2>
      <Problem error={lockdowns.error} what="the lockdowns" />
      {!lockdowns.loading && ids.length === 0 && !lockdowns.error && (
        <p class="quiet-text">None: leases are issued everywhere.</p>
      )}
      <ul class="rows">
        {ids.map((id) => {
          const lockdown = lockdowns.data?.key_info[id];
          return (
            <li key={id} class="row">
              <div class="row-main">
                <span class="row-title">{lockdown ? scopeText(lockdown.scope) : line(id)}</span>
                <span class="quiet-text">
                  {line(lockdown?.reason)} · {line(lockdown?.by)} · <Time at={lockdown?.since} />
                </span>
              </div>
              <button type="button" onClick={() => setLifting(id)}>
                Lift<span class="unseen"> lockdown {line(id)}</span>
              </button>
            </li>
          );
        })}
      </ul>
      {lifting && (
        <ActionDialog
          title="Lift this lockdown?"
          action="Lift it"
          run={async () => {
            await remove(`sys/lockdown/${encodeURIComponent(lifting)}`);
            setLifting("");
            announce("The lockdown is lifted.");
            await lockdowns.reload();
          }}
          onClose={() => setLifting("")}
        >
          <p>Leases are issued there again, to whoever the policies allow it.</p>
        </ActionDialog>
      )}
    </section>
  );
}

function Operations() {
  const operations = useResource("operations", (signal) =>
    list<{ keys: string[] }>("sys/leases/end", { signal }),
  );
  const ids = operations.data?.keys ?? [];
  if (ids.length === 0) return null;
  return (
    <section class="panel" aria-label="Operations">
      <h2>Earlier operations</h2>
      <ul class="plain">
        {ids.slice(0, 20).map((id) => (
          <li key={id}>
            <a class="mono" href={hrefOf("incident", id)}>
              {line(id)}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function Incident() {
  useTitle("Incident");
  const [fields, setFields] = useState<Partial<Record<Member, string>>>({});
  const [all, setAll] = useState(false);
  const [reason, setReason] = useState("");
  const [lockDown, setLockDown] = useState(true);
  const [preview, setPreview] = useState<EndPreview | null>(null);
  const [asking, setAsking] = useState<"end" | "lock" | "">("");
  const [typed, setTyped] = useState("");
  const [error, setError] = useState("");
  const [round, setRound] = useState(0);
  const scope = scopeOf(fields, all);
  const nothing = Object.keys(scope).length === 0;

  const change = (act: () => void) => {
    act();
    setPreview(null);
  };
  const look = async (event: Event) => {
    event.preventDefault();
    setError("");
    try {
      setPreview(await write<EndPreview>("sys/leases/end", { ...scope, dry_run: true, limit: 50 }));
    } catch (failure) {
      setPreview(null);
      setError(line((failure as Error).message));
    }
  };
  return (
    <>
      <PageHead
        title="Incident"
        lead="End everything that somebody holds, at once: first all of it is locked out, then removed, and each end is proven."
      />
      <form class="panel" onSubmit={look} aria-label="What to end">
        <h2>What is affected</h2>
        <p class="quiet-text">Several together narrow it down.</p>
        <div class="grid-fields">
          {members.map(([name, text, hint]) => (
            <Field
              key={name}
              label={text}
              name={name}
              value={all ? "" : (fields[name] ?? "")}
              hint={hint}
              onInput={(value) => change(() => setFields({ ...fields, [name]: value }))}
            />
          ))}
        </div>
        <Check
          label="Everything"
          checked={all}
          onInput={(value) => change(() => setAll(value))}
          hint="All leases of this namespace, whatever stands above."
        />
        <Field
          label="Reason"
          value={reason}
          onInput={setReason}
          multiline
          hint="It is audited, and agents that are refused read it."
        />
        <Check
          label="Lock down as well"
          checked={lockDown}
          onInput={setLockDown}
          hint="Nothing new is issued there until the lockdown is lifted."
        />
        {error && (
          <Notice tone="bad" role="alert">
            {error}
          </Notice>
        )}
        <div class="buttons">
          <button type="submit" class="primary" disabled={nothing}>
            See what would end
          </button>
          <button
            type="button"
            disabled={nothing || reason.trim() === ""}
            onClick={() => setAsking("lock")}
          >
            Only lock down
          </button>
        </div>
      </form>
      {preview && (
        <>
          <Preview preview={preview} />
          <div class="buttons end">
            {reason.trim() === "" && <p class="why-not">Give a reason to go on.</p>}
            <button
              type="button"
              class="danger"
              disabled={reason.trim() === ""}
              onClick={() => setAsking("end")}
            >
              End {plural(preview.found, "lease")} now
            </button>
          </div>
        </>
      )}
      <Lockdowns key={round} />
      <Operations />
      {asking === "end" && preview && (
        <ActionDialog
          title={`End ${plural(preview.found, "lease")}?`}
          action="End them now"
          danger
          disabled={typed.trim().toLowerCase() !== "end"}
          run={async () => {
            const begun = await write<{ id: string }>("sys/leases/end", {
              ...scope,
              reason: reason.trim(),
              lock_down: lockDown,
            });
            setAsking("");
            go(hrefOf("incident", begun.id));
          }}
          onClose={() => setAsking("")}
        >
          <p>
            In scope: {scopeText(scope)}. Sessions that use these credentials end.{" "}
            {lockDown && "Nothing new is issued there until you lift the lockdown."}
          </p>
          <Field
            label="Type “end” to confirm"
            value={typed}
            onInput={setTyped}
            required
          />
        </ActionDialog>
      )}
      {asking === "lock" && (
        <ActionDialog
          title="Lock this down?"
          action="Lock down"
          danger
          run={async () => {
            await write("sys/lockdown", { ...scope, reason: reason.trim() });
            setAsking("");
            setRound(round + 1);
            announce("Locked down.");
          }}
          onClose={() => setAsking("")}
        >
          <p>
            In scope: {scopeText(scope)}. New leases and renewals are refused; what is out stays as
            it is.
          </p>
        </ActionDialog>
      )}
    </>
  );
}

function Step(props: { name: string; count: number; of: number }) {
  return (
    <div class="meter">
      <span>
        {props.name}: {props.count} of {props.of}
      </span>
      <progress max={Math.max(1, props.of)} value={props.count} aria-label={props.name} />
    </div>
  );
}

export function Operation({ id }: { id: string }) {
  useTitle("Ending leases");
  const [over, setOver] = useState(false);
  const operation = useResource(
    `operation ${id}`,
    async (signal) => {
      const progress = await read<EndProgress>(`sys/leases/end/${encodeURIComponent(id)}`, {
        query: { limit: 50 },
        signal,
      });
      if (progress.finished && !over) {
        setOver(true);
        announce("All is ended.");
      }
      return progress;
    },
    over ? 0 : 1,
  );
  const { data } = operation;
  const proven = data ? data.receipts.proven + data.receipts.never_made : 0;
  return (
    <>
      <p class="back">
        <a href="#/incident">Incident</a>
      </p>
      <PageHead title="Ending leases" lead={data && `In scope: ${scopeText(data.scope)}.`}>
        {data &&
          (data.finished && proven === data.found ? (
            <Badge tone="good" icon="check">
              All gone, and proven
            </Badge>
          ) : data.finished ? (
            <Badge tone="warn" icon="alarm">
              Over, not all proven
            </Badge>
          ) : (
            <Badge tone="busy" icon="clock">
              Under way
            </Badge>
          ))}
      </PageHead>
      <Problem error={operation.error} what="the operation" />
      {operation.loading && <Loading />}
      {data && (
        <section class="panel" aria-label="How far it is">
          {data.looking && <p role="status">Looking for leases …</p>}
          <div class="meters">
            <Step name="Locked out" count={data.locked_out} of={data.found} />
            <Step name="Ended" count={data.ended} of={data.found} />
            <Step name="Proven gone" count={proven} of={data.found} />
          </div>
          <Facts>
            <Fact name="Failing">{data.failing}</Fact>
            <Fact name="Given up">{data.receipts.given_up}</Fact>
            <Fact name="Warnings">{data.receipts.warnings}</Fact>
            <Fact name="Tokens ended">{data.tokens}</Fact>
            <Fact name="Reason">{line(data.reason)}</Fact>
            <Fact name="By">{line(data.by)}</Fact>
            <Fact name="Begun">
              <Time at={data.started_at} />
            </Fact>
            {data.finished_at && (
              <Fact name="Over">
                <Time at={data.finished_at} />
              </Fact>
            )}
          </Facts>
          {data.failing > 0 && (
            <Notice tone="warn" title="Some cannot be ended yet.">
              Curfew goes on trying; they are locked out of what can be reached.
            </Notice>
          )}
          {data.lockdown && (
            <Notice tone="quiet" title="Locked down.">
              Nothing new is issued there until the lockdown is lifted under{" "}
              <a href="#/incident">Incident</a>.
            </Notice>
          )}
          <ul class="rows">
            {data.leases.map((lease) => (
              <li key={lease.id} class="row">
                <div class="row-main">
                  <a class="row-title" href={hrefOf("leases", lease.id)}>
                    {roleOf(lease)}
                  </a>
                  <span class="quiet-text">{whoHas(lease)}</span>
                  {lease.revoke_error && <span class="error-text">{line(lease.revoke_error)}</span>}
                </div>
                <StateBadge state={lease.state} />
              </li>
            ))}
          </ul>
        </section>
      )}
      {data && data.found === 0 && data.finished && <Empty title="There was nothing to end." />}
    </>
  );
}
