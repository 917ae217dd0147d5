#pragma once

#include <sys/types.h>

#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "tests/e2e/child.h"

namespace curfew::e2e {

// An answer to an HTTP request.
struct Answer {
  int status = 0;  // 0: none came
  Json body;       // null when it is no JSON
  std::string text;

  // The members of "data"; an empty object when there are none.
  Json data() const;
  std::string error() const;  // all of "errors" in one text
};

// A Curfew server as a process of its own, in a folder of its own, on a port that it chooses.
// Killed and removed at the end. Throws where the test cannot go on. call() may be used from
// several threads at once, the rest from one; with set_address() also while it is restarted.
class ServerProcess {
 public:
  ServerProcess();
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Where everything of it lies; ends without a slash.
  const std::string& folder() const { return folder_; }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string config_path() const { return path("curfew.hcl"); }
  std::string database_path() const { return path("curfew.db"); }

  // Blocks of the configuration that differ from: plain HTTP on 127.0.0.1, a database in the
  // folder, a key file in the folder. Take effect at the next start.
  // `address`: host:port, for a server that is to come back at the same one.
  void set_address(std::string address) { bound_ = std::move(address); }
  void set_listener(std::string body) { listener_ = std::move(body); }
  void set_seal(std::string block) { seal_ = std::move(block); }
  void set_storage(std::string block) { storage_ = std::move(block); }
  void set_more(std::string blocks) { more_ = std::move(blocks); }  // beside all of these
  void set_environment(Environment environment) { environment_ = std::move(environment); }

  // Starts it and waits until it listens.
  void start();
  // Starts it with what is expected to be refused, and waits for its end.
  Outcome start_refused();
  // The same with a configuration file of these words.
  Outcome start_refused_with(const std::string& configuration);
  // As `start` and `operator init`; the root token is used by call() and cli() from then on.
  void start_initialized();

  void signal(int number) const;
  int stop(int number = SIGTERM);  // the exit status
  void kill();                     // SIGKILL
  bool is_running();
  pid_t pid() const { return process_; }
  std::uint16_t port() const;
  const std::string& address() const { return address_; }

  // Everything that it wrote to standard output and error since its first start.
  std::string out() const { return read_file(path("out")); }
  std::string log() const { return read_file(path("log")); }

  const std::string& root_token() const { return root_token_; }
  void set_root_token(std::string token) { root_token_ = std::move(token); }

  // One request over HTTP to "/v1/" + path. `token`: "root" stands for the root token. With
  // CURFEW_CACERT where a CA file was set.
  Answer call(const std::string& method, const std::string& path, const Json& body = nullptr,
              const std::string& token = "root") const;
  Answer call_raw(const std::string& method, const std::string& path, const std::string& body,
                  const std::string& token = "root") const;
  // As call(), and throws unless the status is 200 or 204; the data.
  Json must(const std::string& method, const std::string& path, const Json& body = nullptr,
            const std::string& token = "root") const;
  // The real command line against this server.
  Outcome cli(const std::vector<std::string>& arguments, const std::string& token = "root",
              const std::string& input = "", const Environment& more = {}) const;
  void trust(std::string ca_file) { ca_file_ = std::move(ca_file); }
  // PEM files of a client certificate that call() shows from now on; empty: none.
  void show(std::string certificate_file, std::string key_file) {
    client_certificate_ = std::move(certificate_file);
    client_key_ = std::move(key_file);
  }

 private:
  void write_config() const;
  void spawn();

  std::string folder_ = make_folder();
  std::string bound_ = "127.0.0.1:0";
  std::string listener_ = "tls_disable = true";
  std::string seal_;
  std::string storage_;
  std::string more_;
  Environment environment_;
  std::string ca_file_;
  std::string client_certificate_, client_key_;
  std::string root_token_;
  std::string address_;
  pid_t process_ = 0;
};

}  // namespace curfew::e2e
