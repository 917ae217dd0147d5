#include "broker/lease/lease_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/lease/lease_codec.h"

namespace curfew::engines {

// The one maker of proofs: only open() below uses it, after its commit.
class DurableIntentMaker {
 public:
  static DurableIntent make(std::string lease_id, IssuePlan plan, WallTime expires_at) {
    return {std::move(lease_id), std::move(plan), expires_at};
  }
};

}  // namespace curfew::engines

namespace curfew::broker {
namespace {

constexpr std::size_t kBatch = 200;  // rows changed in one transaction at the most
constexpr std::size_t kFew = 32;     // likewise, where others wait who ask for credentials

// The first text that is greater than everything that begins with `prefix`.
std::string prefix_end(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

// WHERE clause and parameters of a filter.
struct Where {
  std::string text;
  std::vector<store::Value> parameters;

  void add(std::string_view condition, store::Value value) {
    parameters.push_back(std::move(value));
    text += fmt::format(" AND {} ${}", condition, parameters.size());
  }
};

Where where(const std::string& name_space, const LeaseFilter& filter) {
  Where out;
  // In the words of the partial indexes.
  if (filter.state)
    out.text = is_live(*filter.state) ? "state < 4" : "state > 3";
  else
    out.text = filter.also_ended ? "1 = 1" : "state < 4";
  out.add("namespace =", name_space);
  // The plus keeps the planner from the index of the states where a better one serves.
  const bool narrow = !filter.token.empty() || !filter.mount.empty() || !filter.agent.empty() ||
                      !filter.session.empty() || !filter.trace.empty() || !filter.name.empty();
  if (filter.state)
    out.add(narrow ? "+state =" : "state =", static_cast<std::int64_t>(*filter.state));
  if (filter.failing) out.text += " AND (state = 3 OR (state = 2 AND attempts > 1))";
  if (filter.issued_until) out.add("issued_at <=", to_unix_millis(*filter.issued_until));
  if (!filter.mount.empty()) out.add("mount =", filter.mount);
  if (!filter.resource.empty()) out.add("resource =", filter.resource);
  if (!filter.role.empty()) out.add("role =", filter.role);
  if (!filter.token.empty()) out.add("token =", filter.token);
  // The comparison with '' matches the partial indexes too.
  if (!filter.agent.empty()) out.add("agent <> '' AND agent =", filter.agent);
  if (!filter.session.empty()) out.add("session <> '' AND session =", filter.session);
  if (!filter.trace.empty()) out.add("trace <> '' AND trace =", filter.trace);
  if (!filter.name.empty()) out.add("name <> '' AND name =", filter.name);
  if (!filter.request_key.empty())
    out.add("request_key <> '' AND request_key =", filter.request_key);
  if (!filter.id_prefix.empty()) {
    out.add("id >=", filter.id_prefix);
    out.add("id <", prefix_end(filter.id_prefix));
  }
  return out;
}

Status update(store::Writer& writer, const store::Barrier& barrier, const Lease& lease) {
  ASSIGN_OR_RETURN(const std::string sealed, seal_lease(barrier, lease));
  return update_lease(writer, barrier, lease, sealed);
}

// Another namespace's row is not there.
Result<std::optional<store::Row>> row_of(const store::Reader& reader, const store::Barrier& barrier,
                                         std::string_view id) {
  return reader.query_one(
      fmt::format("SELECT {} FROM leases WHERE id = $1 AND namespace = $2", kLeaseColumns),
      {std::string(id), barrier.name_space()});
}

// The lease of a row after `change`, not written yet.
Result<Lease> changed(const store::Reader& reader, const store::Barrier& barrier,
                      const std::string& id, const std::function<Status(Lease&)>& change) {
  ASSIGN_OR_RETURN(auto row, row_of(reader, barrier, id));
  if (!row) return Error{Errc::kNotFound, "lease not found"};
  ASSIGN_OR_RETURN(Lease lease, open_lease(barrier, *row));
  const LeaseState from = lease.state;
  RETURN_IF_ERROR(change(lease));
  if (!may_move(from, lease.state))
    return Error{Errc::kConflict,
                 fmt::format("the lease is {} and cannot become {}", lease_state_name(from),
                             lease_state_name(lease.state))};
  return lease;
}

// What ending a lease means for its row, whatever it was doing.
void make_due(Lease& lease, WallTime now) {
  if (lease.state == LeaseState::kPending || lease.state == LeaseState::kActive)
    lease.state = LeaseState::kRevoking;
  lease.next_action_at = now;
}

}  // namespace

LeaseStore::LeaseStore(store::Database& database, const store::Barrier& barrier, Log& log)
    : database_(database), barrier_(barrier), log_(log) {}

Result<std::vector<Lease>> LeaseStore::decode_all(const std::vector<store::Row>& rows) const {
  std::vector<Lease> leases;
  leases.reserve(rows.size());
  for (const store::Row& row : rows) {
    auto lease = open_lease(barrier_, row);
    if (lease) {
      leases.push_back(*std::move(lease));
    } else if (lease.error().code == Errc::kCorrupt) {
      log_.error("stored lease passed over", {{"error", lease.error().message}});
    } else {
      return std::move(lease).error();
    }
  }
  return leases;
}

Result<engines::DurableIntent> LeaseStore::open(
    const Lease& lease, engines::IssuePlan plan,
    const std::function<Status(store::Writer&)>& guard) {
  if (lease.state != LeaseState::kPending)
    return Error{Errc::kInternal, "a lease must begin as pending"};
  ASSIGN_OR_RETURN(const std::string sealed, seal_lease(barrier_, lease));
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(guard(writer));
    return insert_lease(writer, barrier_, lease, sealed);
  }));
  return engines::DurableIntentMaker::make(lease.id, std::move(plan), lease.expires_at);
}

Result<Lease> LeaseStore::change(std::string_view id, const std::function<Status(Lease&)>& change) {
  std::optional<Lease> result;
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(result, changed(writer, barrier_, std::string(id), change));
    return update(writer, barrier_, *result);
  }));
  return std::move(*result);
}

Result<std::vector<Lease>> LeaseStore::change_all(std::span<const std::string> ids,
                                                  const std::function<Status(Lease&)>& change) {
  std::vector<Lease> result;
  while (!ids.empty()) {
    const auto few = ids.first(std::min(ids.size(), kFew));
    ids = ids.subspan(few.size());
    std::vector<Lease> done;
    RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
      done.clear();
      for (const std::string& id : few) {
        auto lease = changed(writer, barrier_, id, change);
        if (!lease) continue;
        RETURN_IF_ERROR(update(writer, barrier_, *lease));
        done.push_back(*std::move(lease));
      }
      return ok();
    }));
    std::move(done.begin(), done.end(), std::back_inserter(result));
  }
  return result;
}

Result<std::optional<Lease>> LeaseStore::get(std::string_view id) const {
  std::optional<Lease> lease;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(auto row, row_of(reader, barrier_, id));
    if (!row) return ok();
    ASSIGN_OR_RETURN(lease, open_lease(barrier_, *row));
    return ok();
  }));
  return lease;
}

namespace {

// In the words of the partial indexes.
const char* states_of(LeaseStore::Kind kind) {
  return kind == LeaseStore::Kind::kLive ? "state < 4" : "state > 3";
}

}  // namespace

Result<std::vector<LeaseStore::Due>> LeaseStore::due(Kind kind, WallTime now, const Due& after,
                                                     std::size_t limit) const {
  std::vector<Due> out;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(
        const auto rows,
        reader.query(
            fmt::format("SELECT next_action_at, id, mount, resource, attempts FROM leases WHERE {} "
                        "AND namespace = $5 AND next_action_at IS NOT NULL AND "
                        "next_action_at <= $1 AND "
                        "(next_action_at > $2 OR (next_action_at = $2 AND id > $3)) "
                        "ORDER BY next_action_at, id LIMIT $4",
                        states_of(kind)),
            {to_unix_millis(now), to_unix_millis(after.at), after.id,
             static_cast<std::int64_t>(limit), barrier_.name_space()}));
    for (const store::Row& row : rows)
      out.push_back({from_unix_millis(row.integer(0)), row.text(1), row.text(2) + ' ' + row.text(3),
                     kind == Kind::kEnded, row.integer(4)});
    return ok();
  }));
  return out;
}

Result<std::optional<WallTime>> LeaseStore::next_due(WallTime after) const {
  std::optional<WallTime> next;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    for (const Kind kind : {Kind::kLive, Kind::kEnded}) {
      ASSIGN_OR_RETURN(
          const auto row,
          reader.query_one(fmt::format("SELECT next_action_at FROM leases WHERE {} AND "
                                       "namespace = $2 AND next_action_at IS NOT NULL AND "
                                       "next_action_at > $1 ORDER BY next_action_at LIMIT 1",
                                       states_of(kind)),
                           {to_unix_millis(after), barrier_.name_space()}));
      if (!row) continue;
      const WallTime at = from_unix_millis(row->integer(0));
      next = next ? std::min(*next, at) : at;
    }
    return ok();
  }));
  return next;
}

Status LeaseStore::prepare(const LeaseFilter& filter) const {
  const bool by_label = !filter.agent.empty() || !filter.session.empty() || !filter.trace.empty();
  return by_label && !labelled_ ? label_old_rows() : ok();
}

Status LeaseStore::label_old_rows() const {
  std::string after;
  for (;;) {
    std::vector<store::Row> rows;
    RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
      ASSIGN_OR_RETURN(
          rows, reader.query("SELECT id FROM leases WHERE state < 4 AND agent IS NULL "
                             "AND namespace = $3 AND id > $1 ORDER BY id LIMIT $2",
                             {after, static_cast<std::int64_t>(kBatch), barrier_.name_space()}));
      return ok();
    }));
    if (rows.empty()) break;
    after = rows.back().text(0);
    RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
      for (const store::Row& found : rows) {
        ASSIGN_OR_RETURN(const auto row, row_of(writer, barrier_, found.text(0)));
        if (!row) continue;
        const auto lease = open_lease(barrier_, *row);
        if (lease) {
          RETURN_IF_ERROR(update(writer, barrier_, *lease));
        } else if (lease.error().code != Errc::kCorrupt) {
          return lease.error();
        }
      }
      return ok();
    }));
  }
  labelled_ = true;
  return ok();
}

Result<std::vector<Lease>> LeaseStore::find(const LeaseFilter& filter, std::string_view after,
                                            std::size_t limit) const {
  RETURN_IF_ERROR(prepare(filter));
  std::vector<Lease> leases;
  std::string last(after);
  Where clause = where(barrier_.name_space(), filter);
  clause.add("id >", last);
  const std::size_t after_at = clause.parameters.size() - 1;
  clause.parameters.emplace_back(static_cast<std::int64_t>(limit));
  const std::string sql = fmt::format("SELECT {} FROM leases WHERE {} ORDER BY id LIMIT ${}",
                                      kLeaseColumns, clause.text, clause.parameters.size());
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    // Again only after a page of nothing but damaged rows, which must not look like the end.
    while (leases.empty()) {
      clause.parameters[after_at] = last;
      ASSIGN_OR_RETURN(const auto rows, reader.query(sql, clause.parameters));
      if (rows.empty()) break;
      last = rows.back().text(0);
      ASSIGN_OR_RETURN(leases, decode_all(rows));
    }
    return ok();
  }));
  return leases;
}

Result<std::int64_t> LeaseStore::count(const LeaseFilter& filter) const {
  RETURN_IF_ERROR(prepare(filter));
  std::int64_t total = 0;
  const Where clause = where(barrier_.name_space(), filter);
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(
        const auto row,
        reader.query_one("SELECT count(*) FROM leases WHERE " + clause.text, clause.parameters));
    total = row->integer(0);
    return ok();
  }));
  return total;
}

Result<std::vector<LeaseStore::Tally>> LeaseStore::tally(const LeaseFilter& filter) const {
  RETURN_IF_ERROR(prepare(filter));
  std::vector<Tally> tallies;
  const Where clause = where(barrier_.name_space(), filter);
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(
        const auto rows,
        reader.query("SELECT mount, role, resource, state, count(*) FROM leases WHERE " +
                         clause.text + " GROUP BY mount, role, resource, state",
                     clause.parameters));
    for (const store::Row& row : rows)
      tallies.push_back({row.text(0), row.text(1), row.text(2),
                         static_cast<LeaseState>(row.integer(3)), row.integer(4)});
    return ok();
  }));
  return tallies;
}

Result<std::vector<std::string>> LeaseStore::namespaces_of(std::string_view token) const {
  std::vector<std::string> ids;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto rows,
                     reader.query("SELECT DISTINCT namespace FROM leases WHERE token = $1 AND "
                                  "state < 4",
                                  {std::string(token)}));
    for (const store::Row& row : rows) ids.push_back(row.text(0));
    return ok();
  }));
  return ids;
}

Result<std::vector<Lease>> LeaseStore::get_all(const std::vector<std::string>& ids) const {
  std::vector<store::Row> rows;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    for (const std::string& id : ids) {
      ASSIGN_OR_RETURN(auto row, row_of(reader, barrier_, id));
      if (row) rows.push_back(*std::move(row));
    }
    return ok();
  }));
  return decode_all(rows);
}

Result<std::map<std::string, std::int64_t>> LeaseStore::count_by_mount(
    const LeaseFilter& filter) const {
  RETURN_IF_ERROR(prepare(filter));
  std::map<std::string, std::int64_t> counts;
  const Where clause = where(barrier_.name_space(), filter);
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto rows, reader.query("SELECT mount, count(*) FROM leases WHERE " +
                                                       clause.text + " GROUP BY mount",
                                                   clause.parameters));
    for (const store::Row& row : rows) counts[row.text(0)] = row.integer(1);
    return ok();
  }));
  return counts;
}

Result<std::vector<std::string>> LeaseStore::list(std::string_view prefix,
                                                  std::size_t limit) const {
  std::vector<std::string> names;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    std::string from(prefix);
    while (names.size() < limit) {
      // One probe of the index per name: what lies inside a folder is skipped, not read.
      ASSIGN_OR_RETURN(const auto row,
                       reader.query_one("SELECT id FROM leases WHERE state < 4 AND namespace = $2 "
                                        "AND id >= $1 ORDER BY id LIMIT 1",
                                        {from, barrier_.name_space()}));
      if (!row || !row->text(0).starts_with(prefix)) break;
      const std::string& id = row->text(0);
      const auto slash = id.find('/', prefix.size());
      const std::string whole = slash == std::string::npos ? id : id.substr(0, slash + 1);
      names.push_back(whole.substr(prefix.size()));
      from = slash == std::string::npos ? id + '\x01' : prefix_end(whole);
    }
    return ok();
  }));
  return names;
}

Result<std::int64_t> LeaseStore::end_all(const LeaseFilter& filter, WallTime now) {
  std::int64_t total = 0;
  std::string after;
  for (;;) {
    ASSIGN_OR_RETURN(const auto page, find(filter, after, kBatch));
    if (page.empty()) return total;
    after = page.back().id;
    std::vector<std::string> ids;
    for (const Lease& found : page) ids.push_back(found.id);
    ASSIGN_OR_RETURN(const std::int64_t ended, end_all(ids, now));
    total += ended;
  }
}

Result<std::int64_t> LeaseStore::end_all(const std::vector<std::string>& ids, WallTime now) {
  std::int64_t total = 0;
  for (std::size_t begin = 0; begin < ids.size(); begin += kBatch) {
    const auto some = std::span(ids).subspan(begin, std::min(kBatch, ids.size() - begin));
    std::int64_t touched = 0;
    RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
      ASSIGN_OR_RETURN(touched, end_all(writer, some, now));
      return ok();
    }));
    total += touched;
  }
  return total;
}

Result<std::int64_t> LeaseStore::end_all(store::Writer& writer, std::span<const std::string> ids,
                                         WallTime now) const {
  std::int64_t touched = 0;
  for (const std::string& id : ids) {
    ASSIGN_OR_RETURN(const auto row, row_of(writer, barrier_, id));
    if (!row) continue;
    auto lease = open_lease(barrier_, *row);
    if (!lease && lease.error().code == Errc::kCorrupt) continue;  // nobody can work on it
    if (!lease) return std::move(lease).error();
    if (!is_live(lease->state)) continue;
    make_due(*lease, now);
    RETURN_IF_ERROR(update(writer, barrier_, *lease));
    ++touched;
  }
  return touched;
}

Status LeaseStore::remove_all(std::span<const std::string> ids) {
  return database_.write([&](store::Writer& writer) -> Status {
    for (const std::string& id : ids)
      RETURN_IF_ERROR(
          writer.execute("DELETE FROM leases WHERE id = $1 AND namespace = $2 "
                         "AND state >= 4",
                         {id, barrier_.name_space()}));
    return ok();
  });
}

Status LeaseStore::remove(std::string_view id) {
  return database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(
        const std::int64_t removed,
        writer.execute("DELETE FROM leases WHERE id = $1 AND namespace = $2 AND state >= 4",
                       {std::string(id), barrier_.name_space()}));
    if (removed == 0) return Error{Errc::kConflict, "the lease is live or does not exist"};
    return ok();
  });
}

}  // namespace curfew::broker
