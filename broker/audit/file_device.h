#pragma once

#include <sys/types.h>

#include <mutex>
#include <string>

#include "base/result.h"

namespace curfew::broker {

// A file that audit lines are appended to, one whole line at a time. Thread-safe.
class FileDevice {
 public:
  // `path`: absolute, "stdout" or "discard". `mode`: permissions of a file that is made.
  FileDevice(std::string path, mode_t mode);
  ~FileDevice();
  FileDevice(const FileDevice&) = delete;
  FileDevice& operator=(const FileDevice&) = delete;

  // Opens the file now, so that a path that cannot be written is found out early. kInvalidArgument
  // says why.
  Status open();

  // The line is in the kernel's hands when this returns success. kUnavailable names the path and
  // the reason; then nothing of the line is left in the file. A file that was deleted meanwhile is
  // made anew.
  Status write(const std::string& line);

  // Closes the file; the next write opens it again. For log rotation.
  void reopen();

 private:
  Status open_locked();
  void close_locked();

  const std::string path_;
  const mode_t mode_;
  std::mutex mutex_;
  int fd_ = -1;
};

}  // namespace curfew::broker
