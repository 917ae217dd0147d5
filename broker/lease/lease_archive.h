#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace curfew::broker {

// A file of one JSON object a line (mode 0600) that lines are only ever added to. Thread-safe.
class LeaseArchive {
 public:
  // The file is made by the first append().
  explicit LeaseArchive(std::string path) : path_(std::move(path)) {}

  // On stable storage when this returns success. When it fails none of the lines may be counted on,
  // and the file ends with a whole line: append them again. kUnavailable names the file and why.
  Status append(const std::vector<Json>& lines);

 private:
  const std::string path_;
  std::mutex mutex_;  // one append at a time
};

}  // namespace curfew::broker
