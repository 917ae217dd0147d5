#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/audit/audit_entry.h"
#include "broker/audit/file_device.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// What an operator sees of an audit device.
struct AuditDeviceInfo {
  std::string path;  // ends in '/'
  std::string type;
  std::string description;
  std::map<std::string, std::string> options;
  bool local = false;
};

// The audit devices of one namespace. With devices enabled, a request goes on only when at least
// one of them has its line, and in each namespace above that has some likewise. Thread-safe.
class AuditBroker {
 public:
  // `above`: that of the namespace above, which gets every line as well; nullptr: there is none.
  AuditBroker(store::Database& database, const store::Records& records, Random& random, Log& log,
              AuditNamespace name_space = {}, AuditBroker* above = nullptr);

  // Opens the stored devices. A device that cannot be opened is kept and tried again at each entry.
  Status load();
  // Forgets the devices (the broker is being sealed).
  void unload();

  // False: there are no devices, here or above, and write() does nothing.
  bool is_on() const;

  // kSealed before load(). kInternal when no device took the line; the message names the devices,
  // the reasons and what to do, where they are this namespace's own.
  Status write(const AuditEntry& entry);
  // The same for a lease that has ended; see render_audit_end().
  Status write_end(WallTime time, const Json& lease);

  // kInvalidArgument: unknown type or option, path in use, file cannot be written.
  Status enable(AuditDeviceInfo info);
  Status disable(const std::string& path);  // absent is success
  std::vector<AuditDeviceInfo> list() const;
  // kInvalidArgument: no such device.
  Result<std::string> hash(const std::string& path, std::string_view input) const;

  // For log rotation.
  void reopen();

 private:
  struct Device {
    AuditDeviceInfo info;
    AuditHasher hasher;
    std::string prefix;
    FileDevice file;
  };

  Result<std::shared_ptr<Device>> make_device(AuditDeviceInfo info, const Secret& salt) const;
  std::optional<std::vector<std::shared_ptr<Device>>> loaded_devices() const;
  // The error lists what failed where.
  using Render = std::function<std::string(const AuditHasher&)>;
  Status write_to_own(const Render& render) const;
  Status write_to_all(const Render& render) const;
  std::vector<std::shared_ptr<Device>> devices() const;

  store::Database& database_;
  const store::Records& records_;
  Random& random_;
  Log& log_;
  const AuditNamespace name_space_;
  AuditBroker* const above_;
  mutable std::shared_mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, std::shared_ptr<Device>> devices_;
  bool loaded_ = false;
};

}  // namespace curfew::broker
