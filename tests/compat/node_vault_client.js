'use strict';
// node-vault, unmodified, against two servers: see run. Every step is tried even when one fails.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const nodeVault = require('node-vault');

const env = process.env;
const target = new URL(env.CURFEW_TEST_PG);
const root = nodeVault({ endpoint: env.COMPAT_DEV_ADDRESS, token: env.COMPAT_ROOT_TOKEN });
const fresh = nodeVault({ endpoint: env.COMPAT_NEW_ADDRESS });

const steps = [];
const step = (name, run) => steps.push({ name, run });
const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function rejects(promise, status, pattern) {
  const error = await promise.then(
    () => assert.fail(`expected status ${status}, but it succeeded`),
    (reason) => reason,
  );
  assert.equal(error.response?.statusCode, status, error.message);
  if (pattern) assert.match(error.message, pattern);
  return error;
}

function psql(username, password, sql) {
  const done = spawnSync(
    env.COMPAT_PSQL,
    ['-XqAt', '-h', target.hostname, '-p', target.port, '-U', username, '-d', 'postgres', '-c', sql],
    { env: { ...env, PGPASSWORD: password }, encoding: 'utf8' },
  );
  return { ok: done.status === 0, out: done.stdout.trim(), error: done.stderr };
}
const admin = (sql) => {
  const done = psql(decodeURIComponent(target.username), decodeURIComponent(target.password), sql);
  assert.ok(done.ok, done.error);
  return done.out;
};

// --- a server that nobody has initialized yet ---

let keys;
step('health and status before initialization', async () => {
  const health = await fresh.health();
  assert.equal(health.initialized, false);
  assert.equal(health.sealed, true);
  assert.equal((await fresh.initialized()).initialized, false);
  assert.equal((await fresh.status()).initialized, false);
});
step('init', async () => {
  const answer = await fresh.init({ secret_shares: 3, secret_threshold: 2 });
  assert.equal(answer.keys.length, 3);
  assert.equal(answer.keys_base64.length, 3);
  assert.ok(answer.root_token.length > 10);
  keys = answer.keys;
  fresh.token = answer.root_token;
  await rejects(fresh.init({ secret_shares: 1, secret_threshold: 1 }), 400, /already initialized/);
});
step('requests while sealed', async () => {
  await rejects(fresh.read('secret/x'), 503, /sealed/i);
});
step('unseal, with a reset on the way', async () => {
  let status = await fresh.unseal({ key: keys[0] });
  assert.equal(status.progress, 1);
  assert.equal(status.t, 2);
  assert.equal(status.n, 3);
  status = await fresh.unseal({ reset: true });
  assert.equal(status.progress, 0);
  await fresh.unseal({ key: keys[2] });
  status = await fresh.unseal({ key: keys[1] });
  assert.equal(status.sealed, false);
  const health = await fresh.health();
  assert.equal(health.sealed, false);
  assert.equal(health.standby, false);
});
step('what is written survives seal and unseal', async () => {
  await fresh.mount({ mount_point: 'kv', type: 'kv' });
  await fresh.write('kv/a', { b: 'c' });
  await fresh.seal();
  assert.equal((await fresh.status()).sealed, true);
  await rejects(fresh.read('kv/a'), 503);
  await fresh.unseal({ key: keys[0] });
  await fresh.unseal({ key: keys[1] });
  assert.deepEqual((await fresh.read('kv/a')).data, { b: 'c' });
});
step('generate a root token with shares', async () => {
  let status = await fresh.read('sys/generate-root/attempt');
  assert.equal(status.started, false);
  await fresh.generateRootInit({});
  await fresh.generateRootCancel();
  const begun = await fresh.generateRootInit({});
  assert.equal(begun.required, 2);
  assert.equal(begun.otp.length, begun.otp_length);
  const { nonce } = begun;
  await rejects(fresh.generateRootInit({}), 400, /already in progress/);
  status = await fresh.generateRootUpdate({ key: keys[0], nonce });
  assert.equal(status.progress, 1);
  status = await fresh.generateRootUpdate({ key: keys[2], nonce });
  assert.equal(status.complete, true);
  const pad = Buffer.from(begun.otp);
  const token = Buffer.from(status.encoded_token, 'base64').map((byte, i) => byte ^ pad[i]);
  fresh.token = token.toString();
  assert.deepEqual((await fresh.tokenLookupSelf()).data.policies, ['root']);
});
step('login with a client certificate', async () => {
  const file = (name) => fs.readFileSync(`${env.COMPAT_TLS}/${name}`);
  const client = (own) =>
    nodeVault({ endpoint: env.COMPAT_TLS_ADDRESS, requestOptions: { ca: file('server.pem'), ...own } });
  await fresh.enableAuth({ mount_point: 'cert', type: 'cert' });
  await fresh.write('auth/cert/certs/robots', { certificate: file('ca.pem').toString(), policies: 'default' });
  const robot = client({ cert: file('client.pem'), key: file('client.key') });
  const { auth } = await robot.certLogin();
  assert.equal(auth.metadata.common_name, 'robot');
  assert.equal(robot.token, auth.client_token);
  assert.equal((await robot.tokenLookupSelf()).data.display_name, 'cert-robots');
  const bare = client({});
  await rejects(bare.certLogin(), 400, /certificate must be supplied/);
  bare.token = auth.client_token;
  await rejects(bare.tokenLookupSelf(), 403);
});

// --- a server in development mode ---

step('health and seal status', async () => {
  const health = await root.health();
  assert.equal(health.initialized, true);
  assert.equal(health.sealed, false);
  assert.equal((await root.status()).sealed, false);
  assert.equal(typeof health.server_time_utc, 'number');
});
step('mounts', async () => {
  await root.mount({ mount_point: 'kv1', type: 'kv', description: 'version 1' });
  await root.mount({ mount_point: 'kv2', type: 'kv', options: { version: '2' } });
  const mounts = await root.mounts();
  assert.equal(mounts['kv1/'].type, 'kv');
  assert.equal(mounts.data['kv2/'].options.version, '2');
  await rejects(root.mount({ mount_point: 'kv1', type: 'kv' }), 400, /in use/);
  await root.mount({ mount_point: 'brief', type: 'kv' });
  await root.write('brief/a', { b: 1 });
  await root.unmount({ mount_point: 'brief' });
  await rejects(root.read('brief/a'), 404);
});
step('KV version 1', async () => {
  await root.write('kv1/team/app', { user: 'ada', port: 5432, tags: ['x', 'y'] });
  assert.deepEqual((await root.read('kv1/team/app')).data, { user: 'ada', port: 5432, tags: ['x', 'y'] });
  assert.deepEqual((await root.list('kv1/team')).data.keys, ['app']);
  assert.deepEqual((await root.list('kv1')).data.keys, ['team/']);
  await root.delete('kv1/team/app');
  await rejects(root.read('kv1/team/app'), 404);
  await rejects(root.list('kv1/team'), 404);
});
step('KV version 2', async () => {
  const first = await root.write('kv2/data/app', { data: { a: '1' }, options: { cas: 0 } });
  assert.equal(first.data.version, 1);
  await rejects(root.write('kv2/data/app', { data: { a: 'x' }, options: { cas: 0 } }), 400, /check-and-set/);
  await root.write('kv2/data/app', { data: { a: '2', b: 'keep' } });
  assert.equal((await root.read('kv2/data/app')).data.data.a, '2');
  assert.equal((await root.read('kv2/data/app?version=1')).data.data.a, '1');
  await root.update('kv2/data/app', { data: { a: '3' } });
  assert.deepEqual((await root.read('kv2/data/app')).data.data, { a: '3', b: 'keep' });
  await root.delete('kv2/data/app');
  const gone = await rejects(root.read('kv2/data/app'), 404);
  assert.equal(gone.response.body.data.data, null);
  assert.notEqual(gone.response.body.data.metadata.deletion_time, '');
  await root.write('kv2/undelete/app', { versions: [3] });
  assert.equal((await root.read('kv2/data/app')).data.data.a, '3');
  await root.destroySecretVersions({ mount_point: 'kv2', path: 'app', versions: [1] });
  const metadata = (await root.read('kv2/metadata/app')).data;
  assert.equal(metadata.versions['1'].destroyed, true);
  assert.equal(metadata.current_version, 3);
  assert.deepEqual((await root.list('kv2/metadata')).data.keys, ['app']);
  await root.delete('kv2/metadata/app');
  await rejects(root.read('kv2/metadata/app'), 404);
});
step('policies', async () => {
  const rules = 'path "kv1/open/*" { capabilities = ["read", "list"] }';
  await root.addPolicy({ name: 'reader', rules });
  const policy = await root.getPolicy({ name: 'reader' });
  assert.equal(policy.rules, rules);
  assert.ok((await root.policies()).policies.includes('reader'));
  await rejects(root.addPolicy({ name: 'broken', rules: 'path "x" { capabilities = ["reed"] }' }), 400, /reed/);
  await root.addPolicy({ name: 'brief', rules });
  await root.removePolicy({ name: 'brief' });
  await rejects(root.getPolicy({ name: 'brief' }), 404);
});
step('tokens', async () => {
  const made = await nodeVault({ endpoint: env.COMPAT_DEV_ADDRESS, token: env.COMPAT_ROOT_TOKEN })
    .tokenCreate({ policies: ['reader'], ttl: '30m', display_name: 'robot', meta: { team: 'a' } });
  assert.deepEqual(made.auth.policies, ['default', 'reader']);
  assert.equal(made.auth.lease_duration, 1800);
  assert.equal(made.auth.renewable, true);
  const robot = nodeVault({ endpoint: env.COMPAT_DEV_ADDRESS, token: made.auth.client_token });
  const self = await robot.tokenLookupSelf();
  assert.equal(self.data.display_name, 'token-robot');
  assert.deepEqual(self.data.meta, { team: 'a' });
  assert.equal(self.data.id, made.auth.client_token);
  assert.ok(self.data.ttl > 1700 && self.data.ttl <= 1800);
  await root.write('kv1/open/a', { b: 'c' });
  assert.equal((await robot.read('kv1/open/a')).data.b, 'c');
  await rejects(robot.read('kv1/team/app'), 403, /permission denied/);
  await rejects(robot.write('kv1/open/a', { b: 'd' }), 403, /permission denied/);
  assert.equal((await robot.tokenRenewSelf({ increment: '20m' })).auth.lease_duration, 1200);
  const seen = await root.tokenLookupAccessor({ accessor: made.auth.accessor });
  assert.equal(seen.data.id, '');
  assert.equal((await root.tokenLookup({ token: made.auth.client_token })).data.accessor, made.auth.accessor);
  assert.ok((await root.tokenAccessors()).data.keys.includes(made.auth.accessor));
  await root.tokenRevoke({ token: made.auth.client_token });
  await rejects(robot.tokenLookupSelf(), 403);
});
step('a token that may be used twice', async () => {
  const made = await nodeVault({ endpoint: env.COMPAT_DEV_ADDRESS, token: env.COMPAT_ROOT_TOKEN })
    .tokenCreate({ policies: ['reader'], num_uses: 2 });
  const robot = nodeVault({ endpoint: env.COMPAT_DEV_ADDRESS, token: made.auth.client_token });
  await robot.read('kv1/open/a');
  await robot.read('kv1/open/a');
  await rejects(robot.read('kv1/open/a'), 403);
});
step('audit device', async () => {
  await root.enableAudit({ name: 'trail', type: 'file', options: { file_path: `${env.COMPAT_DIR}/audit.log` } });
  const audits = await root.audits();
  assert.equal(audits['trail/'].type, 'file');
  const { hash } = (await root.write('sys/audit-hash/trail', { input: 'hello' })).data;
  assert.match(hash, /^hmac-sha256:[0-9a-f]{64}$/);
  await root.write('kv1/audited', { word: 'hello' });
  const lines = fs.readFileSync(`${env.COMPAT_DIR}/audit.log`, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  const write = lines.find((line) => line.type === 'request' && line.request.path === 'kv1/audited');
  assert.equal(write.request.data.word, hash);
});

let lease;
step('database: configuration and roles', async () => {
  admin(`CREATE SCHEMA ${env.COMPAT_SCHEMA}; CREATE TABLE ${env.COMPAT_SCHEMA}.t AS SELECT 42 AS answer`);
  await root.mount({ mount_point: 'database', type: 'database' });
  await root.write('database/config/pg', {
    plugin_name: 'postgresql-database-plugin',
    connection_url: `postgresql://{{username}}:{{password}}@${target.host}/postgres`,
    username: decodeURIComponent(target.username),
    password: decodeURIComponent(target.password),
    allowed_roles: ['reader', 'brief'],
  });
  const shown = (await root.read('database/config/pg')).data;
  assert.deepEqual(shown.allowed_roles, ['reader', 'brief']);
  assert.equal(shown.connection_details.password, undefined);
  const creation = [
    `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`,
    `GRANT USAGE ON SCHEMA ${env.COMPAT_SCHEMA} TO "{{name}}"; GRANT SELECT ON ALL TABLES IN SCHEMA ${env.COMPAT_SCHEMA} TO "{{name}}";`,
  ];
  await root.write('database/roles/reader', {
    db_name: 'pg', creation_statements: creation, default_ttl: '1h', max_ttl: '24h',
  });
  const role = (await root.read('database/roles/reader')).data;
  assert.deepEqual(role.creation_statements, creation);
  assert.equal(role.default_ttl, 3600);
  assert.deepEqual((await root.list('database/roles')).data.keys, ['reader']);
  assert.deepEqual((await root.list('database/config')).data.keys, ['pg']);
  await rejects(root.read('database/creds/nobody'), 400, /unknown role/);
});
step('database: a credential that logs in', async () => {
  const answer = await root.generateDatabaseCredentials({ databasePath: 'database', name: 'reader' });
  assert.equal(answer.lease_duration, 3600);
  assert.equal(answer.renewable, true);
  assert.match(answer.lease_id, /^database\/creds\/reader\//);
  lease = { id: answer.lease_id, ...answer.data };
  const done = psql(lease.username, lease.password, `SELECT answer FROM ${env.COMPAT_SCHEMA}.t`);
  assert.equal(done.out, '42', done.error);
  assert.ok(!psql(lease.username, lease.password, `DELETE FROM ${env.COMPAT_SCHEMA}.t`).ok);
});
step('leases: lookup, renew, list, revoke', async () => {
  const seen = (await root.write('sys/leases/lookup', { lease_id: lease.id })).data;
  assert.equal(seen.id, lease.id);
  assert.equal(seen.last_renewal, null);
  assert.ok(seen.ttl > 3500 && seen.ttl <= 3600);
  const renewed = await root.renew({ lease_id: lease.id, increment: 7200 });
  assert.equal(renewed.lease_duration, 7200);
  const capped = await root.renew({ lease_id: lease.id, increment: 864000 });
  assert.ok(capped.lease_duration <= 86400);
  assert.equal(capped.warnings.length, 1);
  const suffix = lease.id.split('/').pop();
  assert.deepEqual((await root.list('sys/leases/lookup/database/creds/reader')).data.keys, [suffix]);
  await root.revoke({ lease_id: lease.id });
  assert.ok(!psql(lease.username, lease.password, 'SELECT 1').ok);
  assert.equal(admin(`SELECT count(*) FROM pg_roles WHERE rolname = '${lease.username}'`), '0');
  await rejects(root.renew({ lease_id: lease.id }), 400);
  await rejects(root.write('sys/leases/lookup', { lease_id: 'database/creds/reader/none' }), 400, /invalid lease/);
});
const client = (token) => nodeVault({ endpoint: env.COMPAT_DEV_ADDRESS, token });
const wrapping = (ttl) => ({ headers: { 'X-Vault-Wrap-TTL': ttl } });
step('wrapping: a credential behind a token that opens once', async () => {
  const wrapped = await client(env.COMPAT_ROOT_TOKEN).read('database/creds/reader', wrapping('60s'));
  assert.equal(wrapped.data, null);
  assert.equal(wrapped.lease_id, '');
  const info = wrapped.wrap_info;
  assert.equal(info.ttl, 60);
  assert.equal(info.creation_path, 'database/creds/reader');
  const seen = (await root.write('sys/wrapping/lookup', { token: info.token })).data;
  assert.equal(seen.creation_path, info.creation_path);
  assert.equal(seen.creation_time, info.creation_time);
  assert.equal(seen.creation_ttl, 60);
  const answer = await client(info.token).unwrap();
  assert.match(answer.lease_id, /^database\/creds\/reader\//);
  assert.equal(answer.renewable, true);
  assert.equal(answer.wrap_info, null);
  assert.ok(psql(answer.data.username, answer.data.password, 'SELECT 1').ok);
  await rejects(client(info.token).unwrap(), 400, /wrapping token is not valid or does not exist/);
  await rejects(root.unwrap({ token: info.token }), 400, /wrapping token is not valid or does not exist/);
  await root.revoke({ lease_id: answer.lease_id });
});
step('wrapping: a token, rewrapped on its way', async () => {
  const wrapped = await client(env.COMPAT_ROOT_TOKEN)
    .tokenCreate({ policies: ['reader'], requestOptions: wrapping('5m') });
  assert.equal(wrapped.auth, null);
  const again = await root.write('sys/wrapping/rewrap', { token: wrapped.wrap_info.token });
  assert.equal(again.wrap_info.creation_path, 'auth/token/create');
  assert.equal(again.wrap_info.ttl, 300);
  await rejects(root.unwrap({ token: wrapped.wrap_info.token }), 400, /wrapping token is not valid/);
  const { auth } = await root.unwrap({ token: again.wrap_info.token });
  assert.equal(auth.accessor, wrapped.wrap_info.wrapped_accessor);
  assert.equal((await client(auth.client_token).read('kv1/open/a')).data.b, 'c');
});
step('wrapping: whatever one sends, and what nobody opens', async () => {
  await rejects(root.write('sys/wrapping/wrap', { a: 'b' }), 400, /requires response wrapping/);
  const wrapped = await root.write('sys/wrapping/wrap', { a: 'b' }, wrapping('60'));
  assert.deepEqual((await root.unwrap({ token: wrapped.wrap_info.token })).data, { a: 'b' });
  const lost = (await client(env.COMPAT_ROOT_TOKEN)
    .read('database/creds/reader', wrapping('1s'))).wrap_info;
  await root.tokenLookupAccessor({ accessor: lost.accessor });
  for (let i = 0; i < 100; i += 1) {
    const { ok } = await root.list('sys/leases/lookup/database/creds/reader')
      .then(() => ({ ok: false }), (reason) => ({ ok: reason.response?.statusCode === 404 }));
    if (ok) return;
    await delay(100);
  }
  assert.fail('the lease outlived the wrapping that nobody opened');
});
step('batch tokens', async () => {
  const made = await root.write('auth/token/create', { policies: ['reader'], type: 'batch', ttl: '10m' });
  assert.equal(made.auth.token_type, 'batch');
  assert.equal(made.auth.accessor, '');
  assert.equal(made.auth.renewable, false);
  assert.equal(made.auth.lease_duration, 600);
  const robot = client(made.auth.client_token);
  assert.equal((await robot.tokenLookupSelf()).data.type, 'batch');
  assert.equal((await robot.read('kv1/open/a')).data.b, 'c');
  await rejects(robot.tokenRenewSelf(), 400, /batch tokens cannot be renewed/);
  await rejects(root.tokenRevoke({ token: made.auth.client_token }), 400, /batch tokens cannot be revoked/);
  await rejects(client(`${made.auth.client_token}x`).tokenLookupSelf(), 403, /permission denied/);
});
step('leases: a lease ends with its token, and by its prefix', async () => {
  await root.addPolicy({ name: 'issuer', rules: 'path "database/creds/reader" { capabilities = ["read"] }' });
  const made = await nodeVault({ endpoint: env.COMPAT_DEV_ADDRESS, token: env.COMPAT_ROOT_TOKEN })
    .tokenCreate({ policies: ['issuer'] });
  const robot = nodeVault({ endpoint: env.COMPAT_DEV_ADDRESS, token: made.auth.client_token });
  const first = await robot.generateDatabaseCredentials({ databasePath: 'database', name: 'reader' });
  await root.tokenRevoke({ token: made.auth.client_token });
  const exists = (username) => admin(`SELECT count(*) FROM pg_roles WHERE rolname = '${username}'`) === '1';
  for (let i = 0; i < 150 && exists(first.data.username); i += 1) await delay(100);
  assert.ok(!exists(first.data.username), 'the role outlived its token');
  const second = await root.generateDatabaseCredentials({ databasePath: 'database', name: 'reader' });
  await root.revokePrefix({ path_prefix: 'database/creds' });
  assert.ok(!exists(second.data.username), 'the role outlived the revocation by prefix');
});
step('userpass', async () => {
  await root.enableAuth({ mount_point: 'userpass', type: 'userpass' });
  await root.write('auth/userpass/users/ann', { password: 'pw', policies: 'default' });
  const ann = nodeVault({ endpoint: env.COMPAT_DEV_ADDRESS });
  await rejects(ann.userpassLogin({ username: 'ann', password: 'no' }), 400, /invalid username/);
  await rejects(ann.userpassLogin({ username: 'nobody', password: 'no' }), 400, /invalid username/);
  const { auth } = await ann.userpassLogin({ username: 'ann', password: 'pw' });
  assert.deepEqual(auth.policies, ['default']);
  assert.deepEqual(auth.metadata, { username: 'ann' });
  assert.equal(ann.token, auth.client_token);
  assert.equal((await ann.tokenLookupSelf()).data.display_name, 'userpass-ann');
  await root.disableAuth({ mount_point: 'userpass' });
  await rejects(ann.tokenLookupSelf(), 403);
});
step('approle', async () => {
  await root.enableAuth({ mount_point: 'approle', type: 'approle' });
  await root.addApproleRole({ role_name: 'app', policies: 'default', secret_id_num_uses: 1, token_ttl: 600 });
  assert.deepEqual((await root.approleRoles()).data.keys, ['app']);
  assert.deepEqual((await root.getApproleRole({ role_name: 'app' })).data.policies, ['default']);
  await root.updateApproleRoleId({ role_name: 'app', role_id: 'the-app' });
  assert.equal((await root.getApproleRoleId({ role_name: 'app' })).data.role_id, 'the-app');
  const secret = (await root.getApproleRoleSecret({ role_name: 'app', metadata: '{"build":"7"}' })).data;
  const app = nodeVault({ endpoint: env.COMPAT_DEV_ADDRESS });
  const { auth } = await app.approleLogin({ role_id: 'the-app', secret_id: secret.secret_id });
  assert.equal(auth.lease_duration, 600);
  assert.deepEqual(auth.metadata, { role_name: 'app', build: '7' });
  assert.equal((await app.tokenLookupSelf()).data.display_name, 'approle-app');
  await rejects(app.approleLogin({ role_id: 'the-app', secret_id: secret.secret_id }), 400, /invalid/);
  const other = (await root.getApproleRoleSecret({ role_name: 'app' })).data;
  const accessors = await root.approleSecretAccessors({ role_name: 'app' });
  assert.deepEqual(accessors.data.keys, [other.secret_id_accessor]);
  const seen = await root.approleSecretLookup({ role_name: 'app', secret_id: other.secret_id });
  assert.equal(seen.data.secret_id_num_uses, 1);
  const { secret_id_accessor: accessor } = other;
  const same = await root.approleSecretAccessorLookup({ role_name: 'app', secret_id_accessor: accessor });
  assert.deepEqual(same.data, seen.data);
  await root.approleSecretDestroy({ role_name: 'app', secret_id: other.secret_id });
  const last = (await root.getApproleRoleSecret({ role_name: 'app' })).data;
  await root.approleSecretAccessorDestroy({ role_name: 'app', secret_id_accessor: last.secret_id_accessor });
  await rejects(root.approleSecretAccessors({ role_name: 'app' }), 404);
  await root.deleteApproleRole({ role_name: 'app' });
  await rejects(root.getApproleRole({ role_name: 'app' }), 404);
  await root.disableAuth({ mount_point: 'approle' });
});
step('unmount of the database and end of the audit device', async () => {
  await root.unmount({ mount_point: 'database' });
  await root.disableAudit({ name: 'trail' });
  assert.equal((await root.audits())['trail/'], undefined);
});

(async () => {
  let failures = 0;
  for (const { name, run } of steps) {
    try {
      await run();
      console.log(`ok      ${name}`);
    } catch (error) {
      failures += 1;
      console.log(`FAILED  ${name}\n${error.stack}`);
      if (error.response) console.log(JSON.stringify(error.response));
    }
  }
  console.log(`node-vault: ${steps.length - failures} of ${steps.length} steps passed`);
  process.exitCode = failures === 0 ? 0 : 1;
})();
