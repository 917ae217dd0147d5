#include "broker/audit/file_device.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace curfew::broker {
namespace {

Error failed(std::string_view what, const std::string& path, int error) {
  return {Errc::kUnavailable,
          fmt::format("cannot {} audit file \"{}\": {}", what, path, std::strerror(error))};
}

}  // namespace

FileDevice::FileDevice(std::string path, mode_t mode) : path_(std::move(path)), mode_(mode) {}

FileDevice::~FileDevice() {
  close_locked();
}

void FileDevice::close_locked() {
  if (fd_ > STDERR_FILENO) ::close(fd_);
  fd_ = -1;
}

Status FileDevice::open_locked() {
  if (fd_ >= 0) return ok();
  if (path_ == "stdout") {
    fd_ = STDOUT_FILENO;
    return ok();
  }
  // A pipe that nobody reads must be an error, not a wait that every request shares.
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
               mode_);
  if (fd_ < 0) return failed("open", path_, errno);
  return ok();
}

Status FileDevice::open() {
  if (path_ == "discard") return ok();
  const std::scoped_lock lock(mutex_);
  return open_locked();
}

void FileDevice::reopen() {
  const std::scoped_lock lock(mutex_);
  close_locked();
}

Status FileDevice::write(const std::string& line) {
  if (path_ == "discard") return ok();
  const std::scoped_lock lock(mutex_);
  RETURN_IF_ERROR(open_locked());
  struct stat info {};
  if (::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode) && info.st_nlink == 0) {
    // Writing on would go into a file that nobody can read.
    close_locked();
    RETURN_IF_ERROR(open_locked());
    if (::fstat(fd_, &info) != 0) return failed("examine", path_, errno);
  }
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = ::write(fd_, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(written));
      continue;
    }
    if (errno == EINTR) continue;
    const int error = errno;
    // Half a line would make the next one unreadable as well.
    if (rest.size() != line.size() && S_ISREG(info.st_mode) && ::ftruncate(fd_, info.st_size) != 0)
      return failed("write and repair", path_, error);
    close_locked();
    return failed("write", path_, error);
  }
  return ok();
}

}  // namespace curfew::broker
