#include "cli/token_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace curfew::cli {

namespace {

constexpr std::size_t kTokenBytesMax = 64 * 1024;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Error file_error(const std::string& what, const std::string& path) {
  return {Errc::kInvalidArgument, what + " " + path + ": " + std::strerror(errno)};
}

}  // namespace

std::string token_file_path(const std::string& home) {
  return home.empty() ? std::string() : home + "/.curfew-token";
}

Result<Secret> load_token(const std::string& path) {
  if (path.empty()) return Secret();
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0 && errno == ENOENT) return Secret();
  if (file.get() < 0) return file_error("cannot read the token file", path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return file_error("cannot examine the token file", path);
  if (!S_ISREG(status.st_mode)) {
    return Error{Errc::kInvalidArgument, "the token file " + path + " is not a regular file"};
  }
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0 || status.st_uid != ::geteuid()) {
    return Error{Errc::kInvalidArgument, "the token file " + path +
                                             " is open to other users: revoke its token if they "
                                             "may have read it, then `chmod 600` or remove it"};
  }
  std::string text(kTokenBytesMax + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0) return file_error("cannot read the token file", path);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > kTokenBytesMax) {
    return Error{Errc::kInvalidArgument, "the token file " + path + " is too large for a token"};
  }
  while (size > 0 && std::string_view(" \t\r\n").find(text[size - 1]) != std::string_view::npos) {
    --size;
  }
  Secret token(text.substr(0, size));
  zero(text);
  return token;
}

Status store_private_file(const std::string& path, const std::string& what, const Secret& secret) {
  const std::string fresh = path + ".new";
  ::unlink(fresh.c_str());  // left over from a process that was killed
  const Descriptor file(
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0) return file_error("cannot create the " + what, fresh);
  const std::string& text = secret.reveal();
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = ::write(file.get(), text.data() + done, text.size() - done);
    if (written < 0) {
      Error error = file_error("cannot write the " + what, fresh);
      ::unlink(fresh.c_str());
      return error;
    }
    done += static_cast<std::size_t>(written);
  }
  if (::fsync(file.get()) != 0 || ::rename(fresh.c_str(), path.c_str()) != 0) {
    Error error = file_error("cannot store the " + what, path);
    ::unlink(fresh.c_str());
    return error;
  }
  return ok();
}

Status store_token(const std::string& path, const Secret& token) {
  if (path.empty()) {
    return Error{Errc::kInvalidArgument,
                 "there is no home directory to keep the token in: set HOME, or use -no-store and "
                 "CURFEW_TOKEN"};
  }
  return store_private_file(path, "token file", token);
}

}  // namespace curfew::cli
