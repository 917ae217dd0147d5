#pragma once

#include <string>

namespace curfew::bench {

// Adds so many active leases, which end in ten years, to the store of a server that is not running:
// real rows, sealed under the store's own keys. Every failure ends the program.
void fill_leases(const std::string& database_path, const std::string& seal_path,
                 const std::string& mount_accessor, int count);

}  // namespace curfew::bench
