#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/notify/notification_target.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// The notification targets of one namespace and the settings that they share: kept in the store,
// sealed, and held in memory. Thread-safe. A change is durable when its call returns success.
class TargetStore {
 public:
  TargetStore(store::Database& database, const store::Records& records, Log& log)
      : database_(database), records_(records), log_(log) {}

  // Reads all. What was altered in the store is logged and left out.
  Status load();
  void unload();

  std::vector<std::string> names() const;  // sorted
  // nullptr: there is none.
  std::shared_ptr<const NotificationTarget> find(const std::string& name) const;
  std::vector<std::shared_ptr<const NotificationTarget>> all() const;
  // Makes or replaces, as parse_target() reads `data`. kInvalidArgument also where there are
  // already as many as there can be.
  Status put(const std::string& name, const Json& data);
  // Absent is success.
  Status remove(const std::string& name);

  std::string public_url() const;
  Status set_public_url(std::string url);  // as parse_public_url() gives it

 private:
  using Targets = std::map<std::string, std::shared_ptr<const NotificationTarget>>;

  store::Database& database_;
  const store::Records& records_;
  Log& log_;
  std::mutex changing_;  // one change at a time
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  Targets targets_;
  std::string public_url_;
};

}  // namespace curfew::broker
