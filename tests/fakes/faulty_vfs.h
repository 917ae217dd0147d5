#pragma once

#include <sqlite3.h>

#include <atomic>
#include <string>

namespace curfew::fakes {

// SQLite's file layer over the system's, which fails when the test says so: a full disk, a flush
// that does not succeed. Flushes that succeed do nothing, which is all that a test of dying
// processes needs and much faster. Open the database with its name(). Thread-safe.
class FaultyVfs {
 public:
  FaultyVfs();
  // REQUIRES: no database is open through it.
  ~FaultyVfs();
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  const std::string& name() const { return name_; }

  // The n-th change of a file from now on (1: the next; writes, flushes and truncations count)
  // fails; with `lasting` so do all later ones until heal(). A write fails with SQLITE_FULL, a
  // flush and a truncation with the fitting SQLITE_IOERR.
  void fail_change(int n, bool lasting);
  // The n-th flush alone.
  void fail_flush(int n);
  void heal();

  // Changes of files so far.
  int changes() const { return changes_; }

  // For the file layer: whether this change fails.
  bool change_fails();
  bool flush_fails();

 private:
  std::string name_;
  sqlite3_vfs vfs_{};
  std::atomic<int> changes_{0};
  std::atomic<int> fail_at_{0};  // 0: never
  std::atomic<bool> lasting_{false};
  std::atomic<int> flush_fails_in_{0};
};

}  // namespace curfew::fakes
