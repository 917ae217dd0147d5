#pragma once

#include "base/json.h"
#include "broker/system/system_parts.h"

namespace curfew::broker {

// The body of sys/seal-status and sys/unseal.
Json seal_status_json(const SystemParts& parts, const store::SealStatus& status);

// A readable name and a UUID of this store, both from its id; empty before it is initialized.
struct Cluster {
  std::string name;
  std::string id;
};
Cluster cluster_of(const SystemParts& parts);

}  // namespace curfew::broker
