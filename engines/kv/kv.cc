#include "engines/kv/kv.h"

#include "engines/kv/kv_v1.h"
#include "engines/kv/kv_v2.h"
#include "engines/kv/secret_path.h"

namespace curfew::engines {
namespace {

// Both layouts keep to their own part of the storage, so that a mount opened with the wrong
// version is noticed here instead of looking empty to its users.
Status refuse_other_layout(const MountStorage& storage, std::string_view other_prefix,
                           const std::string& held, const std::string& asked) {
  ASSIGN_OR_RETURN(const auto names, storage.list(other_prefix));
  if (names.empty()) return ok();
  return Error{Errc::kInvalidArgument,
               "this mount holds secrets in the layout of kv version " + held +
                   " and cannot be opened as version " + asked + ": mount version " + asked +
                   " at another path and copy the secrets, or set the option version=" + held +
                   " again"};
}

}  // namespace

Result<std::unique_ptr<SecretEngine>> make_kv(Services services) {
  ASSIGN_OR_RETURN(auto version, Fields(services.options).text_or("version", "1"));
  if (version.empty() || version == "1") {
    RETURN_IF_ERROR(refuse_other_layout(services.storage, kv::kV2Prefix, "2", "1"));
    return std::unique_ptr<SecretEngine>(std::make_unique<kv::KvV1>(std::move(services)));
  }
  if (version == "2") {
    RETURN_IF_ERROR(refuse_other_layout(services.storage, kv::kV1Prefix, "1", "2"));
    return std::unique_ptr<SecretEngine>(std::make_unique<kv::KvV2>(std::move(services)));
  }
  return Error{Errc::kInvalidArgument, "unknown kv version \"" + version.substr(0, 64) +
                                           "\": the option version takes \"1\" or \"2\""};
}

}  // namespace curfew::engines
