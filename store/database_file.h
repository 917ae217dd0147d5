#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/result.h"

namespace curfew::store {

// What stands in the header of an SQLite file that is ours: "CURF".
inline constexpr std::uint32_t kApplicationId = 0x43555246;

// The database's file on disk, held against a second server. The lock belongs to the process: the
// kernel drops it when the process ends, however it ends.
class DatabaseFile {
 public:
  // Locks `path` and makes sure that it is an ordinary file, readable for its owner alone, and
  // empty or ours; creates it when it does not exist. An empty path means a private, temporary
  // database that is removed with this object. `log` hears of a mode that had to be tightened.
  // kUnavailable: another server holds it, or the directory or file cannot be used;
  // kPreconditionFailed: it is another program's file; kCorrupt: it is not a database at all.
  static Result<std::unique_ptr<DatabaseFile>> open(const std::string& path, Log& log);
  ~DatabaseFile();
  DatabaseFile(const DatabaseFile&) = delete;
  DatabaseFile& operator=(const DatabaseFile&) = delete;

  // Without symbolic links, so that one file has one lock.
  const std::string& path() const { return path_; }
  bool is_new() const { return is_new_; }
  bool is_temporary() const { return !temporary_folder_.empty(); }
  std::uint64_t size_bytes() const { return size_bytes_; }

  // Makes the names of new files durable.
  Status sync_folder() const;

 private:
  DatabaseFile() = default;
  Status resolve(const std::string& path);
  Status make_temporary_folder();
  Status lock();
  Status check(Log& log);
  Status check_header() const;

  std::string path_;
  std::string temporary_folder_;
  int lock_fd_ = -1;
  bool is_new_ = false;
  std::uint64_t size_bytes_ = 0;
};

}  // namespace curfew::store
