#!/usr/bin/env python3
"""Makes a store as an installation leaves it behind, for the test that newer programs open it.

    tools/with-postgres tests/data/make_store.py PROGRAM FOLDER

PROGRAM is a built curfew, FOLDER is where curfew.db, seal.key and story.json are put. What is in the
store: mounts of all types with values in them, a policy, a token, and three leases of a database
role, one active, one whose revocation has failed so far, and one whose credential was still being
made when the server was killed. story.json says their names.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

YEARS = "262800h"  # thirty of them

program, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
target = urllib.parse.urlsplit(os.environ["CURFEW_TEST_PG"])
work = tempfile.mkdtemp()
story = {}
token = ""
address = ""
server = None


def start():
    global server, address
    with open(work + "/config.hcl", "w") as config:
        config.write(
            'listener "tcp" { address = "127.0.0.1:0"  tls_disable = true }\n'
            f'storage "sqlite" {{ path = "{work}/curfew.db" }}\n'
            f'seal "file" {{ path = "{work}/seal.key" }}\n')
    server = subprocess.Popen([program, "server", f"-config={work}/config.hcl"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in server.stdout:
        if "listening on " in line:
            address = line.split("listening on ")[1].strip()
            return
    sys.exit("the server did not start")


def call(method, path, body=None, wait=60):
    request = urllib.request.Request(
        f"{address}/v1/{path}", method=method, headers={"X-Vault-Token": token},
        data=None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=wait) as answer:
        text = answer.read()
    return json.loads(text) if text else {}


def sql(statement):
    return subprocess.run([os.environ["PGBIN"] + "/psql", "-qAt", os.environ["CURFEW_TEST_PG"],
                           "-c", statement], check=True, capture_output=True, text=True).stdout


def configure(port):
    call("POST", "database/config/app", {
        "plugin_name": "postgresql-database-plugin", "allowed_roles": "*",
        "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/postgres",
        "username": "postgres", "password": target.password, "verify_connection": False})


def remember(name, lease):
    known = call("PUT", "sys/leases/receipt", {"lease_id": lease})["data"]
    story[name] = {"lease": lease, "state": known["state"]}


start()
token = call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})["root_token"]
story["root_token"] = token
call("POST", "sys/mounts/database", {"type": "database", "config": {"max_lease_ttl": YEARS}})
call("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
call("POST", "sys/mounts/keys", {"type": "static_key"})
call("POST", "sys/auth/token/tune", {"max_lease_ttl": YEARS})
story["accessor"] = call("GET", "sys/mounts")["data"]["database/"]["accessor"]
call("PUT", "sys/policies/acl/agent",
     {"policy": 'path "database/creds/ro" { capabilities = ["read"] }'})
call("POST", "secret/data/app", {"data": {"colour": "green"}})
call("POST", "secret/data/app", {"data": {"colour": "blue"}})
story["agent_token"] = call("POST", "auth/token/create", {
    "policies": ["agent"], "ttl": YEARS, "display_name": "report-bot"})["auth"]["client_token"]
call("POST", "database/roles/ro", {
    "db_name": "app", "default_ttl": YEARS, "max_ttl": YEARS,
    "creation_statements": ["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' "
                            "VALID UNTIL '{{expiration}}';"]})
configure(target.port)

issued = {name: call("GET", "database/creds/ro") for name in ("active", "failing")}
configure(1)  # nobody listens there
try:
    call("PUT", "sys/leases/revoke", {"lease_id": issued["failing"]["lease_id"]})
    sys.exit("the revocation did not fail")
except urllib.error.HTTPError:
    pass
configure(target.port)

# The credential that is being made when the server dies: its creation waits for a lock.
blocker = subprocess.Popen([os.environ["PGBIN"] + "/psql", "-q", os.environ["CURFEW_TEST_PG"]],
                           stdin=subprocess.PIPE, text=True)
blocker.stdin.write("BEGIN; LOCK TABLE pg_catalog.pg_authid IN SHARE MODE;\n")
blocker.stdin.flush()
while sql("SELECT count(*) FROM pg_locks WHERE relation = 'pg_authid'::regclass AND "
          "mode = 'ShareLock' AND granted").strip() == "0":
    time.sleep(0.02)
before = set(call("LIST", "sys/leases/lookup/database/creds/ro")["data"]["keys"])


def ask_in_vain():
    try:
        call("GET", "database/creds/ro")
    except (OSError, urllib.error.URLError):
        pass


asking = threading.Thread(target=ask_in_vain)
asking.start()
while True:
    new = set(call("LIST", "sys/leases/lookup/database/creds/ro")["data"]["keys"]) - before
    if new:
        break
    time.sleep(0.02)
for name, lease in issued.items():
    remember(name, lease["lease_id"])
    story[name]["database_role"] = lease["data"]["username"]
remember("pending", "database/creds/ro/" + new.pop())
configure(1)
server.send_signal(signal.SIGKILL)
server.wait()
asking.join()
blocker.stdin.write("ROLLBACK;\n")
blocker.stdin.close()
blocker.wait()

os.makedirs(folder, exist_ok=True)
shutil.copy(work + "/seal.key", folder)
copy = os.path.join(folder, "curfew.db")
if os.path.exists(copy):
    os.remove(copy)
store = sqlite3.connect(work + "/curfew.db")
story["schema"] = store.execute("SELECT max(version) FROM schema_version").fetchone()[0]
store.execute("VACUUM INTO ?", (copy,))
store.close()
with open(os.path.join(folder, "story.json"), "w") as out:
    json.dump(story, out, indent=2, sort_keys=True)
    out.write("\n")
shutil.rmtree(work)
