import { hrefOf } from "../router";
import { clean, label, line } from "../text";
import type { Lease, Receipt, Scope } from "../types";
import { Badge, Fact, Facts, Mono, Notice, Time } from "./basics";
import { Tree } from "./tree";

// "database/creds/agent-readonly/8kfR…" → path and role.
export function roleOf(lease: Lease): string {
  const parts = line(lease.id).split("/");
  return parts[parts.length - 2] ?? line(lease.id);
}

export function whoHas(lease: Lease): string {
  const by = lease.attribution;
  return line(by.entity_name || by.agent || by.display_name || by.entity_id || "unknown");
}

export function ReceiptView({ receipt }: { receipt: Receipt }) {
  const warnings = Array.isArray(receipt.warnings) ? receipt.warnings : [];
  return (
    <section class="receipt" aria-label="Receipt">
      <p class="receipt-title">
        Receipt{" "}
        {receipt.proven ? (
          <Badge tone="good" icon="check">
            Proven gone
          </Badge>
        ) : (
          <Badge tone="warn" icon="alarm">
            Not proven
          </Badge>
        )}
      </p>
      <Facts>
        <Fact name="Due">
          <Time at={receipt.due_at} />
        </Fact>
        <Fact name="Ended">
          <Time at={receipt.ended_at} />
        </Fact>
        <Fact name="Attempts">{receipt.attempts}</Fact>
      </Facts>
      {warnings.length > 0 && (
        <Notice tone="warn" title="Warnings.">
          {warnings.map(line).join("; ")}
        </Notice>
      )}
      {receipt.phases && Object.keys(receipt.phases).length > 0 && (
        <ol class="phases" aria-label="Phases">
          {Object.entries(receipt.phases)
            .sort(([, a], [, b]) => String(a.at ?? "").localeCompare(String(b.at ?? "")))
            .map(([name, note]) => (
              <li key={name}>
                <strong>{label(line(name))}</strong>{" "}
                <span class="quiet-text">
                  <Time at={String(note.at ?? "")} />
                </span>
              </li>
            ))}
        </ol>
      )}
      <details>
        <summary>What was looked at</summary>
        <Tree value={receipt.checked} />
        {receipt.subject && <Tree value={receipt.subject} />}
      </details>
    </section>
  );
}

export function LeaseFacts({ lease }: { lease: Lease }) {
  const by = lease.attribution;
  return (
    <>
      <Facts>
        <Fact name="Lease" wide>
          <Mono text={lease.id} />
        </Fact>
        <Fact name="Issued">
          <Time at={lease.issue_time} />
        </Fact>
        <Fact name="Ends">
          <Time at={lease.expire_time} />
        </Fact>
        <Fact name="Held by">
          {by.entity_name ? <a href={hrefOf("agents", by.entity_name)}>{whoHas(lease)}</a> : whoHas(lease)}
        </Fact>
        <Fact name="Its human">{line(by.human)}</Fact>
        <Fact name="Sub-agent">{line(by.sub_agent)}</Fact>
        <Fact name="Session">{line(by.session)}</Fact>
        <Fact name="Trace">{by.trace_id && <Mono text={by.trace_id} />}</Fact>
        <Fact name="From">{line(by.remote_address)}</Fact>
      </Facts>
      {(by.purpose || by.ticket) && (
        <section class="claims" aria-label="Claimed by the agent">
          <p class="claims-title">Claimed by the agent</p>
          {by.purpose && (
            <p>
              <span class="claims-name">Purpose</span>{" "}
              <bdi class="claims-text">{clean(by.purpose)}</bdi>
            </p>
          )}
          {by.ticket && (
            <p>
              <span class="claims-name">Ticket</span>{" "}
              <bdi class="claims-text">{clean(by.ticket)}</bdi>
            </p>
          )}
        </section>
      )}
    </>
  );
}

export function scopeText(scope: Scope): string {
  if (scope.all) return "everything";
  return Object.entries(scope)
    .filter(([, value]) => typeof value === "string" && value !== "")
    .map(([name, value]) => `${name} ${line(value)}`)
    .join(", ");
}
