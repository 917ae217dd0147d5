#include "tests/e2e/server_process.h"

#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <stdexcept>

#include "cli/http_client.h"

namespace curfew::e2e {
namespace {

constexpr const char* kListening = "listening on ";

}  // namespace

Json Answer::data() const {
  return body.is_object() && body.contains("data") && body["data"].is_object() ? body["data"]
                                                                               : Json::object();
}

std::string Answer::error() const {
  std::string all;
  if (!body.is_object() || !body.contains("errors")) return all;
  for (const Json& error : body["errors"]) all += error.get<std::string>() + "\n";
  return all;
}

ServerProcess::ServerProcess()
    : seal_("seal \"file\" { path = \"" + path("seal.key") + "\" }"),
      storage_("storage \"sqlite\" { path = \"" + database_path() + "\" }") {}

ServerProcess::~ServerProcess() {
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void ServerProcess::write_config() const {
  write_file(config_path(), "listener \"tcp\" {\n  address = \"" + bound_ + "\"\n  " + listener_ +
                                "\n}\n" + storage_ + "\n" + seal_ + "\n" + more_ + "\n");
}

void ServerProcess::spawn() {
  Environment environment{{"PATH", "/usr/bin:/bin"}, {"HOME", folder_}};
  for (const auto& [name, value] : environment_) environment[name] = value;
  process_ = start_child({curfew_program(), "server", "-config=" + config_path()}, environment,
                         "/dev/null", path("out"), path("log"));
}

void ServerProcess::start() {
  write_config();
  const std::size_t said = out().size();
  spawn();
  const bool listens = eventually([&] {
    const std::string text = out().substr(said);
    const auto begin = text.find(kListening);
    const auto end = begin == std::string::npos ? begin : text.find('\n', begin);
    if (end == std::string::npos) return !is_running();
    const std::string said_now = text.substr(begin + 13, end - begin - 13);
    if (address_ != said_now) address_ = said_now;  // others may be reading it
    return true;
  });
  if (!listens || process_ == 0) throw std::runtime_error("the server did not start: " + log());
}

Outcome ServerProcess::start_refused() {
  write_config();
  return start_refused_with(read_file(config_path()));
}

Outcome ServerProcess::start_refused_with(const std::string& configuration) {
  write_file(config_path(), configuration);
  const std::size_t said = out().size();
  const std::size_t logged = log().size();
  spawn();
  Outcome outcome;
  outcome.exit = wait_for_exit(process_);
  if (outcome.exit == -1) {
    kill();
  } else {
    process_ = 0;
  }
  outcome.out = out().substr(said);
  outcome.err = log().substr(logged);
  return outcome;
}

void ServerProcess::start_initialized() {
  start();
  const Answer made = call("PUT", "sys/init", {{"secret_shares", 1}, {"secret_threshold", 1}}, "");
  if (made.status != 200) throw std::runtime_error("not initialized: " + made.text);
  root_token_ = made.body.at("root_token");
}

void ServerProcess::signal(int number) const {
  if (process_ != 0) ::kill(process_, number);
}

int ServerProcess::stop(int number) {
  if (process_ == 0) return -1;
  signal(number);
  const int status = wait_for_exit(process_);
  if (status == -1) {
    kill();
  } else {
    process_ = 0;
  }
  return status;
}

void ServerProcess::kill() {
  if (process_ == 0) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  process_ = 0;
}

bool ServerProcess::is_running() {
  if (process_ == 0) return false;
  if (::waitpid(process_, nullptr, WNOHANG) == process_) process_ = 0;
  return process_ != 0;
}

std::uint16_t ServerProcess::port() const {
  return static_cast<std::uint16_t>(std::stoi(address_.substr(address_.rfind(':') + 1)));
}

Answer ServerProcess::call(const std::string& method, const std::string& path, const Json& body,
                           const std::string& token) const {
  return call_raw(method, path, body.is_null() ? "" : dump_json(body), token);
}

Answer ServerProcess::call_raw(const std::string& method, const std::string& path,
                               const std::string& body, const std::string& token) const {
  cli::HttpSettings settings;
  settings.ca_cert_file = ca_file_;
  settings.client_cert_file = client_certificate_;
  settings.client_key_file = client_key_;
  cli::HttpClient client(settings);
  cli::HttpRequest request{.method = method, .url = address_ + "/v1/" + path};
  request.token = Secret(token == "root" ? root_token_ : token);
  if (!body.empty()) {
    request.body = body;
    request.headers.push_back({"Content-Type", "application/json"});
  }
  const auto got = client.send(request);
  if (!got) return {0, nullptr, got.error().message};
  auto parsed = parse_json(got->body);
  return {got->status, parsed ? std::move(*parsed) : Json(nullptr), got->body};
}

Json ServerProcess::must(const std::string& method, const std::string& path, const Json& body,
                         const std::string& token) const {
  const Answer answer = call(method, path, body, token);
  if (answer.status != 200 && answer.status != 204)
    throw std::runtime_error(method + " " + path + " answered " + std::to_string(answer.status) +
                             " " + answer.text);
  return answer.body;
}

Outcome ServerProcess::cli(const std::vector<std::string>& arguments, const std::string& token,
                           const std::string& input, const Environment& more) const {
  Environment environment{{"CURFEW_ADDR", address_}};
  const std::string used = token == "root" ? root_token_ : token;
  if (!used.empty()) environment["CURFEW_TOKEN"] = used;
  if (!ca_file_.empty()) environment["CURFEW_CACERT"] = ca_file_;
  for (const auto& [name, value] : more) environment[name] = value;
  return run_cli(arguments, environment, input);
}

}  // namespace curfew::e2e
