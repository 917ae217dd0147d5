#pragma once

#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/route.h"
#include "broker/mount/mount_entry.h"

// The settings of mounts, of engines and of auth methods alike.
namespace curfew::broker {

// What a read of …/tune answers: times in seconds, as they are in force.
Json tune_data(const MountEntry& entry);

// Applies a write of …/tune; members that are absent stay. kInvalidArgument names the member.
Status apply_tune(const Json& data, MountEntry& entry);

std::vector<FieldSpec> tune_fields();

}  // namespace curfew::broker
