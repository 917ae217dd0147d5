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

Status check_private_file(const std::string& name, const struct stat& info) {
  if (!S_ISREG(info.st_mode))
    return Error{Errc::kPreconditionFailed,
                 name + " is not an ordinary file. Check the configured path"};
  if (info.st_uid != ::geteuid() && info.st_uid != 0)
    return Error{Errc::kPreconditionFailed,
                 name +
                     " belongs to another user. It must belong to the user that runs the "
                     "server, or to root"};
  if ((info.st_mode & 077) != 0)
    return Error{Errc::kPreconditionFailed,
                 name +
                     " is open to other users. Run chmod 600 on it, and consider whether what "
                     "is in it has been seen"};
  return ok();
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t start = text.find_first_not_of(kSpace);
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(kSpace) - start + 1);
}

// `name`: "the key file /etc/…".
Result<Secret> read_open_file(int fd, const std::string& name) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return unavailable("cannot read " + name, "Check the disk");
  RETURN_IF_ERROR(check_private_file(name, info));
  std::array<char, kKeyFileBytesMax + 1> buffer{};
  std::size_t length = 0;
  for (;;) {
    const ssize_t count = ::read(fd, buffer.data() + length, buffer.size() - length);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return unavailable("cannot read " + name, "Check the disk");
    length += static_cast<std::size_t>(count);
    if (count == 0 || length == buffer.size()) break;
  }
  Secret text(std::string(trimmed(std::string_view(buffer.data(), length))));
  OPENSSL_cleanse(buffer.data(), buffer.size());
  return text;
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
  const std::string_view digits = trimmed(text.reveal());
  // 64 hexadecimal digits would be base64 too, of other bytes.
  std::optional<std::string> bytes =
      digits.size() == 2 * kSealKeyBytes ? hex_decode(digits) : base64_decode(digits);
  Secret key(bytes ? std::move(*bytes) : std::string());
  if (key.reveal().size() != kSealKeyBytes)
    return Error{Errc::kInvalidArgument,
                 std::string(origin) +
                     " does not hold a key: 32 bytes as base64 or hexadecimal are expected, as "
                     "'openssl rand -base64 32' prints them"};
  return key;
}

Result<Secret> read_private_file(const std::string& path, std::string_view what) {
  const std::string name = "the " + std::string(what) + " " + path;
  // O_NONBLOCK: opening a named pipe must not hang. Symbolic links are followed: that is how
  // orchestrators mount secrets.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0)
    return unavailable("cannot open " + name,
                       "The database cannot be unsealed without it: check the configured path, or "
                       "restore the file from where you keep it");
  auto text = read_open_file(fd, name);
  ::close(fd);
  return text;
}

Result<Secret> read_key_file(const std::string& path) {
  ASSIGN_OR_RETURN(const Secret text, read_private_file(path, "key file"));
  return parse_seal_key(text, "the key file " + path);
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

std::optional<Secret> take_environment(const std::string& name) {
  char* const value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  Secret text{std::string(value)};
  OPENSSL_cleanse(value, std::strlen(value));
  ::unsetenv(name.c_str());
  return text;
}

Result<Secret> take_environment_key(const std::string& name) {
  const auto text = take_environment(name);
  if (!text)
    return Error{Errc::kPreconditionFailed,
                 "the environment variable " + name +
                     " is not set. Set it to the key (32 bytes as base64) and start the server "
                     "again"};
  return parse_seal_key(*text, "the environment variable " + name);
}

}  // namespace curfew::store
