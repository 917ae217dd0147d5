#pragma once

#include <string>

#include "store/seal_options.h"
#include "tests/store/temp_folder.h"

namespace curfew::store {

// A token of SoftHSM2 in a folder of its own, through the real module. One at a time in a process:
// the module reads its configuration from the environment. Aborts where SoftHSM2 is missing.
class SoftHsm {
 public:
  SoftHsm();

  // Makes a token with this label and user PIN.
  void make_token(const std::string& label, const std::string& pin) const;
  // Removes all tokens, as if the HSM were disconnected, and puts them back.
  void take_away() const;
  void bring_back() const;

  // Of a token "curfew", PIN "1234", key "seal", which is made when it is needed.
  Pkcs11Options options() const;
  const std::string& configuration() const { return configuration_; }
  static std::string library();
  // The same through a module that hangs, or fails to decrypt, while it is told to.
  static std::string flaky_library();
  void set_hanging(bool hangs) const { set_mode(".hangs", hangs); }
  void set_failing(bool fails) const { set_mode(".fails", fails); }

 private:
  void set_mode(const std::string& ending, bool on) const;

  const TempFolder folder_;
  const std::string tokens_ = folder_.file("tokens");
  const std::string configuration_ = folder_.file("softhsm2.conf");
};

}  // namespace curfew::store
