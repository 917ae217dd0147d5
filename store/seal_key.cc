#include "store/seal_key.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/encoding.h"

namespace curfew::store {
namespace {

constexpr std::size_t kKeyFileBytesMax = 4'096;

Error unavailable(const std::string& what, const std::string& advice) {
  return {Errc::kUnavailable, what + ": " + std::strerror(errno) + ". " + advice};
}

Status check_key_file(const std::string& path, const struct stat& info) {
  if (!S_ISREG(info.st_mode))
    return Error{Errc::kPreconditionFailed,
                 "the key file " + path + " is not an ordinary file. Check the configured path"};
  if (info.st_uid != ::geteuid() && info.st_uid != 0)
    return Error{Errc::kPreconditionFailed,
                 "the key file " + path +
                     " belongs to another user. It must belong to the user that runs the server, "
                     "or to root"};
  if ((info.st_mode & 077) != 0)
    return Error{Errc::kPreconditionFailed,
                 "the key file " + path +
                     " is open to other users. Run chmod 600 on it, and consider whether the key "
                     "has been seen"};
  return ok();
}

Result<Secret> read_open_key_file(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0)
    return unavailable("cannot read the key file " + path, "Check the disk");
  RETURN_IF_ERROR(check_key_file(path, info));
  std::array<char, kKeyFileBytesMax + 1> buffer{};
  std::size_t length = 0;
  for (;;) {
    const ssize_t count = ::read(fd, buffer.data() + length, buffer.size() - length);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return unavailable("cannot read the key file " + path, "Check the disk");
    length += static_cast<std::size_t>(count);
    if (count == 0 || length == buffer.size()) break;
  }
  const Secret text(std::string(buffer.data(), length));
  OPENSSL_cleanse(buffer.data(), buffer.size());
  return parse_seal_key(text, "the key file " + path);
}

Status write_key_file(int fd, const std::string& path, const Secret& key) {
  std::string text = base64_encode(key.reveal()) + "\n";
  const ssize_t written = ::write(fd, text.data(), text.size());
  const bool whole = written == static_cast<ssize_t>(text.size());
  zero(text);
  if (!whole || ::fsync(fd) != 0)
    return unavailable("cannot write the key file " + path, "Check the free space of the disk");
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int folder_fd =
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = folder_fd >= 0 && ::fsync(folder_fd) == 0;
  if (folder_fd >= 0) ::close(folder_fd);
  if (!synced) return unavailable("cannot flush the directory of " + path, "Check the disk");
  return ok();
}

}  // namespace

Result<Secret> parse_seal_key(const Secret& text, std::string_view origin) {
  std::string_view trimmed = text.reveal();
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t start = trimmed.find_first_not_of(kSpace);
  trimmed = start == std::string_view::npos
                ? std::string_view()
                : trimmed.substr(start, trimmed.find_last_not_of(kSpace) - start + 1);
  // 64 hexadecimal digits would be base64 too, of other bytes.
  std::optional<std::string> bytes =
      trimmed.size() == 2 * kSealKeyBytes ? hex_decode(trimmed) : base64_decode(trimmed);
  Secret key(bytes ? std::move(*bytes) : std::string());
  if (key.reveal().size() != kSealKeyBytes)
    return Error{Errc::kInvalidArgument,
                 std::string(origin) +
                     " does not hold a key: 32 bytes as base64 or hexadecimal are expected, as "
                     "'openssl rand -base64 32' prints them"};
  return key;
}

Result<Secret> read_key_file(const std::string& path) {
  // O_NONBLOCK: opening a named pipe must not hang. Symbolic links are followed: that is how
  // orchestrators mount secrets.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0)
    return unavailable("cannot open the key file " + path,
                       "Without this key the database cannot be unsealed: check the configured "
                       "path, or restore the file from where you keep it");
  auto key = read_open_key_file(fd, path);
  ::close(fd);
  return key;
}

Result<Secret> read_or_create_key_file(const std::string& path, Random& random) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0 && errno == EEXIST) return read_key_file(path);
  if (fd < 0)
    return unavailable("cannot create the key file " + path,
                       "Its directory must exist, and the user that runs the server must be able "
                       "to write to it");
  Secret key(random_bytes(random, kSealKeyBytes));
  Status written = write_key_file(fd, path, key);
  ::close(fd);
  if (!written) {
    ::unlink(path.c_str());
    return std::move(written).error();
  }
  return key;
}

Result<Secret> take_environment_key(const std::string& name) {
  char* const value = std::getenv(name.c_str());
  if (value == nullptr)
    return Error{Errc::kPreconditionFailed,
                 "the environment variable " + name +
                     " is not set. Set it to the key (32 bytes as base64) and start the server "
                     "again"};
  const Secret text{std::string(value)};
  OPENSSL_cleanse(value, std::strlen(value));
  ::unsetenv(name.c_str());
  return parse_seal_key(text, "the environment variable " + name);
}

}  // namespace curfew::store
