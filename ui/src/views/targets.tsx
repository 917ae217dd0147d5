import { list, read, requestHeaders } from "../api";
import { useResource, useTitle } from "../hooks";
import {
  Badge,
  Countdown,
  Empty,
  Fact,
  Facts,
  Loading,
  Notice,
  PageHead,
  Problem,
} from "../parts/basics";
import { line, pathOf, plural } from "../text";
import { duration } from "../time";
import type { Unreachable } from "../types";

interface Connections {
  mount: string;
  target: string;
  max: number;
  in_use: number;
  waiting: number; // callers
}

interface Target {
  mount: string;
  name: string;
  connections: Connections | null;
  leases: number | null;
  unreachable: Unreachable | null;
  observed: string; // why it is not touched
}

interface Gauge {
  Name: string;
  Value: number;
  Label: string;
}

// What sys/targets says.
interface Down {
  unreachable: Unreachable[];
  connections: Connections[];
}

interface Targets {
  targets: Target[];
  lag: number | null; // seconds
  lockOut: number | null;
  gone: number | null;
}

const orNull = <T,>(promise: Promise<T>): Promise<T | null> => promise.catch(() => null);

// The mean of a histogram, in seconds.
function mean(gauges: Gauge[], name: string): number | null {
  const of = (suffix: string) => gauges.find((gauge) => gauge.Name === name + suffix)?.Value;
  const sum = of("_sum");
  const count = of("_count");
  return sum !== undefined && count ? sum / count : null;
}

async function metrics(signal: AbortSignal): Promise<Gauge[]> {
  // Not in Vault's envelope.
  const response = await fetch("/v1/sys/metrics", {
    headers: requestHeaders(),
    credentials: "same-origin",
    signal,
  });
  if (!response.ok) return [];
  return ((await response.json()) as { Gauges?: Gauge[] }).Gauges ?? [];
}

async function describe(
  mount: string,
  name: string,
  down: Down,
  signal: AbortSignal,
): Promise<Target> {
  const count = await orNull(
    read<{ lease_count: number }>("sys/leases/count", { query: { target: name, mount }, signal }),
  );
  const isIt = (one: { mount: string; target: string }) =>
    one.mount === mount && one.target === name;
  return {
    mount,
    name,
    connections: down.connections.find(isIt) ?? null,
    leases: count?.lease_count ?? null,
    unreachable: down.unreachable.find(isIt) ?? null,
    observed: "",
  };
}

async function load(signal: AbortSignal): Promise<Targets> {
  const [down, mounts, gauges, observed] = await Promise.all([
    read<Down>("sys/targets", { signal }),
    orNull(
      read<{ secret?: Record<string, { type: string }> }>("sys/internal/ui/mounts", { signal }),
    ),
    metrics(signal).catch(() => []),
    orNull(
      read<{ targets: { mount: string; target: string; reason: string }[] }>("sys/observe", {
        signal,
      }),
    ),
  ]);
  const targets: Target[] = [];
  for (const [mount, entry] of Object.entries(mounts?.secret ?? {})) {
    if (entry.type !== "database") continue;
    const names = await orNull(list<{ keys: string[] }>(`${pathOf(mount)}config`, { signal }));
    targets.push(
      ...(await Promise.all(
        (names?.keys ?? []).map((name) => describe(mount, name, down, signal)),
      )),
    );
  }
  for (const target of targets)
    target.observed =
      observed?.targets.find((one) => one.mount === target.mount && one.target === target.name)
        ?.reason ?? "";
  for (const one of down.unreachable)
    if (!targets.some((target) => target.mount === one.mount && target.name === one.target))
      targets.push({
        mount: one.mount,
        name: one.target,
        connections: null,
        leases: null,
        unreachable: one,
        observed: "",
      });
  targets.sort((a, b) => Number(b.unreachable !== null) - Number(a.unreachable !== null));
  return {
    targets,
    lag: gauges.find((gauge) => gauge.Name === "curfew_revocation_lag_seconds")?.Value ?? null,
    lockOut: mean(gauges, "curfew_lock_out_lag_seconds"),
    gone: mean(gauges, "curfew_gone_lag_seconds"),
  };
}

const seconds = (value: number) =>
  value === 0 ? "0 s" : value < 10 ? `${value.toFixed(2)} s` : duration(value);

function TargetCard({ target }: { target: Target }) {
  const { unreachable } = target;
  return (
    <article class="card" aria-label={target.name}>
      <header class="card-head">
        <div>
          <h2>{line(target.name)}</h2>
          <p class="card-sub mono">{line(target.mount)}</p>
        </div>
        <div class="card-state">
          {unreachable ? (
            <Badge tone="bad" icon="cross">
              Does not answer
            </Badge>
          ) : target.observed ? (
            <Badge tone="warn" icon="alarm">
              Only observed
            </Badge>
          ) : (
            <Badge tone="good" icon="check">
              No trouble known
            </Badge>
          )}
        </div>
      </header>
      <Facts>
        <Fact name="Live leases">{target.leases ?? ""}</Fact>
        <Fact name="Connections in use">
          {target.connections && `${target.connections.in_use} of ${target.connections.max}`}
        </Fact>
        <Fact name="Waiting for one">{target.connections?.waiting ?? ""}</Fact>
        {unreachable && (
          <>
            <Fact name="Failed tries">{unreachable.failures}</Fact>
            <Fact name="Leases waiting">{unreachable.leases_waiting}</Fact>
            <Fact name="Next try in">
              <Countdown to={unreachable.next_attempt} over="now" />
            </Fact>
          </>
        )}
      </Facts>
      {unreachable && (
        <Notice tone="bad" title="Last error:">
          {line(unreachable.error)}
        </Notice>
      )}
      {target.observed && (
        <Notice tone="warn" title="This server does not touch it:">
          {line(target.observed)}
        </Notice>
      )}
    </article>
  );
}

export function TargetsPage() {
  useTitle("Targets");
  const targets = useResource("targets", load, 10);
  const { data } = targets;
  const down = (data?.targets ?? []).filter((target) => target.unreachable).length;
  return (
    <>
      <PageHead
        title="Targets"
        lead={
          data &&
          (down > 0
            ? `${plural(down, "target")} of ${data.targets.length} do not answer; their leases wait until they do.`
            : `${plural(data.targets.length, "target")}; none is known to be in trouble.`)
        }
      />
      <Problem error={targets.error} what="the targets" />
      {targets.loading && <Loading />}
      {data && data.lag !== null && (
        <section class="panel" aria-label="How fast leases end">
          <h2>How fast leases end</h2>
          <Facts>
            <Fact name="Most overdue lease">{data.lag > 0 ? seconds(data.lag) : "none overdue"}</Fact>
            <Fact name="Locked out after, on average">
              {data.lockOut !== null && seconds(data.lockOut)}
            </Fact>
            <Fact name="Proven gone after, on average">{data.gone !== null && seconds(data.gone)}</Fact>
          </Facts>
        </section>
      )}
      {data && data.targets.length === 0 && (
        <Empty title="No database is configured.">
          <span class="mono">curfew target setup</span> makes one ready.
        </Empty>
      )}
      <div class="cards two">
        {(data?.targets ?? []).map((target) => (
          <TargetCard key={`${target.mount}${target.name}`} target={target} />
        ))}
      </div>
    </>
  );
}
