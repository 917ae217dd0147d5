// A small company around one Curfew: a database with two roles, an agent, its owner, two approvers
// and an operator. Everything goes through the API, as its people would do it.
import { execFileSync } from "node:child_process";

const env = process.env;
export const address = env.UI_ADDRESS;
export const password = "correct horse battery";
const database = "curfew_ui";

export class Api {
  constructor(token = "") {
    this.token = token;
  }

  async call(method, path, body, headers = {}) {
    const response = await fetch(`${address}/v1/${path}`, {
      method,
      headers: { "Content-Type": "application/json", "X-Vault-Token": this.token, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : {}, headers: response.headers };
  }

  // The answer; anything but success is an error with what was said.
  async must(method, path, body, headers) {
    const answer = await this.call(method, path, body, headers);
    if (answer.status >= 300)
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body.errors)}`);
    return answer.body;
  }

  read(path) {
    return this.must("GET", path);
  }

  write(path, body = {}, headers) {
    return this.must("POST", path, body, headers);
  }
}

export const root = new Api(env.UI_ROOT_TOKEN);

export function sql(statement, where = database) {
  const url = new URL(env.CURFEW_TEST_PG);
  url.pathname = `/${where}`;
  return execFileSync(env.UI_PSQL, ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url.href], {
    input: statement,
    encoding: "utf8",
  }).trim();
}

const queue = `
path "sys/approvals" { capabilities = ["create", "read", "update", "list"] }
path "sys/approvals/*" { capabilities = ["create", "read", "update", "list"] }`;
const policies = {
  approver: queue,
  agents: `${queue}
path "database/creds/agent-readonly" { capabilities = ["read"] }
path "database/creds/agent-readwrite" {
  capabilities = ["read"]
  approval {
    factor "owners" {
      identity {
        group_names = ["data-owners"]
        approvals   = 2
      }
    }
    task {
      max_leases   = 20
      max_duration = "2h"
    }
  }
}`,
  sre: `${queue}
path "database/creds/agent-readwrite" {
  capabilities = ["read"]
  approval {
    factor "owners" {
      identity {
        group_names = ["data-owners"]
        approvals   = 1
      }
    }
    break_glass { group_names = ["sre"] }
  }
}`,
  operator: `
path "sys/*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }
path "identity/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "database/*" { capabilities = ["read", "list"] }`,
  "agents-maker": `path "auth/token/create" { capabilities = ["create", "update"] }`,
};

const connect = `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`;
const roles = {
  "agent-readonly": [connect, `GRANT SELECT ON public.orders, public.customers TO "{{name}}"`],
  "agent-readwrite": [
    connect,
    `GRANT SELECT, UPDATE ON public.orders TO "{{name}}"`,
    `GRANT SELECT ON public.customers TO "{{name}}"`,
  ],
};

async function makeDatabase() {
  sql(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`, "postgres");
  sql(`CREATE DATABASE ${database}`, "postgres");
  sql(`CREATE TABLE public.customers AS SELECT 7 AS id, 'Ada' AS name;
       CREATE TABLE public.orders AS SELECT 4711 AS id, 7 AS customer, 'paid' AS status;
       ALTER TABLE public.orders ADD PRIMARY KEY (id)`);
  const url = new URL(env.CURFEW_TEST_PG);
  await root.write("sys/mounts/database", { type: "database" });
  await root.write("database/config/orders", {
    plugin_name: "postgresql-database-plugin",
    connection_url: `postgresql://{{username}}:{{password}}@${url.host}/${database}`,
    username: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    allowed_roles: ["*"],
  });
  for (const [name, creation_statements] of Object.entries(roles))
    await root.write(`database/roles/${name}`, {
      db_name: "orders",
      creation_statements,
      default_ttl: "15m",
      max_ttl: "1h",
    });
}

async function makePeople() {
  await root.write("sys/auth/userpass", {
    type: "userpass",
    config: { listing_visibility: "unauth" },
  });
  const mounts = (await root.read("sys/auth")).data;
  const accessor = mounts["userpass/"].accessor;
  const people = {};
  for (const [name, policy] of Object.entries({
    ana: ["agents", "agents-maker"],
    bob: ["approver"],
    carol: ["approver"],
    olga: ["operator"],
    sam: ["sre"],
  })) {
    await root.write(`auth/userpass/users/${name}`, {
      password,
      token_policies: policy,
      token_ttl: "1h",
    });
    const entity = await root.write("identity/entity", { name, kind: "human" });
    await root.write("identity/entity-alias", {
      name,
      canonical_id: entity.data.id,
      mount_accessor: accessor,
    });
    people[name] = entity.data.id;
  }
  await root.write("identity/group", {
    name: "data-owners",
    member_entity_ids: [people.bob, people.carol],
  });
  await root.write("identity/group", { name: "sre", member_entity_ids: [people.sam] });
  return people;
}

export async function login(name) {
  const answer = await new Api().write(`auth/userpass/login/${name}`, { password });
  return new Api(answer.auth.client_token);
}

// Builds all of it. Gives the agent's API besides; it acts on ana's behalf.
export async function makeWorld() {
  for (const [name, policy] of Object.entries(policies))
    await root.write(`sys/policies/acl/${name}`, { policy });
  await makeDatabase();
  const people = await makePeople();
  await root.write("identity/agent/refund-bot", {
    owner: "ana",
    kind: "support agent",
    description: "Refunds orders that support has agreed to.",
    allowed_roles: ["database/*"],
    max_live_leases: 8,
    max_leases_per_hour: 60,
    max_ttl: "30m",
  });
  return { people, agent: await makeAgent() };
}

// A token for the agent, made by ana.
export async function makeAgent() {
  const ana = await login("ana");
  const made = await ana.write("auth/token/create", {
    agent: "refund-bot",
    policies: ["agents"],
    ttl: "50m",
  });
  return new Api(made.auth.client_token);
}
