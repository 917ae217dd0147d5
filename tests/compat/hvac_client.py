"""hvac, unmodified, against two servers: see run. Every step is tried even when one fails."""

import base64
import json
import os
import subprocess
import sys
import time
import traceback
from urllib.parse import unquote, urlsplit

import hvac
from hvac import exceptions

ENV = os.environ
TARGET = urlsplit(ENV["CURFEW_TEST_PG"])
SCHEMA = ENV["COMPAT_SCHEMA"]
STEPS = []

fresh = hvac.Client(url=ENV["COMPAT_NEW_ADDRESS"])
root = hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"], token=ENV["COMPAT_ROOT_TOKEN"])
state = {}


def step(function):
    STEPS.append(function)
    return function


def refused(kind, words, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as error:
        assert words in str(error), f"another reason: {error}"
        return error
    raise AssertionError(f"expected {kind.__name__}, but it succeeded")


def psql(username, password, sql):
    done = subprocess.run(
        [ENV["COMPAT_PSQL"], "-XqAt", "-h", TARGET.hostname, "-p", str(TARGET.port), "-U", username,
         "-d", "postgres", "-c", sql],
        env={**ENV, "PGPASSWORD": password}, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout.strip() or done.stderr


def admin(sql):
    done, text = psql(unquote(TARGET.username), unquote(TARGET.password), sql)
    assert done, text
    return text


def role_exists(username):
    return admin(f"SELECT count(*) FROM pg_roles WHERE rolname = '{username}'") == "1"


# --- a server that nobody has initialized yet ---


@step
def init_and_unseal():
    assert fresh.sys.is_initialized() is False
    health = fresh.sys.read_health_status(method="GET")
    assert health.status_code == 501, health
    made = fresh.sys.initialize(secret_shares=3, secret_threshold=2)
    assert len(made["keys"]) == 3 and len(made["keys_base64"]) == 3
    assert fresh.sys.is_initialized() and fresh.sys.is_sealed()
    assert fresh.sys.read_health_status(method="GET").status_code == 503
    fresh.token = made["root_token"]
    refused(exceptions.VaultDown, "sealed", fresh.secrets.kv.v1.read_secret, "a", mount_point="kv")
    assert fresh.sys.submit_unseal_key(made["keys"][0])["progress"] == 1
    assert fresh.sys.submit_unseal_key(reset=True)["progress"] == 0
    fresh.sys.submit_unseal_keys([made["keys_base64"][2], made["keys_base64"][0]])
    assert not fresh.sys.is_sealed()
    assert fresh.is_authenticated()
    state["keys"] = made["keys"]


@step
def seal_and_unseal_again():
    fresh.sys.enable_secrets_engine("kv", path="kv")
    fresh.secrets.kv.v1.create_or_update_secret("a", {"b": "c"}, mount_point="kv")
    fresh.sys.seal()
    assert fresh.sys.is_sealed()
    fresh.sys.submit_unseal_keys(state["keys"][:2])
    assert fresh.secrets.kv.v1.read_secret("a", mount_point="kv")["data"] == {"b": "c"}


@step
def key_status_and_rotation():
    before = fresh.sys.get_encryption_key_status()["term"]
    fresh.sys.rotate_encryption_key()
    assert fresh.sys.get_encryption_key_status()["term"] == before + 1
    assert fresh.secrets.kv.v1.read_secret("a", mount_point="kv")["data"] == {"b": "c"}


@step
def rekey():
    assert fresh.sys.read_rekey_progress()["started"] is False
    begun = fresh.sys.start_rekey(secret_shares=2, secret_threshold=2)
    assert begun["started"] and begun["n"] == 2 and begun["required"] == 2
    fresh.sys.cancel_rekey()
    nonce = fresh.sys.start_rekey(secret_shares=2, secret_threshold=2)["nonce"]
    refused(exceptions.InvalidRequest, "nonce", fresh.sys.rekey, key=state["keys"][0], nonce="x")
    done = fresh.sys.rekey_multi(state["keys"], nonce=nonce)
    assert done["complete"] and len(done["keys"]) == 2 and len(done["keys_base64"]) == 2
    fresh.sys.seal()
    fresh.sys.submit_unseal_keys(done["keys"])
    assert not fresh.sys.is_sealed()
    state["keys"] = done["keys"]


@step
def generate_root():
    assert fresh.sys.read_root_generation_progress()["started"] is False
    begun = fresh.sys.start_root_token_generation()
    fresh.sys.cancel_root_generation()
    begun = fresh.sys.start_root_token_generation()
    for key in state["keys"]:
        done = fresh.sys.generate_root(key=key, nonce=begun["nonce"])
    assert done["complete"], done
    encoded = done["encoded_token"]
    bytes_ = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    fresh.token = "".join(chr(a ^ ord(b)) for a, b in zip(bytes_, begun["otp"]))
    assert fresh.lookup_token()["data"]["policies"] == ["root"]


@step
def cert_logins():
    here = ENV["COMPAT_TLS"]
    server, own, key = f"{here}/server.pem", f"{here}/client.pem", f"{here}/client.key"
    fresh.sys.enable_auth_method("cert")
    roles = fresh.auth.cert
    roles.configure_tls_certificate(disable_binding=False)
    roles.create_ca_certificate_role("robots", f"{here}/ca.pem", allowed_common_names="rob*",
                                     token_ttl=600)
    role = roles.read_ca_certificate_role("robots")["data"]
    assert role["allowed_common_names"] == ["rob*"] and role["token_ttl"] == 600
    assert role["certificate"].startswith("-----BEGIN CERTIFICATE")
    assert roles.list_certificate_roles()["data"]["keys"] == ["robots"]
    robot = hvac.Client(url=ENV["COMPAT_TLS_ADDRESS"], cert=(own, key), verify=server)
    auth = robot.auth.cert.login("robots", cert_pem=own, key_pem=key)["auth"]
    assert auth["metadata"]["cert_name"] == "robots" and auth["metadata"]["common_name"] == "robot"
    assert robot.is_authenticated() and robot.auth.token.renew_self()["auth"]["renewable"]
    bare = hvac.Client(url=ENV["COMPAT_TLS_ADDRESS"], token=robot.token, verify=server)
    assert not bare.is_authenticated()
    refused(exceptions.InvalidRequest, "certificate", bare.write, "auth/cert/login")
    refused(exceptions.InvalidRequest, "invalid certificate", robot.auth.cert.login, "no-role",
            cert_pem=own, key_pem=key)
    roles.delete_certificate_role("robots")
    refused(exceptions.InvalidPath, "", roles.read_ca_certificate_role, "robots")


# --- a server in development mode ---


@step
def health_and_status():
    assert root.is_authenticated()
    assert root.sys.read_health_status(method="GET")["sealed"] is False
    assert root.sys.read_health_status(method="HEAD").status_code == 200
    assert root.sys.read_seal_status()["sealed"] is False
    assert not hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"], token="no-such-token").is_authenticated()


@step
def mounts():
    root.sys.enable_secrets_engine("kv", path="kv1", description="one", options={"version": "1"})
    root.sys.enable_secrets_engine("kv", path="kv2", options={"version": "2"})
    listed = root.sys.list_mounted_secrets_engines()["data"]
    assert listed["kv1/"]["type"] == "kv" and listed["kv1/"]["description"] == "one"
    assert root.sys.retrieve_mount_option("kv2", "version") == "2"
    root.sys.tune_mount_configuration("kv1", default_lease_ttl="10m", max_lease_ttl="1h")
    tuned = root.sys.read_mount_configuration("kv1")["data"]
    assert (tuned["default_lease_ttl"], tuned["max_lease_ttl"]) == (600, 3600)
    refused(exceptions.InvalidRequest, "in use", root.sys.enable_secrets_engine, "kv", path="kv1")
    root.sys.move_backend("kv1", "kv-one")
    root.sys.move_backend("kv-one", "kv1")
    root.sys.enable_secrets_engine("kv", path="brief")
    root.sys.disable_secrets_engine("brief")
    assert "brief/" not in root.sys.list_mounted_secrets_engines()["data"]


@step
def kv_version_1():
    kv = root.secrets.kv.v1
    kv.create_or_update_secret("team/app", {"user": "ada", "port": 5432}, mount_point="kv1")
    assert kv.read_secret("team/app", mount_point="kv1")["data"] == {"user": "ada", "port": 5432}
    assert kv.list_secrets("team", mount_point="kv1")["data"]["keys"] == ["app"]
    kv.delete_secret("team/app", mount_point="kv1")
    refused(exceptions.InvalidPath, "", kv.read_secret, "team/app", mount_point="kv1")
    assert root.read("kv1/team/app") is None


@step
def kv_version_2():
    kv = root.secrets.kv.v2
    place = {"mount_point": "kv2"}
    made = kv.create_or_update_secret("app", {"a": "1"}, cas=0, **place)
    assert made["data"]["version"] == 1
    refused(exceptions.InvalidRequest, "check-and-set", kv.create_or_update_secret, "app", {"a": "x"},
            cas=0, **place)
    kv.create_or_update_secret("app", {"a": "2", "b": "keep"}, **place)
    kv.patch("app", {"a": "3"}, **place)
    assert kv.read_secret_version("app", **place)["data"]["data"] == {"a": "3", "b": "keep"}
    assert kv.read_secret_version("app", version=1, **place)["data"]["data"] == {"a": "1"}
    kv.delete_secret_versions("app", [2], **place)
    kv.delete_latest_version_of_secret("app", **place)
    refused(exceptions.InvalidPath, "", kv.read_secret_version, "app", **place)
    kv.undelete_secret_versions("app", [2, 3], **place)
    assert kv.read_secret_version("app", version=2, **place)["data"]["data"]["a"] == "2"
    kv.destroy_secret_versions("app", [1], **place)
    metadata = kv.read_secret_metadata("app", **place)["data"]
    assert metadata["versions"]["1"]["destroyed"] is True and metadata["current_version"] == 3
    assert kv.list_secrets("", **place)["data"]["keys"] == ["app"]
    kv.update_metadata("app", max_versions=2, cas_required=True, **place)
    refused(exceptions.InvalidRequest, "check-and-set", kv.create_or_update_secret, "app", {"a": "4"},
            **place)
    kv.create_or_update_secret("app", {"a": "4"}, cas=3, **place)
    kv.configure(max_versions=5, **place)
    assert kv.read_configuration(**place)["data"]["max_versions"] == 5
    kv.delete_metadata_and_all_versions("app", **place)
    refused(exceptions.InvalidPath, "", kv.read_secret_metadata, "app", **place)


@step
def policies():
    rules = 'path "kv1/open/*" {\n  capabilities = ["read", "list"]\n}\n'
    root.sys.create_or_update_policy("reader", rules)
    assert root.sys.read_policy("reader")["data"]["rules"] == rules
    assert {"default", "reader", "root"} <= set(root.sys.list_policies()["data"]["policies"])
    root.sys.create_or_update_policy("from-json", {"path": {"kv1/*": {"capabilities": ["read"]}}})
    refused(exceptions.InvalidRequest, "reed", root.sys.create_or_update_policy, "broken",
            'path "x" { capabilities = ["reed"] }')
    root.sys.delete_policy("from-json")
    refused(exceptions.InvalidPath, "", root.sys.read_policy, "from-json")


@step
def identities():
    identity = root.secrets.identity
    accessor = root.sys.list_auth_methods()["data"]["token/"]["accessor"]
    made = identity.create_or_update_entity(name="compat-ada", policies=["compat"],
                                            metadata={"team": "x"})["data"]
    assert made["name"] == "compat-ada" and made["aliases"] is None, made
    entity = identity.read_entity(made["id"])["data"]
    assert entity["policies"] == ["compat"] and entity["metadata"] == {"team": "x"}, entity
    assert identity.read_entity_by_name("compat-ada")["data"]["id"] == made["id"]
    identity.update_entity(made["id"], metadata={"team": "y"})
    assert made["id"] in identity.list_entities()["data"]["keys"]
    assert "compat-ada" in identity.list_entities_by_name(method="GET")["data"]["keys"]

    alias = identity.create_or_update_entity_alias(
        name="compat-login", canonical_id=made["id"], mount_accessor=accessor)["data"]
    read = identity.read_entity_alias(alias["id"])["data"]
    assert read["canonical_id"] == made["id"] and read["name"] == "compat-login", read
    assert alias["id"] in identity.list_entity_aliases()["data"]["keys"]
    found = identity.lookup_entity(alias_name="compat-login", alias_mount_accessor=accessor)
    assert found["data"]["id"] == made["id"], found

    other = identity.create_or_update_entity_by_name("compat-bob")["data"]
    identity.merge_entities(from_entity_ids=[other["id"]], to_entity_id=made["id"])
    assert identity.read_entity(made["id"])["data"]["merged_entity_ids"] == [other["id"]]

    group = identity.create_or_update_group(
        name="compat-team", policies=["team"], member_entity_ids=[made["id"]])["data"]
    assert identity.read_group(group["id"])["data"]["member_entity_ids"] == [made["id"]]
    assert identity.read_group_by_name("compat-team")["data"]["type"] == "internal"
    assert identity.lookup_group(name="compat-team")["data"]["id"] == group["id"]
    assert group["id"] in identity.list_groups()["data"]["keys"]
    assert "compat-team" in identity.list_groups_by_name()["data"]["keys"]
    assert identity.read_entity(made["id"])["data"]["group_ids"] == [group["id"]]
    refused(exceptions.InvalidRequest, "is same as the ID of the group", identity.update_group,
            group["id"], "compat-team", member_group_ids=[group["id"]])
    outside = identity.create_or_update_group(name="compat-outside", group_type="external")["data"]
    group_alias = identity.create_or_update_group_alias(
        name="cn=compat", mount_accessor=accessor, canonical_id=outside["id"])["data"]
    assert identity.read_group_alias(group_alias["id"])["data"]["name"] == "cn=compat"
    assert group_alias["id"] in identity.list_group_aliases()["data"]["keys"]

    identity.delete_group_alias(group_alias["id"])
    identity.delete_group(outside["id"])
    identity.delete_group_by_name("compat-team")
    identity.delete_entity_alias(alias["id"])
    identity.delete_entity(made["id"])
    refused(exceptions.InvalidPath, "", identity.read_entity, made["id"])


@step
def tokens():
    made = root.auth.token.create(policies=["reader"], ttl="30m", meta={"team": "a"},
                                  display_name="robot")["auth"]
    assert made["policies"] == ["default", "reader"] and made["lease_duration"] == 1800
    robot = hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"], token=made["client_token"])
    seen = robot.auth.token.lookup_self()["data"]
    assert seen["display_name"] == "token-robot" and seen["meta"] == {"team": "a"}
    root.secrets.kv.v1.create_or_update_secret("open/a", {"b": "c"}, mount_point="kv1")
    assert robot.secrets.kv.v1.read_secret("open/a", mount_point="kv1")["data"]["b"] == "c"
    refused(exceptions.Forbidden, "permission denied", robot.secrets.kv.v1.read_secret, "team/app",
            mount_point="kv1")
    assert robot.auth.token.renew_self(increment="20m")["auth"]["lease_duration"] == 1200
    assert root.auth.token.renew(made["client_token"])["auth"]["accessor"] == made["accessor"]
    assert root.auth.token.lookup(made["client_token"])["data"]["accessor"] == made["accessor"]
    assert root.auth.token.lookup_accessor(made["accessor"])["data"]["id"] == ""
    assert made["accessor"] in root.auth.token.list_accessors()["data"]["keys"]
    root.auth.token.revoke_accessor(made["accessor"])
    refused(exceptions.Forbidden, "", robot.auth.token.lookup_self)


@step
def token_trees():
    root.sys.create_or_update_policy(
        "maker", 'path "auth/token/create" { capabilities = ["create", "update"] }')
    made = root.auth.token.create(policies=["maker"])["auth"]["client_token"]
    maker = hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"], token=made)
    child = maker.auth.token.create(policies=["maker"])["auth"]["client_token"]
    refused(exceptions.InvalidRequest, "subset", maker.auth.token.create, policies=["reader"])
    assert hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"], token=child).is_authenticated()
    root.auth.token.revoke(made)
    assert not hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"], token=child).is_authenticated()


@step
def tokens_for_entities():
    root.auth.token.create_or_update_role("jobs", allowed_policies="reader",
                                          allowed_entity_aliases=["job-*"])
    assert root.auth.token.read_role("jobs")["data"]["allowed_entity_aliases"] == ["job-*"]
    made = root.auth.token.create(role_name="jobs", entity_alias="job-1")["auth"]
    again = root.auth.token.create(role_name="jobs", entity_alias="job-1")["auth"]
    assert made["entity_id"] and made["entity_id"] == again["entity_id"], (made, again)
    refused(exceptions.InvalidRequest, "invalid 'entity_alias' value", root.auth.token.create,
            role_name="jobs", entity_alias="other")
    root.auth.token.delete_role("jobs")
    root.secrets.identity.delete_entity(made["entity_id"])


@step
def audit_device():
    log = os.path.join(ENV["COMPAT_DIR"], "audit.log")
    root.sys.enable_audit_device("file", path="trail", options={"file_path": log})
    assert root.sys.list_enabled_audit_devices()["data"]["trail/"]["options"]["file_path"] == log
    hashed = root.sys.calculate_hash("trail", "hello")["data"]["hash"]
    root.secrets.kv.v1.create_or_update_secret("audited", {"word": "hello"}, mount_point="kv1")
    with open(log, encoding="utf-8") as lines:
        entries = [json.loads(line) for line in lines]
    written = [entry for entry in entries
               if entry["type"] == "request" and entry["request"]["path"] == "kv1/audited"
               and entry["request"]["operation"] in ("create", "update")]
    assert written[0]["request"]["data"]["word"] == hashed


@step
def database_configuration():
    admin(f"CREATE SCHEMA {SCHEMA}; CREATE TABLE {SCHEMA}.t AS SELECT 42 AS answer")
    root.sys.enable_secrets_engine("database")
    root.secrets.database.configure(
        "pg", "postgresql-database-plugin", allowed_roles=["reader"],
        connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@{TARGET.hostname}:{TARGET.port}"
                       "/postgres",
        username=unquote(TARGET.username), password=unquote(TARGET.password))
    shown = root.secrets.database.read_connection("pg")["data"]
    assert shown["plugin_name"] == "postgresql-database-plugin"
    assert unquote(TARGET.password) not in json.dumps(shown)
    creation = ["CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' "
                "VALID UNTIL '{{expiration}}';",
                f'GRANT USAGE ON SCHEMA {SCHEMA} TO "{{{{name}}}}";'
                f'GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO "{{{{name}}}}";']
    root.secrets.database.create_role("reader", "pg", creation, default_ttl="1h", max_ttl="24h",
                                      revocation_statements=['DROP ROLE IF EXISTS "{{name}}";'])
    role = root.secrets.database.read_role("reader")["data"]
    assert role["creation_statements"] == creation and role["max_ttl"] == 86400
    assert root.secrets.database.list_roles()["data"]["keys"] == ["reader"]
    assert root.secrets.database.list_connections()["data"]["keys"] == ["pg"]
    root.secrets.database.reset_connection("pg")


@step
def database_credential():
    answer = root.secrets.database.generate_credentials("reader")
    assert answer["lease_duration"] == 3600 and answer["renewable"] is True
    state["lease"] = answer["lease_id"]
    state["login"] = (answer["data"]["username"], answer["data"]["password"])
    assert psql(*state["login"], f"SELECT answer FROM {SCHEMA}.t") == (True, "42")
    assert not psql(*state["login"], f"DELETE FROM {SCHEMA}.t")[0]
    refused(exceptions.InvalidRequest, "unknown role", root.secrets.database.generate_credentials,
            "nobody")


@step
def leases():
    lease = state["lease"]
    seen = root.sys.read_lease(lease)["data"]
    assert seen["id"] == lease and seen["renewable"] is True and 3500 < seen["ttl"] <= 3600
    assert root.sys.renew_lease(lease)["lease_duration"] == 3600
    assert root.sys.renew_lease(lease, increment=7200)["lease_duration"] == 7200
    assert root.sys.list_leases("database/creds/reader")["data"]["keys"] == [lease.split("/")[-1]]
    root.sys.revoke_lease(lease)
    assert not psql(*state["login"], "SELECT 1")[0]
    assert not role_exists(state["login"][0])
    refused(exceptions.InvalidRequest, "", root.sys.renew_lease, lease)
    refused(exceptions.InvalidRequest, "invalid lease", root.sys.read_lease, lease + "x")


@step
def leases_by_prefix_and_with_their_token():
    first = root.secrets.database.generate_credentials("reader")["data"]["username"]
    root.sys.revoke_prefix("database/creds/reader")
    assert not role_exists(first)
    root.sys.create_or_update_policy(
        "issuer", 'path "database/creds/reader" { capabilities = ["read"] }')
    token = root.auth.token.create(policies=["issuer"])["auth"]["client_token"]
    robot = hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"], token=token)
    second = robot.secrets.database.generate_credentials("reader")["data"]["username"]
    root.auth.token.revoke(token)
    for _ in range(150):
        if not role_exists(second):
            return
        time.sleep(0.1)
    raise AssertionError("the role outlived its token")


def client(token):
    return hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"], token=token)


NO_WRAP = "wrapping token is not valid or does not exist"


@step
def a_wrapped_credential_is_opened_once():
    answer = root.read("database/creds/reader", wrap_ttl="60s")
    assert answer["data"] is None and answer["lease_id"] == ""
    info = answer["wrap_info"]
    assert info["ttl"] == 60 and info["creation_path"] == "database/creds/reader"
    seen = root.write("sys/wrapping/lookup", token=info["token"])["data"]
    assert seen == {"creation_path": info["creation_path"], "creation_time": info["creation_time"],
                    "creation_ttl": 60}
    opened = client(info["token"]).sys.unwrap()
    assert opened["lease_id"].startswith("database/creds/reader/")
    assert psql(opened["data"]["username"], opened["data"]["password"], "SELECT 1")[0]
    refused(exceptions.InvalidRequest, NO_WRAP, client(info["token"]).sys.unwrap)
    refused(exceptions.InvalidRequest, NO_WRAP, root.sys.unwrap, info["token"])
    root.sys.revoke_lease(opened["lease_id"])


@step
def wrapped_tokens():
    first = root.auth.token.create(policies=["reader"], wrap_ttl="5m")["wrap_info"]
    second = root.write("sys/wrapping/rewrap", token=first["token"])["wrap_info"]
    refused(exceptions.InvalidRequest, NO_WRAP, root.sys.unwrap, first["token"])
    auth = root.sys.unwrap(second["token"])["auth"]
    assert auth["accessor"] == first["wrapped_accessor"]
    assert client(auth["client_token"]).is_authenticated()
    # Of old: the wrapped token becomes the client's own.
    robot = client(None)
    robot.auth_cubbyhole(root.auth.token.create(policies=["reader"], wrap_ttl="5m")
                         ["wrap_info"]["token"])
    assert robot.auth.token.lookup_self()["data"]["policies"] == ["default", "reader"]


@step
def unopened_wrappings_end_with_what_they_hold():
    refused(exceptions.InvalidRequest, "requires response wrapping", root.write,
            "sys/wrapping/wrap", a="b")
    token = root.write("sys/wrapping/wrap", wrap_ttl="60", a="b")["wrap_info"]["token"]
    assert root.sys.unwrap(token)["data"] == {"a": "b"}
    lost = root.auth.token.create(policies=["reader"], wrap_ttl="1s")["wrap_info"]
    for _ in range(100):
        if lost["wrapped_accessor"] not in root.auth.token.list_accessors()["data"]["keys"]:
            return
        time.sleep(0.1)
    raise AssertionError("the token outlived the wrapping that nobody opened")


@step
def batch_tokens():
    made = root.auth.token.create(policies=["reader"], type="batch", ttl="10m")["auth"]
    assert made["token_type"] == "batch" and made["accessor"] == "" and not made["renewable"]
    robot = client(made["client_token"])
    assert robot.auth.token.lookup_self()["data"]["type"] == "batch"
    refused(exceptions.InvalidRequest, "batch tokens cannot be renewed",
            robot.auth.token.renew_self)
    refused(exceptions.InvalidRequest, "batch tokens cannot be revoked", root.auth.token.revoke,
            made["client_token"])
    refused(exceptions.InvalidRequest, 'batch tokens cannot have "num_uses" set',
            root.auth.token.create, type="batch", num_uses=3)
    assert not client(made["client_token"] + "x").is_authenticated()


@step
def userpass():
    root.sys.enable_auth_method("userpass")
    users = root.auth.userpass
    users.create_or_update_user("ann", password="pw-1", policies="reader", token_ttl="10m")
    assert users.list_user()["data"]["keys"] == ["ann"]
    user = users.read_user("ann")["data"]
    assert (user["policies"], user["token_ttl"]) == (["reader"], 600)
    ann = hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"])
    auth = ann.auth.userpass.login("ann", "pw-1")["auth"]
    assert auth["policies"] == ["default", "reader"] and auth["lease_duration"] == 600
    assert auth["metadata"] == {"username": "ann"}
    assert ann.is_authenticated() and ann.auth.token.lookup_self()["data"]["orphan"] is True
    users.update_password_on_user("ann", "pw-2")
    refused(exceptions.InvalidRequest, "invalid username or password", ann.auth.userpass.login,
            "ann", "pw-1")
    refused(exceptions.InvalidRequest, "invalid username or password", ann.auth.userpass.login,
            "nobody", "pw-1")
    assert ann.auth.userpass.login("ann", "pw-2", use_token=False)["auth"]["client_token"]
    users.delete_user("ann")
    refused(exceptions.InvalidPath, "", users.read_user, "ann")
    refused(exceptions.InvalidPath, "", users.list_user)


@step
def userpass_by_the_old_names():
    root.create_userpass("bea", "pw", ["reader"])
    root.update_userpass_policies("bea", ["default"])
    root.update_userpass_password("bea", "pw-2")
    assert root.read_userpass("bea")["data"]["policies"] == ["default"]
    assert root.list_userpass()["data"]["keys"] == ["bea"]
    bea = hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"])
    assert bea.auth_userpass("bea", "pw-2")["auth"]["policies"] == ["default"]
    root.delete_userpass("bea")
    root.sys.disable_auth_method("userpass")
    assert not bea.is_authenticated()


@step
def approle_roles():
    root.sys.enable_auth_method("approle")
    roles = root.auth.approle
    roles.create_or_update_approle(
        "app", token_policies=["reader"], token_ttl="20m", token_max_ttl="1h", secret_id_num_uses=2,
        secret_id_ttl="30m", bind_secret_id=True, token_type="service", token_no_default_policy=True,
        secret_id_bound_cidrs=["127.0.0.0/8"], token_bound_cidrs=["127.0.0.1/32"])
    assert roles.list_roles()["data"]["keys"] == ["app"]
    role = roles.read_role("app")["data"]
    assert role["token_policies"] == ["reader"] and role["secret_id_ttl"] == 1800
    assert role["secret_id_bound_cidrs"] == ["127.0.0.0/8"] and role["bind_secret_id"] is True
    assert len(roles.read_role_id("app")["data"]["role_id"]) == 36
    roles.update_role_id("app", "the-app")
    assert roles.read_role_id("app")["data"]["role_id"] == "the-app"


@step
def approle_logins():
    roles = root.auth.approle
    made = roles.generate_secret_id("app", metadata={"build": "7"}, cidr_list=["127.0.0.1/32"],
                                    token_bound_cidrs=["127.0.0.1/32"])["data"]
    assert made["secret_id_ttl"] == 1800
    app = hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"])
    auth = app.auth.approle.login("the-app", made["secret_id"])["auth"]
    assert auth["policies"] == ["reader"] and auth["lease_duration"] == 1200
    assert auth["metadata"] == {"role_name": "app", "build": "7"}
    assert app.secrets.kv.v1.read_secret("open/a", mount_point="kv1")["data"]["b"] == "c"
    assert root.auth.token.renew(app.token)["auth"]["lease_duration"] == 1200
    app.auth.approle.login("the-app", made["secret_id"], use_token=False)
    refused(exceptions.InvalidRequest, "invalid", app.auth.approle.login, "the-app",
            made["secret_id"])
    refused(exceptions.InvalidRequest, "invalid", app.auth.approle.login, "no-app",
            made["secret_id"])


@step
def approle_secret_ids():
    roles = root.auth.approle
    made = roles.generate_secret_id("app")["data"]
    seen = roles.read_secret_id("app", made["secret_id"])["data"]
    assert seen["secret_id_accessor"] == made["secret_id_accessor"]
    assert seen["secret_id_num_uses"] == 2 and seen["metadata"] == {}
    assert roles.list_secret_id_accessors("app")["data"]["keys"] == [made["secret_id_accessor"]]
    by_accessor = roles.read_secret_id_accessor("app", made["secret_id_accessor"])["data"]
    assert by_accessor == seen
    roles.destroy_secret_id("app", made["secret_id"])
    refused(exceptions.InvalidPath, "accessor", roles.read_secret_id_accessor, "app",
            made["secret_id_accessor"])
    other = roles.create_custom_secret_id("app", "chosen-by-the-pipeline")["data"]
    assert other["secret_id"] == "chosen-by-the-pipeline"
    roles.destroy_secret_id_accessor("app", other["secret_id_accessor"])
    refused(exceptions.InvalidPath, "", roles.list_secret_id_accessors, "app")
    roles.delete_role("app")
    refused(exceptions.InvalidPath, "", roles.read_role, "app")


@step
def approle_by_the_old_names():
    root.create_role("old", policies="reader", period="1h")
    root.set_role_id("old", "the-old-one")
    assert root.get_role_id("old") == "the-old-one" and root.list_roles()["data"]["keys"] == ["old"]
    assert root.get_role("old")["data"]["policies"] == ["reader"]
    made = root.create_role_secret_id("old", meta={"a": "b"})["data"]
    root.create_role_custom_secret_id("old", "another", {"c": "d"})
    assert root.get_role_secret_id("old", made["secret_id"])["data"]["metadata"] == {"a": "b"}
    assert len(root.list_role_secrets("old")["data"]["keys"]) == 2
    accessor = made["secret_id_accessor"]
    assert root.get_role_secret_id_accessor("old", accessor)["data"]["metadata"] == {"a": "b"}
    old = hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"])
    assert old.auth_approle("the-old-one", "another")["auth"]["metadata"]["role_name"] == "old"
    root.delete_role_secret_id_accessor("old", accessor)
    root.delete_role_secret_id("old", "another")
    root.delete_role("old")
    root.sys.disable_auth_method("approle")
    assert not old.is_authenticated()


@step
def namespaces():
    root.sys.create_namespace("team-a")
    assert "team-a/" in root.sys.list_namespaces()["data"]["keys"]
    operator = hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"], token=ENV["COMPAT_ROOT_TOKEN"],
                           namespace="team-a")
    operator.sys.enable_secrets_engine("kv", path="own", options={"version": "1"})
    operator.secrets.kv.v1.create_or_update_secret("x", {"v": "1"}, mount_point="own")
    operator.sys.create_or_update_policy("reader", 'path "own/*" { capabilities = ["read"] }')
    token = operator.auth.token.create(policies=["reader"])["auth"]["client_token"]
    inside = hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"], token=token, namespace="team-a")
    assert inside.secrets.kv.v1.read_secret("x", mount_point="own")["data"]["v"] == "1"
    outside = hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"], token=token)
    refused(exceptions.Forbidden, "permission denied", outside.sys.list_mounted_secrets_engines)
    assert "own/" not in root.sys.list_mounted_secrets_engines()["data"]
    root.sys.delete_namespace("team-a")
    refused(exceptions.Forbidden, "permission denied", inside.secrets.kv.v1.read_secret, "x",
            mount_point="own")


# --- approvals: control groups as Vault Enterprise has them, and a client that polls ---


def approver(name):
    """A human who can log in; her client and the id of her entity."""
    root.auth.userpass.create_or_update_user(name, password="correct horse")
    client = hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"])
    entity = client.auth.userpass.login(name, "correct horse")["auth"]["entity_id"]
    root.write(f"identity/entity/id/{entity}", kind="human")
    return client, entity


@step
def approvals_set_up():
    root.sys.enable_auth_method("userpass")
    state["alice"], entity = approver("alice")
    root.secrets.identity.create_or_update_group("owners", member_entity_ids=[entity])
    root.sys.create_or_update_policy("guarded", """
        path "database/creds/reader" {
          capabilities = ["read"]
          control_group = {
            factor "owners" { identity { group_names = ["owners"] approvals = 1 } }
          }
        }""")
    root.sys.create_or_update_policy(
        "authorizer", 'path "sys/control-group/authorize" { capabilities = ["update"] }')
    root.write(f"identity/entity/id/{entity}", policies=["authorizer"])
    token = root.auth.token.create(policies=["guarded"])["auth"]["client_token"]
    state["asker"] = hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"], token=token)


@step
def control_group():
    asker, alice = state["asker"], state["alice"]
    wrap = asker.secrets.database.generate_credentials("reader")["wrap_info"]
    refused(exceptions.InvalidRequest, "Request needs further approval", asker.sys.unwrap,
            wrap["token"])
    before = root.write("sys/control-group/request", accessor=wrap["accessor"])["data"]
    assert before["approved"] is False and before["request_path"] == "database/creds/reader"
    refused(exceptions.Forbidden, "permission denied", root.write, "sys/control-group/authorize",
            accessor=wrap["accessor"])
    done = alice.write("sys/control-group/authorize", accessor=wrap["accessor"])["data"]
    assert done == {"approved": True}, done
    after = root.write("sys/control-group/request", accessor=wrap["accessor"])["data"]
    assert [human["entity_name"] for human in after["authorizations"]], after
    answer = hvac.Client(url=ENV["COMPAT_DEV_ADDRESS"], token=wrap["token"]).sys.unwrap()
    assert answer["lease_id"].startswith("database/creds/reader/")
    assert psql(answer["data"]["username"], answer["data"]["password"], "SELECT 1")[0]
    refused(exceptions.InvalidRequest, "wrapping token", asker.sys.unwrap, wrap["token"])
    root.sys.revoke_lease(answer["lease_id"])
    assert not role_exists(answer["data"]["username"])


@step
def a_client_that_polls():
    asker, alice = state["asker"], state["alice"]
    made = asker.adapter.post("/v1/sys/control-group/request", json={
        "agent_id": "compat", "operation": "read", "target_resource": "database/creds/reader",
        "justification": "a report", "requested_duration_minutes": 10,
        "timestamp": "2026-01-01T00:00:00Z"})
    status = f"/v1/sys/control-group/request/{made['request_id']}"
    assert asker.adapter.get(status)["approved"] is False
    waiting = alice.read(f"sys/approvals/{made['request_id']}")["data"]
    assert waiting["claims_of_agent"]["reason"] == "a report" and waiting["can"]["approve"]
    alice.write(f"sys/approvals/{made['request_id']}/approve", digest=waiting["digest"])
    assert asker.adapter.get(status)["approved"] is True
    answer = asker.adapter.get("/v1/database/creds/reader")
    assert answer["lease_duration"] == 600
    assert psql(answer["data"]["username"], answer["data"]["password"], "SELECT 1")[0]
    root.sys.revoke_lease(answer["lease_id"])


@step
def unmount_and_audit_off():
    root.sys.disable_secrets_engine("database")
    root.sys.disable_audit_device("trail")
    assert "trail/" not in root.sys.list_enabled_audit_devices()["data"]


def main():
    failures = 0
    for function in STEPS:
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok      {name}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failures += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
    print(f"hvac: {len(STEPS) - failures} of {len(STEPS)} steps passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
