#include "tests/fakes/faulty_database.h"

#include <optional>

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

void FaultyDatabase::on_fault(std::function<void()> struck) {
  const std::scoped_lock lock(mutex_);
  struck_ = std::move(struck);
}

bool FaultyDatabase::is_armed() const {
  const std::scoped_lock lock(mutex_);
  return read_fault_.in > 0 || write_fault_.in > 0;
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
  std::optional<Error> error;
  std::function<void()> struck;
  {
    const std::scoped_lock lock(mutex_);
    if (read_fault_.is_due()) {
      error = read_fault_.error();
      struck = struck_;
    } else if (down_) {
      error = is_down();
    }
  }
  if (struck) struck();
  if (error) return *std::move(error);
  return inner_.read(reader);
}

Status FaultyDatabase::write(const std::function<Status(store::Writer&)>& writer) {
  std::optional<Error> error;
  std::function<void()> struck;
  Moment moment = Moment::kBefore;
  {
    const std::scoped_lock lock(mutex_);
    if (write_fault_.is_due()) {
      error = write_fault_.error();
      moment = write_fault_.moment;
      struck = struck_;
    } else if (down_) {
      error = is_down();
    }
  }
  Status written = ok();
  if (!error || moment == Moment::kAfter) written = inner_.write(writer);
  if (struck) struck();
  if (error) return *std::move(error);
  return written;
}

Status FaultyDatabase::forget_deleted() {
  RETURN_IF_ERROR(write([](store::Writer&) { return ok(); }));
  return inner_.forget_deleted();
}

}  // namespace curfew::fakes
