#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "broker/approval/approval.h"
#include "store/barrier.h"
#include "store/sql.h"

namespace curfew::broker {

// Which approval requests; empty members allow all.
struct ApprovalFilter {
  std::vector<ApprovalState> states = {};
  std::string requester = {};  // ApprovalRequester::key
  std::string agent = {};      // agent_of()
  std::string role = {};
  std::string target = {};
};

// Where a list goes on: behind this one. Newer requests come first.
struct ApprovalCursor {
  WallTime created_at;
  std::string id;
};

// The approval requests of one namespace: the table `approvals`. Thread-safe. A change is durable
// when its call returns success; every method also gives the store's errors, and kCorrupt for a
// row that was altered outside of Curfew.
class ApprovalStore {
 public:
  ApprovalStore(store::Database& database, const store::Barrier& barrier, Log& log)
      : database_(database), barrier_(barrier), log_(log) {}

  // nullopt: there is none of this id here.
  Result<std::optional<Approval>> get(const std::string& id) const;
  Result<std::optional<Approval>> get(const store::Reader& reader, const std::string& id) const;

  // Up to `limit`, the newest first. Rows that do not open are logged and passed over.
  Result<std::vector<Approval>> find(const ApprovalFilter& filter,
                                     const std::optional<ApprovalCursor>& after,
                                     std::size_t limit) const;

  // Those of one keyed hash (see Approval::ask and Approval::key), the newest first.
  Result<std::vector<Approval>> of_ask(const store::Reader& reader, const std::string& ask,
                                       std::size_t limit) const;
  // Of those only the ones that something may still come of: pending, approved, tasks under way.
  Result<std::vector<Approval>> open_of_ask(const store::Reader& reader, const std::string& ask,
                                            std::size_t limit) const;
  Result<std::vector<Approval>> of_key(const store::Reader& reader, const std::string& key) const;
  // What a requester has in a state.
  Result<std::vector<Approval>> of_requester(const store::Reader& reader, const std::string& key,
                                             ApprovalState state, std::size_t limit) const;
  Result<std::int64_t> count(const store::Reader& reader, const std::string& requester,
                             ApprovalState state) const;
  // Of all requesters, no further than to `bound`.
  Result<std::int64_t> count_up_to(const store::Reader& reader, ApprovalState state,
                                   std::int64_t bound) const;
  Result<std::int64_t> count_automatic(const store::Reader& reader, const std::string& rule,
                                       WallTime since) const;

  Status insert(store::Writer& writer, const Approval& approval) const;
  // Reads the row, lets `change` change it, and writes it down with the next revision. kNotFound;
  // kConflict: it may not move so (see may_move); the errors of `change`.
  Result<Approval> change(store::Writer& writer, const std::string& id,
                          const std::function<Status(Approval&)>& change) const;

  // Ids of what is due, the longest first.
  Result<std::vector<std::string>> due(WallTime now, std::size_t limit) const;

  // By state, and the reviews of break glasses that are open and overdue.
  struct Counts {
    std::vector<std::pair<ApprovalState, std::int64_t>> states;
    std::int64_t reviews_open = 0;
    std::int64_t reviews_overdue = 0;
  };
  Result<Counts> counts(WallTime now) const;

  // Removes those that were closed before `until`, some at a time; gives how many.
  Result<std::int64_t> retire(WallTime created_before, std::size_t limit);

 private:
  Result<std::vector<Approval>> open_all(const std::vector<store::Row>& rows) const;

  store::Database& database_;
  const store::Barrier& barrier_;
  Log& log_;
};

}  // namespace curfew::broker
