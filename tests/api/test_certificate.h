#pragma once

#include <string>

#include "api/tls_context.h"

namespace curfew::api::testing {

// A folder of its own for one test, removed with its files at the end.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Writes a new self-signed certificate for the common name, and its key, over what is there.
void write_certificate(const TlsFiles& files, const std::string& common_name);

}  // namespace curfew::api::testing
