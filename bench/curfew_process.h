#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace curfew::bench {

// A folder on the disk (below CURFEW_BENCH_DIR, default /var/tmp) that goes away with this object.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The program under test as its users run it: file-backed store, file seal, no TLS. The executable
// is CURFEW_BIN, or "curfew" beside this program.
class CurfewProcess {
 public:
  // Prepares a configuration in `folder`, which outlives this; starts nothing yet.
  explicit CurfewProcess(const std::string& folder);
  ~CurfewProcess();  // stops
  CurfewProcess(const CurfewProcess&) = delete;
  CurfewProcess& operator=(const CurfewProcess&) = delete;

  // Starts it and waits for the first answer; returns how long that took, in milliseconds.
  double start();
  void stop();

  // Of a new store, once. The server is unsealed afterwards.
  void initialize();

  int port() const { return port_; }
  const std::string& token() const { return token_; }  // the root token
  std::string database_path() const { return folder_ + "/curfew.db"; }
  std::string seal_path() const { return folder_ + "/seal.key"; }
  double memory_mib() const;  // resident now

 private:
  const std::string folder_;
  int port_ = 0;
  pid_t process_ = -1;
  std::string token_;
};

}  // namespace curfew::bench
