#include "store/seal_options.h"

namespace curfew::store {

std::string_view seal_kind_name(SealKind kind) {
  switch (kind) {
    case SealKind::kShamir: return "shamir";
    case SealKind::kFile: return "file";
    case SealKind::kEnv: return "env";
    case SealKind::kPkcs11: return "pkcs11";
  }
  return "shamir";
}

std::optional<SealKind> seal_kind_of(std::string_view name) {
  for (const SealKind kind :
       {SealKind::kShamir, SealKind::kFile, SealKind::kEnv, SealKind::kPkcs11}) {
    if (seal_kind_name(kind) == name) return kind;
  }
  return std::nullopt;
}

}  // namespace curfew::store
