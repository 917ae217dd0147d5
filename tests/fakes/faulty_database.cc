#include "tests/fakes/faulty_database.h"

namespace curfew::fakes {
namespace {

Error is_down() {
  return {Errc::kUnavailable, "the database is down, as the test asked"};
}

}  // namespace

bool FaultyDatabase::Fault::is_due() {
  ++calls;
  return in > 0 && --in == 0;
}

Error FaultyDatabase::Fault::error() const {
  return {code, "the database failed, as the test asked"};
}

void FaultyDatabase::fail_write(int n, Moment moment, Errc code) {
  const std::scoped_lock lock(mutex_);
  write_fault_.in = n;
  write_fault_.moment = moment;
  write_fault_.code = code;
}

void FaultyDatabase::fail_read(int n, Errc code) {
  const std::scoped_lock lock(mutex_);
  read_fault_.in = n;
  read_fault_.code = code;
}

void FaultyDatabase::set_down(bool down) {
  const std::scoped_lock lock(mutex_);
  down_ = down;
}

int FaultyDatabase::reads() const {
  const std::scoped_lock lock(mutex_);
  return read_fault_.calls;
}

int FaultyDatabase::writes() const {
  const std::scoped_lock lock(mutex_);
  return write_fault_.calls;
}

Status FaultyDatabase::read(const std::function<Status(const store::Reader&)>& reader) const {
  {
    const std::scoped_lock lock(mutex_);
    if (read_fault_.is_due()) return read_fault_.error();
    if (down_) return is_down();
  }
  return inner_.read(reader);
}

Status FaultyDatabase::write(const std::function<Status(store::Writer&)>& writer) {
  Moment moment = Moment::kBefore;
  bool due = false;
  Error error;
  {
    const std::scoped_lock lock(mutex_);
    due = write_fault_.is_due();
    moment = write_fault_.moment;
    error = write_fault_.error();
    if (down_) return is_down();
  }
  if (due && moment == Moment::kBefore) return error;
  Status written = inner_.write(writer);
  if (due) return error;
  return written;
}

}  // namespace curfew::fakes
