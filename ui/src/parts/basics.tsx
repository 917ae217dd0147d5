import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

import { errorText } from "../hooks";
import { clean, line } from "../text";
import { clockTime, dateTime, millis, useNow } from "../time";
import { Icon, type IconName } from "./icons";

export type Tone = "good" | "bad" | "warn" | "busy" | "quiet";

const states: Record<string, [Tone, IconName, string]> = {
  pending: ["busy", "circle", "Pending"],
  approved: ["good", "check", "Approved"],
  denied: ["bad", "cross", "Denied"],
  expired: ["quiet", "clock", "Expired"],
  cancelled: ["quiet", "minus", "Cancelled"],
  superseded: ["quiet", "undo", "Superseded"],
  claimed: ["good", "dot", "In use"],
  lapsed: ["quiet", "clock", "Lapsed"],
  withdrawn: ["bad", "undo", "Withdrawn"],
  ended: ["quiet", "minus", "Ended"],
  active: ["good", "dot", "Active"],
  revoking: ["warn", "clock", "Ending"],
  quarantined: ["bad", "alarm", "Cannot be ended yet"],
  revoked: ["quiet", "check", "Ended, proven"],
  abandoned: ["bad", "cross", "Given up"],
};

// A state by shape and word, and by colour only in addition.
export function Badge(props: { tone: Tone; icon: IconName; children: ComponentChildren }) {
  return (
    <span class={`badge ${props.tone}`}>
      <Icon name={props.icon} />
      {props.children}
    </span>
  );
}

export function StateBadge({ state }: { state: string }) {
  const [tone, icon, text] = states[state] ?? ["quiet", "circle", line(state)];
  return (
    <Badge tone={tone} icon={icon}>
      {text}
    </Badge>
  );
}

export function Notice(props: {
  tone: Tone;
  title?: string;
  children?: ComponentChildren;
  role?: "alert" | "status";
}) {
  const icon: IconName =
    props.tone === "good" ? "check" : props.tone === "quiet" ? "circle" : "alarm";
  return (
    <div class={`notice ${props.tone}`} role={props.role}>
      <Icon name={icon} />
      <div>
        {props.title && <strong>{props.title}</strong>} {props.children}
      </div>
    </div>
  );
}

export function Problem({ error, what }: { error: Error | null; what: string }) {
  if (!error) return null;
  const status = (error as { status?: number }).status;
  if (status === 403)
    return (
      <Notice tone="quiet" title={`You may not see ${what}.`}>
        Your policies do not allow it. Whoever runs this server can change that.
      </Notice>
    );
  return (
    <Notice tone="bad" title={`Loading ${what} failed.`} role="alert">
      {line(errorText(error))}
    </Notice>
  );
}

export function Empty(props: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name="moon" />
      <p class="empty-title">{props.title}</p>
      {props.children && <p>{props.children}</p>}
    </div>
  );
}

export function Loading() {
  return (
    <p class="loading" role="status">
      Loading …
    </p>
  );
}

// A name and its value; left out where there is no value.
export function Fact(props: { name: string; children?: ComponentChildren; wide?: boolean }) {
  const { children } = props;
  if (children === undefined || children === null || children === "" || children === false)
    return null;
  return (
    <div class={props.wide ? "fact wide" : "fact"}>
      <dt>{props.name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function Facts({ children }: { children: ComponentChildren }) {
  return <dl class="facts">{children}</dl>;
}

export function Mono({ text }: { text: unknown }) {
  return <span class="mono">{line(text)}</span>;
}

// SQL, or other text with lines of its own.
export function Code({ text, name }: { text: unknown; name: string }) {
  return (
    <pre class="code" tabIndex={0} role="region" aria-label={name}>
      <code>{clean(text)}</code>
    </pre>
  );
}

export function Time({ at }: { at: string | null | undefined }) {
  if (!at) return <>–</>;
  return <time dateTime={at}>{dateTime(at)}</time>;
}

// The time that is left, counting down. Screen readers get the end instead: a text that changes
// every second would be read without pause.
export function Countdown({ to, over = "over" }: { to: string; over?: string }) {
  const now = useNow();
  const left = (millis(to) - now) / 1000;
  const urgent = left > 0 && left < 120;
  return (
    <span class={urgent ? "countdown urgent" : "countdown"}>
      <span aria-hidden="true">{left > 0 ? clockTime(left) : over}</span>
      <span class="unseen">{left > 0 ? `until ${dateTime(to)}` : over}</span>
    </span>
  );
}

export function Field(props: {
  label: string;
  value: string;
  onInput: (value: string) => void;
  hint?: string;
  type?: "text" | "password";
  required?: boolean;
  multiline?: boolean;
  autocomplete?: string;
  error?: string;
  name?: string;
  optional?: boolean;
  autoFocus?: boolean;
}) {
  const id = useId();
  const note = props.error || props.hint;
  const common = {
    id,
    name: props.name,
    value: props.value,
    required: props.required,
    spellcheck: props.multiline === true,
    autofocus: props.autoFocus,
    "aria-invalid": props.error ? true : undefined,
    "aria-describedby": note ? `${id}-note` : undefined,
    onInput: (event: Event) =>
      props.onInput((event.currentTarget as HTMLInputElement | HTMLTextAreaElement).value),
  };
  return (
    <div class="field">
      <label for={id}>
        {props.label}
        {props.optional && <span class="optional"> (optional)</span>}
      </label>
      {props.multiline ? (
        <textarea {...common} rows={3} maxLength={2000} />
      ) : (
        <input
          {...common}
          type={props.type ?? "text"}
          autocomplete={props.autocomplete ?? "off"}
          autocapitalize="none"
        />
      )}
      {note && (
        <p class={props.error ? "note error" : "note"} id={`${id}-note`}>
          {note}
        </p>
      )}
    </div>
  );
}

export function Choice(props: {
  label: string;
  value: string;
  options: [value: string, text: string][];
  onInput: (value: string) => void;
}) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <select
        id={id}
        value={props.value}
        onInput={(event) => props.onInput(event.currentTarget.value)}
      >
        {props.options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

export function Check(props: {
  label: string;
  checked: boolean;
  onInput: (checked: boolean) => void;
  hint?: string;
}) {
  const id = useId();
  return (
    <div class="check">
      <input
        id={id}
        type="checkbox"
        checked={props.checked}
        aria-describedby={props.hint ? `${id}-note` : undefined}
        onInput={(event) => props.onInput(event.currentTarget.checked)}
      />
      <div>
        <label for={id}>{props.label}</label>
        {props.hint && (
          <p class="note" id={`${id}-note`}>
            {props.hint}
          </p>
        )}
      </div>
    </div>
  );
}

export function PageHead(props: {
  title: string;
  lead?: ComponentChildren;
  children?: ComponentChildren;
}) {
  return (
    <div class="page-head">
      <div>
        <h1 tabIndex={-1} id="page-title">
          {props.title}
        </h1>
        {props.lead && <p class="lead">{props.lead}</p>}
      </div>
      {props.children && <div class="page-actions">{props.children}</div>}
    </div>
  );
}

// Links that choose among lists of one view.
export function Tabs(props: {
  label: string;
  current: string;
  tabs: { id: string; text: string; href: string; count?: number }[];
}) {
  return (
    <nav class="tabs" aria-label={props.label}>
      {props.tabs.map((tab) => (
        <a key={tab.id} href={tab.href} aria-current={tab.id === props.current ? "page" : undefined}>
          {tab.text}
          {tab.count !== undefined && tab.count > 0 && <span class="count">{tab.count}</span>}
        </a>
      ))}
    </nav>
  );
}
