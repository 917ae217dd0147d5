// The API's data, as far as the page looks at it.

export type State =
  | "pending"
  | "approved"
  | "denied"
  | "expired"
  | "cancelled"
  | "superseded"
  | "claimed"
  | "lapsed"
  | "withdrawn"
  | "ended";

export interface Named {
  id: string;
  name: string;
}

export interface Decision {
  by: Named;
  verdict: string;
  reason?: string;
  at: string;
  digest?: string;
  ttl?: number;
  counts?: boolean;
}

export interface Factor {
  name: string;
  groups: Named[];
  approvals: number;
  given: number;
  by: Named[];
  satisfied: boolean;
}

export interface Privilege {
  object: string;
  privileges: string[];
}

export interface Evidence {
  database?: string;
  statements?: string[];
  privileges?: Privilege[];
  statement?: { text: string; parameters?: unknown[] };
  rehearsal?: Rehearsal | null;
}

// What was seen when it was tried and rolled back; without a statement only the rights.
export interface Rehearsal {
  privileges?: Privilege[];
  member_of?: string[];
  attributes?: string[];
  rows?: number;
  milliseconds?: number;
  tables?: TableChange[];
  sample?: unknown;
  locks?: { relation: string; mode: string }[];
  triggers?: unknown[];
  plan?: unknown;
  warnings?: string[];
  shortened?: boolean;
}

export interface TableChange {
  table: string;
  inserted: number;
  updated: number;
  deleted: number;
  sample_before?: unknown;
  sample_after?: unknown;
}

export interface Task {
  leases_max: number;
  leases_used: number;
  statements_max: number;
  statements_used: number;
  ends_at: string | null;
  duration: number;
}

export interface Approval {
  id: string;
  kind: "access" | "task";
  state: State;
  revision: number;
  digest: string;
  path: string;
  operation: string;
  parameters?: Record<string, unknown>;
  mount: string;
  role: string;
  target: string;
  ttl: number;
  ttl_max?: number;
  evidence?: Evidence | null; // absent in lists
  requester: {
    entity_id?: string;
    entity_name?: string;
    kind?: string;
    agent?: string;
    display_name?: string;
    human?: string;
    owner?: string;
    session?: string;
    trace_id?: string;
    sub_agent?: string;
    remote_address?: string;
  };
  claims_of_agent?: { purpose?: string; reason?: string; ticket?: string };
  task: Task | null;
  created_at: string;
  expires_at: string | null;
  escalate_at?: string | null;
  escalated?: boolean;
  escalate_to?: Named[];
  approved_at?: string | null;
  claim_until?: string | null;
  claimed_at?: string | null;
  closed_at?: string | null;
  factors: Factor[];
  decisions?: Decision[];
  lease_ids?: string[];
  policies?: string[];
  rule_path?: string;
  policy_version?: string;
  automatic?: { rule: string; version: string } | null;
  shadow?: { rule: string; would_approve: boolean; why: string }[];
  break_glass?: false | { review_due: string | null; reviewed: boolean };
  can?: {
    approve?: boolean;
    deny?: boolean;
    narrow?: boolean;
    cancel?: boolean;
    withdraw?: boolean;
    claim?: boolean;
    comment?: boolean;
    review?: boolean;
    why_not?: string;
  };
  waiting?: boolean;
  earlier?: { id: string; state: State; path: string; created_at: string }[];
}

export interface ApprovalList {
  keys: string[];
  key_info: Record<string, Approval>;
  next: string | null;
}

export interface Attribution {
  agent?: string;
  display_name?: string;
  entity_id?: string;
  entity_name?: string;
  purpose?: string;
  session?: string;
  trace_id?: string;
  ticket?: string;
  human?: string;
  sub_agent?: string;
  remote_address?: string;
}

export interface Receipt {
  proven: boolean;
  due_at: string;
  ended_at: string;
  attempts: number;
  subject?: Record<string, unknown>;
  phases?: Record<string, Record<string, unknown>>;
  checked?: unknown;
  warnings?: unknown;
}

export interface Lease {
  id: string;
  issue_time: string;
  expire_time: string;
  renewable: boolean;
  ttl: number;
  state: string;
  attribution: Attribution;
  attempts?: number;
  revoke_error?: string;
  error?: string;
  receipt?: Receipt | null;
  mount?: string;
}

export interface LeasePage {
  lease_count: number;
  leases: Lease[];
  next: string;
}

export interface Agent {
  id: string;
  name: string;
  kind: string;
  description: string;
  owner: string;
  owner_type: string;
  disabled: boolean;
  may_act: boolean;
  may_not_act_because: string;
  policies: string[] | null;
  ceiling_policies: string[] | null;
  allowed_roles: string[] | null;
  max_live_leases: number;
  max_leases_per_hour: number;
  max_ttl: number;
  creation_time: string;
  last_update_time: string;
}

export interface AgentInfo {
  id: string;
  kind: string;
  owner: string;
  may_act: boolean;
}

export type Scope = Partial<
  Record<"agent" | "session" | "trace" | "token" | "role" | "target" | "mount", string>
> & { all?: boolean };

export interface EndPreview {
  scope: Scope;
  found: number;
  tokens: number;
  counts: { mount: string; role: string; target: string; state: string; count: number }[];
  leases: Lease[];
}

export interface EndProgress {
  id: string;
  scope: Scope;
  reason: string;
  by: string;
  started_at: string;
  finished: boolean;
  finished_at: string | null;
  lockdown: string | null;
  looking: boolean;
  tokens: number;
  found: number;
  locked_out: number;
  ended: number;
  failing: number;
  receipts: { proven: number; never_made: number; given_up: number; warnings: number };
  leases: Lease[];
}

export interface Lockdown {
  id?: string;
  scope: Scope;
  reason: string;
  by: string;
  since: string;
}

export interface Unreachable {
  mount: string;
  target: string;
  since: string;
  failures: number;
  next_attempt: string;
  leases_waiting: number;
  error: string;
}
