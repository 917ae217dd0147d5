#include "broker/approval/approval_store.h"

#include <fmt/format.h>

#include "broker/approval/approval_codec.h"

namespace curfew::broker {
namespace {

// The keyed lists are short; a longer one is an attack, and its oldest rows do not matter.
constexpr std::size_t kSameKeyMax = 20;

std::string select(std::string_view where, std::string_view order, std::size_t limit) {
  return fmt::format("SELECT {} FROM approvals WHERE {} ORDER BY {} LIMIT {}", kApprovalColumns,
                     where, order, limit);
}

constexpr std::string_view kNewestFirst = "created_at DESC, id DESC";

}  // namespace

Result<std::vector<Approval>> ApprovalStore::open_all(const std::vector<store::Row>& rows) const {
  std::vector<Approval> out;
  out.reserve(rows.size());
  for (const store::Row& row : rows) {
    auto approval = open_approval(barrier_, row);
    if (approval) {
      out.push_back(*std::move(approval));
    } else if (approval.error().code == Errc::kCorrupt) {
      log_.error("stored approval request passed over", {{"error", approval.error().message}});
    } else {
      return std::move(approval).error();
    }
  }
  return out;
}

Result<std::optional<Approval>> ApprovalStore::get(const store::Reader& reader,
                                                   const std::string& id) const {
  ASSIGN_OR_RETURN(const auto row, reader.query_one(select("id = $1 AND namespace = $2", "id", 1),
                                                    {id, barrier_.name_space()}));
  if (!row) return std::optional<Approval>();
  ASSIGN_OR_RETURN(Approval approval, open_approval(barrier_, *row));
  return std::optional<Approval>(std::move(approval));
}

Result<std::optional<Approval>> ApprovalStore::get(const std::string& id) const {
  std::optional<Approval> found;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(found, get(reader, id));
    return ok();
  }));
  return found;
}

Result<std::vector<Approval>> ApprovalStore::find(const ApprovalFilter& filter,
                                                  const std::optional<ApprovalCursor>& after,
                                                  std::size_t limit) const {
  std::string where = "namespace = $1";
  std::vector<store::Value> values = {barrier_.name_space()};
  const auto add = [&](std::string_view condition, store::Value value) {
    values.push_back(std::move(value));
    where += fmt::format(" AND {} ${}", condition, values.size());
  };
  if (filter.states.size() == 1) {
    add("state =", static_cast<std::int64_t>(filter.states.front()));
  } else if (!filter.states.empty()) {
    std::string list;
    for (const ApprovalState state : filter.states)
      list += fmt::format("{}{}", list.empty() ? "" : ", ", static_cast<std::int64_t>(state));
    where += fmt::format(" AND state IN ({})", list);
  }
  if (!filter.requester.empty()) add("requester =", filter.requester);
  if (!filter.agent.empty()) add("agent =", filter.agent);
  if (!filter.role.empty()) add("role =", filter.role);
  if (!filter.target.empty()) add("target =", filter.target);
  if (after) {
    add("created_at <=", to_unix_millis(after->created_at));
    values.emplace_back(to_unix_millis(after->created_at));
    values.emplace_back(after->id);
    where += fmt::format(" AND (created_at < ${} OR id < ${})", values.size() - 1, values.size());
  }
  std::vector<store::Row> rows;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(rows, reader.query(select(where, kNewestFirst, limit), values));
    return ok();
  }));
  return open_all(rows);
}

Result<std::vector<Approval>> ApprovalStore::of_ask(const store::Reader& reader,
                                                    const std::string& ask,
                                                    std::size_t limit) const {
  ASSIGN_OR_RETURN(const auto rows,
                   reader.query(select("namespace = $1 AND ask = $2", kNewestFirst, limit),
                                {barrier_.name_space(), ask}));
  return open_all(rows);
}

Result<std::vector<Approval>> ApprovalStore::open_of_ask(const store::Reader& reader,
                                                         const std::string& ask,
                                                         std::size_t limit) const {
  // Something is due with each of these, and with no others.
  ASSIGN_OR_RETURN(const auto rows,
                   reader.query(select("namespace = $1 AND ask = $2 AND +due_at IS NOT NULL",
                                       kNewestFirst, limit),
                                {barrier_.name_space(), ask}));
  return open_all(rows);
}

Result<std::vector<Approval>> ApprovalStore::of_key(const store::Reader& reader,
                                                    const std::string& key) const {
  ASSIGN_OR_RETURN(const auto rows,
                   reader.query(select("namespace = $1 AND request_key <> '' AND request_key = $2",
                                       kNewestFirst, kSameKeyMax),
                                {barrier_.name_space(), key}));
  return open_all(rows);
}

Result<std::vector<Approval>> ApprovalStore::of_requester(const store::Reader& reader,
                                                          const std::string& key,
                                                          ApprovalState state,
                                                          std::size_t limit) const {
  ASSIGN_OR_RETURN(
      const auto rows,
      reader.query(select("namespace = $1 AND requester = $2 AND state = $3", kNewestFirst, limit),
                   {barrier_.name_space(), key, static_cast<std::int64_t>(state)}));
  return open_all(rows);
}

Result<std::int64_t> ApprovalStore::count(const store::Reader& reader, const std::string& requester,
                                          ApprovalState state) const {
  ASSIGN_OR_RETURN(
      const auto row,
      reader.query_one("SELECT count(*) FROM approvals WHERE namespace = $1 AND requester = $2 AND "
                       "state = $3",
                       {barrier_.name_space(), requester, static_cast<std::int64_t>(state)}));
  return row->integer(0);
}

Result<std::int64_t> ApprovalStore::count_up_to(const store::Reader& reader, ApprovalState state,
                                                std::int64_t bound) const {
  ASSIGN_OR_RETURN(
      const auto row,
      reader.query_one("SELECT count(*) FROM (SELECT 1 FROM approvals WHERE namespace = $1 AND "
                       "state = $2 LIMIT $3) AS counted",
                       {barrier_.name_space(), static_cast<std::int64_t>(state), bound}));
  return row->integer(0);
}

Result<std::int64_t> ApprovalStore::count_automatic(const store::Reader& reader,
                                                    const std::string& rule, WallTime since) const {
  ASSIGN_OR_RETURN(
      const auto row,
      reader.query_one("SELECT count(*) FROM approvals WHERE namespace = $1 AND automatic <> '' "
                       "AND automatic = $2 AND created_at > $3",
                       {barrier_.name_space(), rule, to_unix_millis(since)}));
  return row->integer(0);
}

Status ApprovalStore::insert(store::Writer& writer, const Approval& approval) const {
  return insert_approval(writer, barrier_, approval);
}

Result<Approval> ApprovalStore::change(store::Writer& writer, const std::string& id,
                                       const std::function<Status(Approval&)>& change) const {
  ASSIGN_OR_RETURN(auto found, get(writer, id));
  if (!found) return Error{Errc::kNotFound, "there is no such approval request"};
  const ApprovalState from = found->state;
  RETURN_IF_ERROR(change(*found));
  if (!may_move(from, found->state))
    return Error{Errc::kConflict,
                 fmt::format("the approval request is {} and cannot become {}",
                             approval_state_name(from), approval_state_name(found->state))};
  ++found->revision;
  RETURN_IF_ERROR(update_approval(writer, barrier_, *found));
  return *std::move(found);
}

Result<std::vector<std::string>> ApprovalStore::due(WallTime now, std::size_t limit) const {
  std::vector<std::string> out;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto rows,
                     reader.query(fmt::format("SELECT id FROM approvals WHERE namespace = $1 AND "
                                              "due_at IS NOT NULL AND due_at <= $2 ORDER BY due_at "
                                              "LIMIT {}",
                                              limit),
                                  {barrier_.name_space(), to_unix_millis(now)}));
    for (const store::Row& row : rows) out.push_back(row.text(0));
    return ok();
  }));
  return out;
}

Result<ApprovalStore::Counts> ApprovalStore::counts(WallTime now) const {
  Counts out;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto rows,
                     reader.query("SELECT state, count(*) FROM approvals WHERE namespace = $1 "
                                  "GROUP BY state ORDER BY state",
                                  {barrier_.name_space()}));
    for (const store::Row& row : rows)
      out.states.emplace_back(static_cast<ApprovalState>(row.integer(0)), row.integer(1));
    ASSIGN_OR_RETURN(const auto reviews,
                     reader.query("SELECT review_due FROM approvals WHERE namespace = $1 AND "
                                  "review_due IS NOT NULL LIMIT 1000",
                                  {barrier_.name_space()}));
    for (const store::Row& row : reviews) {
      ++out.reviews_open;
      if (row.integer(0) <= to_unix_millis(now)) ++out.reviews_overdue;
    }
    return ok();
  }));
  return out;
}

Result<std::int64_t> ApprovalStore::retire(WallTime created_before, std::size_t limit) {
  std::int64_t removed = 0;
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(
        removed, writer.execute(
                     fmt::format("DELETE FROM approvals WHERE id IN (SELECT id FROM approvals "
                                 "WHERE namespace = $1 AND created_at < $2 AND (state > 2 OR "
                                 "(state = 2 AND due_at IS NULL)) AND review_due IS NULL ORDER BY "
                                 "created_at LIMIT {})",
                                 limit),
                     {barrier_.name_space(), to_unix_millis(created_before)}));
    return ok();
  }));
  return removed;
}

}  // namespace curfew::broker
