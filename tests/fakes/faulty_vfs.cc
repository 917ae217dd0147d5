#include "tests/fakes/faulty_vfs.h"

#include <cstdlib>

namespace curfew::fakes {
namespace {

// SQLite allocates szOsFile bytes for each file: ours, with the system's behind it.
struct File {
  sqlite3_file base;
  FaultyVfs* faults;
};

sqlite3_file* real(sqlite3_file* file) {
  return reinterpret_cast<sqlite3_file*>(reinterpret_cast<File*>(file) + 1);
}

FaultyVfs& faults(sqlite3_file* file) {
  return *reinterpret_cast<File*>(file)->faults;
}

int close_file(sqlite3_file* f) {
  return real(f)->pMethods->xClose(real(f));
}
int read_file(sqlite3_file* f, void* data, int size, sqlite3_int64 at) {
  return real(f)->pMethods->xRead(real(f), data, size, at);
}
int write_file(sqlite3_file* f, const void* data, int size, sqlite3_int64 at) {
  if (faults(f).change_fails()) return SQLITE_FULL;
  return real(f)->pMethods->xWrite(real(f), data, size, at);
}
int truncate_file(sqlite3_file* f, sqlite3_int64 size) {
  if (faults(f).change_fails()) return SQLITE_IOERR_TRUNCATE;
  return real(f)->pMethods->xTruncate(real(f), size);
}
int sync_file(sqlite3_file* f, int) {
  return faults(f).flush_fails() ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}
int file_size(sqlite3_file* f, sqlite3_int64* size) {
  return real(f)->pMethods->xFileSize(real(f), size);
}
int lock_file(sqlite3_file* f, int level) {
  return real(f)->pMethods->xLock(real(f), level);
}
int unlock_file(sqlite3_file* f, int level) {
  return real(f)->pMethods->xUnlock(real(f), level);
}
int check_lock(sqlite3_file* f, int* out) {
  return real(f)->pMethods->xCheckReservedLock(real(f), out);
}
int file_control(sqlite3_file* f, int op, void* argument) {
  return real(f)->pMethods->xFileControl(real(f), op, argument);
}
int sector_size(sqlite3_file* f) {
  return real(f)->pMethods->xSectorSize(real(f));
}
int characteristics(sqlite3_file* f) {
  return real(f)->pMethods->xDeviceCharacteristics(real(f));
}
int shm_map(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
  return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
}
int shm_lock(sqlite3_file* f, int offset, int n, int flags) {
  return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}
void shm_barrier(sqlite3_file* f) {
  real(f)->pMethods->xShmBarrier(real(f));
}
int shm_unmap(sqlite3_file* f, int remove) {
  return real(f)->pMethods->xShmUnmap(real(f), remove);
}

const sqlite3_io_methods kMethods = {
    2,         close_file,  read_file,  write_file,   truncate_file, sync_file,       file_size,
    lock_file, unlock_file, check_lock, file_control, sector_size,   characteristics, shm_map,
    shm_lock,  shm_barrier, shm_unmap,  nullptr,      nullptr};

int open_file(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* file, int flags, int* out) {
  auto* ours = reinterpret_cast<File*>(file);
  ours->base.pMethods = nullptr;
  ours->faults = static_cast<FaultyVfs*>(vfs->pAppData);
  sqlite3_vfs* system = sqlite3_vfs_find("unix");
  real(file)->pMethods = nullptr;
  const int code = system->xOpen(system, name, real(file), flags, out);
  if (code == SQLITE_OK) ours->base.pMethods = &kMethods;
  return code;
}
int delete_file(sqlite3_vfs*, const char* name, int sync) {
  sqlite3_vfs* system = sqlite3_vfs_find("unix");
  return system->xDelete(system, name, sync);
}
int access_file(sqlite3_vfs*, const char* name, int flags, int* out) {
  sqlite3_vfs* system = sqlite3_vfs_find("unix");
  return system->xAccess(system, name, flags, out);
}
int full_path(sqlite3_vfs*, const char* name, int size, char* out) {
  sqlite3_vfs* system = sqlite3_vfs_find("unix");
  return system->xFullPathname(system, name, size, out);
}

}  // namespace

FaultyVfs::FaultyVfs() {
  static std::atomic<int> count{0};
  name_ = "faulty-" + std::to_string(++count);
  const sqlite3_vfs* system = sqlite3_vfs_find("unix");
  if (system == nullptr) std::abort();
  vfs_ = *system;
  vfs_.pNext = nullptr;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.szOsFile = static_cast<int>(sizeof(File)) + system->szOsFile;
  vfs_.xOpen = open_file;
  vfs_.xDelete = delete_file;
  vfs_.xAccess = access_file;
  vfs_.xFullPathname = full_path;
  if (sqlite3_vfs_register(&vfs_, 0) != SQLITE_OK) std::abort();
}

FaultyVfs::~FaultyVfs() {
  sqlite3_vfs_unregister(&vfs_);
}

void FaultyVfs::fail_change(int n, bool lasting) {
  lasting_ = lasting;
  fail_at_ = changes_ + n;
}

void FaultyVfs::fail_flush(int n) {
  flush_fails_in_ = n;
}

void FaultyVfs::heal() {
  fail_at_ = 0;
  flush_fails_in_ = 0;
}

bool FaultyVfs::change_fails() {
  const int change = ++changes_;
  const int fail_at = fail_at_;
  return fail_at > 0 && (lasting_ ? change >= fail_at : change == fail_at);
}

bool FaultyVfs::flush_fails() {
  const bool change = change_fails();
  if (flush_fails_in_ == 0) return change;
  return --flush_fails_in_ == 0 || change;
}

}  // namespace curfew::fakes
