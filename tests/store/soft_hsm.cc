#include "tests/store/soft_hsm.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace curfew::store {

SoftHsm::SoftHsm() {
  std::filesystem::create_directory(tokens_);
  std::ofstream(configuration_) << "directories.tokendir = " << tokens_
                                << "\nobjectstore.backend = file\nlog.level = ERROR\n";
  if (::setenv("SOFTHSM2_CONF", configuration_.c_str(), 1) != 0) std::abort();
}

void SoftHsm::make_token(const std::string& label, const std::string& pin) const {
  const ::pid_t child = ::fork();
  if (child == 0) {
    ::execlp("softhsm2-util", "softhsm2-util", "--init-token", "--free", "--label", label.c_str(),
             "--so-pin", "87654321", "--pin", pin.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0) std::abort();
}

void SoftHsm::take_away() const {
  std::filesystem::rename(tokens_, tokens_ + ".away");
  std::filesystem::create_directory(tokens_);
}

void SoftHsm::bring_back() const {
  std::filesystem::remove_all(tokens_);
  std::filesystem::rename(tokens_ + ".away", tokens_);
}

std::string SoftHsm::library() {
  for (const char* path :
       {"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so"}) {
    if (std::filesystem::exists(path)) return path;
  }
  std::abort();
}

std::string SoftHsm::flaky_library() {
  return CURFEW_FLAKY_HSM;
}

void SoftHsm::set_mode(const std::string& ending, bool on) const {
  if (on)
    std::ofstream(configuration_ + ending) << "yes";
  else
    std::filesystem::remove(configuration_ + ending);
}

Pkcs11Options SoftHsm::options() const {
  Pkcs11Options options;
  options.library = library();
  options.token_label = "curfew";
  options.pin = Secret("1234");
  options.key_label = "seal";
  options.generate_key = true;
  return options;
}

}  // namespace curfew::store
