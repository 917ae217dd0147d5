#include "store/database_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace curfew::store {
namespace {

namespace fs = std::filesystem;

Error system_error(const std::string& what, const std::string& advice) {
  return {Errc::kUnavailable, what + ": " + std::strerror(errno) + ". " + advice};
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

std::string holder_of(int lock_fd) {
  std::array<char, 32> text{};
  const ssize_t length = ::pread(lock_fd, text.data(), text.size() - 1, 0);
  std::string pid;
  for (ssize_t i = 0; i < length && text[static_cast<std::size_t>(i)] != '\n'; ++i)
    pid += text[static_cast<std::size_t>(i)];
  return pid.empty() ? "" : " (process " + pid + ")";
}

}  // namespace

Result<std::unique_ptr<DatabaseFile>> DatabaseFile::open(const std::string& path, Log& log) {
  std::unique_ptr<DatabaseFile> file(new DatabaseFile);
  if (path.empty()) {
    RETURN_IF_ERROR(file->make_temporary_folder());
  } else {
    RETURN_IF_ERROR(file->resolve(path));
  }
  RETURN_IF_ERROR(file->lock());
  RETURN_IF_ERROR(file->check(log));
  return file;
}

DatabaseFile::~DatabaseFile() {
  if (lock_fd_ >= 0) ::close(lock_fd_);
  if (!temporary_folder_.empty()) {
    std::error_code ignored;
    fs::remove_all(temporary_folder_, ignored);
  }
}

Status DatabaseFile::resolve(const std::string& path) {
  std::error_code error;
  fs::path whole = fs::absolute(path, error);
  if (!error) whole = fs::weakly_canonical(whole, error);
  if (error || !whole.has_filename())
    return Error{Errc::kUnavailable, "cannot use " + path + " as the database: " + error.message() +
                                         ". Check the configured path"};
  const fs::path folder = whole.parent_path();
  if (!fs::is_directory(folder, error))
    return Error{Errc::kUnavailable, "the directory " + folder.string() +
                                         " of the database does not exist or cannot be read. "
                                         "Create it, owned by the user that runs the server, with "
                                         "mode 700"};
  path_ = whole.string();
  return ok();
}

Status DatabaseFile::make_temporary_folder() {
  std::error_code error;
  fs::path pattern = fs::temp_directory_path(error);
  if (error) pattern = "/tmp";
  std::string folder = (pattern / "curfew-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr)
    return system_error("cannot create a temporary directory in " + pattern.string(),
                        "Check TMPDIR and the free space there");
  temporary_folder_ = folder;
  path_ = folder + "/curfew.db";
  return ok();
}

Status DatabaseFile::lock() {
  const std::string name = path_ + ".lock";
  FileDescriptor fd(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (fd.get() < 0)
    return system_error("cannot open the lock file " + name,
                        "The user that runs the server must be able to write to its directory");
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK)
      return system_error("cannot lock " + name, "Use a file system that supports flock");
    return Error{Errc::kUnavailable, "another server" + holder_of(fd.get()) +
                                         " is using the database " + path_ +
                                         ". Stop it, or configure another path"};
  }
  // For people who look for the holder; the lock itself does not depend on it.
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd.get(), 0) != 0 || ::pwrite(fd.get(), pid.data(), pid.size(), 0) < 0) {
    // A full disk must not keep the server from starting.
  }
  lock_fd_ = fd.release();
  return ok();
}

Status DatabaseFile::check(Log& log) {
  struct stat info {};
  if (::lstat(path_.c_str(), &info) != 0) {
    if (errno != ENOENT) return system_error("cannot use the database " + path_, "Check its owner");
    const FileDescriptor fd(
        ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd.get() < 0 || ::fstat(fd.get(), &info) != 0)
      return system_error("cannot create the database " + path_,
                          "The user that runs the server must be able to write to its directory");
    if (!is_temporary()) RETURN_IF_ERROR(sync_folder());
  }
  if (!S_ISREG(info.st_mode))
    return Error{Errc::kPreconditionFailed,
                 "the database " + path_ + " is not an ordinary file. Check the configured path"};
  is_new_ = info.st_size == 0;
  size_bytes_ = static_cast<std::uint64_t>(info.st_size);
  if (!is_new_) RETURN_IF_ERROR(check_header());
  if ((info.st_mode & 077) != 0) {
    // Its name, not a descriptor: closing one would drop SQLite's locks on the same file.
    if (::chmod(path_.c_str(), 0600) != 0)
      return system_error("the database " + path_ + " is open to other users",
                          "Run chmod 600 on it as its owner");
    log.warn("database file was open to other users; mode set to 600", {{"path", path_}});
  }
  return ok();
}

Status DatabaseFile::check_header() const {
  const FileDescriptor fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  std::array<unsigned char, 100> header{};
  if (fd.get() < 0)
    return system_error("cannot read the database " + path_,
                        "It must belong to the user that runs the server");
  const ssize_t length = ::pread(fd.get(), header.data(), header.size(), 0);
  if (length < 0) return system_error("cannot read the database " + path_, "Check the disk");
  if (static_cast<std::size_t>(length) < header.size() ||
      std::memcmp(header.data(), "SQLite format 3", 16) != 0)
    return Error{Errc::kCorrupt, "the file " + path_ +
                                     " is not a Curfew database, or its start is damaged. Check "
                                     "the configured path, or restore a backup"};
  std::uint32_t id = 0;
  for (std::size_t i = 68; i < 72; ++i) id = id << 8 | header[i];
  if (id != kApplicationId)
    return Error{
        Errc::kPreconditionFailed,
        "the file " + path_ + " is another program's SQLite database. Check the configured path"};
  return ok();
}

Status DatabaseFile::sync_folder() const {
  const std::string folder = fs::path(path_).parent_path().string();
  const FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0)
    return system_error("cannot flush the directory " + folder + " to disk", "Check the disk");
  return ok();
}

}  // namespace curfew::store
