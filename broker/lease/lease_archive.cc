#include "broker/lease/lease_archive.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace curfew::broker {
namespace {

Error failed(std::string_view what, const std::string& path, int error) {
  return {Errc::kUnavailable, fmt::format("cannot {} the archive of leases \"{}\": {}; ended "
                                          "leases stay in the store until it can be written",
                                          what, path, std::strerror(error))};
}

// Closes what it holds.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return number_; }

 private:
  const int number_;
};

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// A new file is only there after a crash when its folder was flushed too.
Status flush_folder(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  const Descriptor opened(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() < 0 || ::fsync(opened.get()) != 0) return failed("keep", path, errno);
  return ok();
}

}  // namespace

Status LeaseArchive::append(const std::vector<Json>& lines) {
  std::string text;
  for (const Json& line : lines) text += dump_json(line) + "\n";
  const std::scoped_lock lock(mutex_);
  const Descriptor file(
      ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return failed("open", path_, errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return failed("examine", path_, errno);
  if (!S_ISREG(info.st_mode)) return failed("write", path_, EINVAL);
  // A crash in the middle of a line must not spoil the next one.
  char last = '\n';
  if (info.st_size > 0 && ::pread(file.get(), &last, 1, info.st_size - 1) != 1)
    return failed("examine", path_, errno);
  if (last != '\n') text.insert(text.begin(), '\n');
  if (!write_all(file.get(), text) || ::fsync(file.get()) != 0) {
    const int error = errno;
    if (::ftruncate(file.get(), info.st_size) != 0) return failed("write and repair", path_, error);
    return failed("write", path_, error);
  }
  return info.st_size == 0 ? flush_folder(path_) : ok();
}

}  // namespace curfew::broker
