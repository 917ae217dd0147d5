#include <fmt/format.h>

#include <ostream>

#include "base/random.h"
#include "cli/commands.h"
#include "cli/key_values.h"
#include "cli/target_session.h"
#include "cli/target_setup_sql.h"
#include "cli/token_file.h"

namespace curfew::cli {

namespace {

constexpr std::size_t kPasswordLength = 40;

Result<TargetSetup> read_setup(const Arguments& arguments) {
  TargetSetup setup;
  setup.database = arguments.text("database");
  if (setup.database.empty()) return local_error("-database names the database to make ready");
  setup.login = arguments.text("login", "curfew_broker");
  setup.owners = arguments.list("owner");
  setup.quarantine_schemas = arguments.list("quarantine");
  RETURN_IF_ERROR(check_name(setup.database, "-database"));
  RETURN_IF_ERROR(check_name(setup.login, "-login"));
  for (const std::string& owner : setup.owners) RETURN_IF_ERROR(check_name(owner, "-owner"));
  for (const std::string& schema : setup.quarantine_schemas)
    RETURN_IF_ERROR(check_name(schema, "-quarantine"));
  for (const std::string& text : arguments.list("group")) {
    ASSIGN_OR_RETURN(GroupRole group, parse_group_role(text));
    setup.groups.push_back(std::move(group));
  }
  return setup;
}

Result<std::unique_ptr<TargetSession>> connect(Call& call, const TargetSetup& setup) {
  const std::string url = call.arguments.text("run");
  Secret password(call.around.environment("PGPASSWORD").value_or(""));
  ASSIGN_OR_RETURN(auto session, TargetSession::open(url, setup.database, password));
  if (!session->problem().empty() && session->needs_password() && password.empty()) {
    if (call.around.in_is_terminal) {
      ASSIGN_OR_RETURN(password, call.around.ask_secret("Password of the administrator: "));
    } else {
      ASSIGN_OR_RETURN(password, read_secret(call.around.in));
    }
    ASSIGN_OR_RETURN(session, TargetSession::open(url, setup.database, password));
  }
  if (!session->problem().empty())
    return Error{Errc::kUnavailable, "The target cannot be reached: " + session->problem()};
  return session;
}

Result<std::string> connection_url(Call& call, const TargetSetup& setup,
                                   const TargetSession& session) {
  if (call.arguments.has("connection-url")) return call.arguments.text("connection-url");
  const std::string& host = session.host();
  if (host.empty() || host.find_first_of("/,@?#% ") != std::string::npos)
    return local_error("The server is reached over \"" + host +
                       "\"; say with -connection-url how Curfew reaches it");
  const bool six = host.find(':') != std::string::npos;
  std::string url =
      fmt::format("postgresql://{{{{username}}}}:{{{{password}}}}@{}{}{}:{}/{}", six ? "[" : "",
                  host, six ? "]" : "", session.port(), setup.database);
  if (!session.sslmode().empty()) url += "?sslmode=" + session.sslmode();
  return url;
}

Status write_config(Call& call, const TargetSetup& setup, const std::string& url,
                    const Secret& password) {
  const std::string path = trim_path(call.arguments.text("mount", "database")) + "/config/" +
                           call.arguments.text("name");
  const auto reply =
      call.api().send({.method = "PUT",
                       .path = path,
                       .body = Json{{"plugin_name", "postgresql-database-plugin"},
                                    {"connection_url", url},
                                    {"username", setup.login},
                                    {"password", password.reveal()},
                                    {"allowed_roles", call.arguments.list("allowed-roles")}},
                       .doing = "writing " + path,
                       .secret_members = {"password"}});
  if (!reply) {
    Error error = reply.error();
    error.message +=
        "\nThe login has a new password that is kept nowhere: run this again, which gives it one "
        "more.";
    return error;
  }
  call.print.warnings(reply->body);
  call.print.success("Success! Configured: " + path);
  return ok();
}

Result<int> run_setup(Call& call, const TargetSetup& setup) {
  const std::string file = call.arguments.text("password-file");
  const bool configures = call.arguments.has("name");
  const bool sets_password = configures || !file.empty();
  ASSIGN_OR_RETURN(const auto session, connect(call, setup));
  std::string url;
  if (configures) {
    ASSIGN_OR_RETURN(url, connection_url(call, setup, *session));
  }
  ASSIGN_OR_RETURN(const std::string there, session->run("SELECT 1 FROM pg_catalog.pg_roles WHERE "
                                                         "rolname = '" +
                                                         setup.login + "'"));
  if (there.empty() && !sets_password)
    return local_error(
        "Say where the new login's password is to go: -name writes it into the "
        "target's configuration on the server, -password-file into a file");
  Secret password;
  std::string verifier;
  if (sets_password) {
    SystemRandom random;
    password = Secret(random_base62(random, kPasswordLength));
    ASSIGN_OR_RETURN(verifier, session->verifier(setup.login, password));
  }
  RETURN_IF_ERROR(session->run(setup_sql(setup, verifier)));
  call.print.success(
      fmt::format("Success! The login \"{}\" is ready in database \"{}\", with {} "
                  "group roles.",
                  setup.login, setup.database, setup.groups.size()));
  if (!file.empty()) {
    RETURN_IF_ERROR(store_private_file(file, "password file", password));
    call.print.success("Its password is in " + file);
  }
  if (configures) RETURN_IF_ERROR(write_config(call, setup, url, password));
  return kExitOk;
}

Result<int> setup(Call& call) {
  ASSIGN_OR_RETURN(const TargetSetup setup, read_setup(call.arguments));
  if (call.arguments.has("run")) return run_setup(call, setup);
  if (call.arguments.has("name") || call.arguments.has("password-file"))
    return local_error(
        "-name and -password-file go with -run: what is only printed has no "
        "password");
  call.around.out << setup_script(setup);
  return kExitOk;
}

}  // namespace

void add_target_commands(CommandTable& table) {
  table.groups.push_back({"target", "The databases that credentials are for"});
  table.commands.push_back(
      {.path = "target setup",
       .summary = "Makes a login for Curfew and group roles in a PostgreSQL database",
       .synopsis = "-database=NAME [flags]",
       .words = {0, 0},
       .flags =
           {{{"database"}, FlagKind::kText, "The database.", "NAME"},
            {{"login"}, FlagKind::kText, "Curfew's own login: curfew_broker if unset.", "NAME"},
            {{"group"},
             FlagKind::kList,
             "A group role with rights on all tables of a schema; repeatable.",
             "NAME:PRIVILEGES:SCHEMA"},
            {{"owner"},
             FlagKind::kList,
             "Whose later tables the group roles get rights on, too; repeatable.",
             "ROLE"},
            {{"quarantine"},
             FlagKind::kList,
             "A schema in which leased roles may make tables, so that these can be kept when a "
             "lease ends; repeatable.",
             "SCHEMA"},
            {{"run"},
             FlagKind::kText,
             "Run it there, as a superuser, instead of printing it. The URL holds no password.",
             "URL"},
            {{"password-file"},
             FlagKind::kText,
             "Where the login's new password goes, for this user alone to read.",
             "PATH"},
            {{"name"},
             FlagKind::kText,
             "Write the target's configuration of this name, with the new password.",
             "TARGET"},
            {{"mount"}, FlagKind::kText, "The mount of that: database if unset.", "PATH"},
            {{"allowed-roles"},
             FlagKind::kList,
             "A role of the mount that may use the target; repeatable; * in it for any text.",
             "ROLE"},
            {{"connection-url"},
             FlagKind::kText,
             "How Curfew reaches the database, if not as -run does.",
             "URL"}},
       .details =
           "  Without -run the SQL is printed, for psql. It can be run again: what is there "
           "stays.\n"
           "  With neither -name nor -password-file the password of a login that exists is kept.\n"
           "  The administrator's password is taken from PGPASSWORD, or asked for.\n\n"
           "      curfew target setup -database=app -group=app_readers:select:public\n"
           "      curfew target setup -run=postgresql://postgres@db.example.com:5432 \\\n"
           "        -database=app -group=app_readers:select:public -name=app \\\n"
           "        -allowed-roles=agent-readonly\n",
       .run = setup});
}

}  // namespace curfew::cli
