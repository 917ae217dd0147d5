#include "store/key_holder.h"

#include <utility>

#include "store/pkcs11_holder.h"
#include "store/seal_key.h"

namespace curfew::store {
namespace {

class FileHolder final : public KeyHolder {
 public:
  FileHolder(std::string path, Random& random) : path_(std::move(path)), random_(random) {}

  Result<Made> make() override {
    ASSIGN_OR_RETURN(Secret key, read_or_create_key_file(path_, random_));
    return Made{std::move(key), ""};
  }
  Result<Secret> get(const std::string&) override { return read_key_file(path_); }

 private:
  const std::string path_;
  Random& random_;
};

class EnvironmentHolder final : public KeyHolder {
 public:
  EnvironmentHolder(std::string variable, Secret key)
      : variable_(std::move(variable)), key_(std::move(key)) {}

  Result<Made> make() override {
    if (key_.empty())
      return Error{Errc::kPreconditionFailed,
                   "the key from the environment was used already; start the server again"};
    return Made{key_, ""};
  }
  Result<Secret> get(const std::string&) override {
    if (key_.empty())
      return Error{Errc::kSealed,
                   "the key from the environment was used and forgotten; start the server again "
                   "with " +
                       variable_ + " set"};
    return key_;
  }
  void forget() override { key_ = Secret(); }

 private:
  const std::string variable_;
  Secret key_;
};

}  // namespace

Result<std::unique_ptr<KeyHolder>> make_key_holder(const SealOptions& options, Random& random) {
  std::unique_ptr<KeyHolder> holder;
  switch (options.kind) {
    case SealKind::kShamir: break;
    case SealKind::kFile:
      if (options.key_file.empty())
        return Error{Errc::kPreconditionFailed,
                     "a seal of kind file needs the path of its key file. Add it to the "
                     "configuration"};
      holder = std::make_unique<FileHolder>(options.key_file, random);
      break;
    case SealKind::kEnv: {
      ASSIGN_OR_RETURN(Secret key, take_environment_key(options.environment));
      holder = std::make_unique<EnvironmentHolder>(options.environment, std::move(key));
      break;
    }
    case SealKind::kPkcs11: return make_pkcs11_holder(options.pkcs11, random);
  }
  return holder;
}

}  // namespace curfew::store
