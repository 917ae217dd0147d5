#include "broker/lease/end_operation.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/contained.h"
#include "broker/token/token_tree.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kRecords = "lease-end";
constexpr std::size_t kPage = 500;     // leases in one record
constexpr Millis kRetry = Seconds{1};  // after the store failed
constexpr Millis kLookAgain = std::chrono::minutes{1};
constexpr Millis kRetention = std::chrono::days{90};

std::string page_name(const std::string& id, std::size_t page) {
  return fmt::format("{}/{:06}", id, page);
}

// They sort by time, and say it.
std::string new_id(WallTime now, Random& random) {
  return fmt::format("{:%Y%m%d-%H%M%S}-{}", fmt::gmtime(to_unix_seconds(now)),
                     random_base62(random, 8));
}

// One filter for each token of a tree, or one for all leases of the scope.
std::vector<LeaseFilter> filters_of(const LeaseScope& scope,
                                    const std::vector<std::string>& tokens) {
  if (scope.token_id.empty()) return {filter_of(scope, "")};
  std::vector<LeaseFilter> filters;
  for (const std::string& token : tokens) filters.push_back(filter_of(scope, token));
  return filters;
}

bool is_locked_out(const Lease& lease) {
  return !is_live(lease.state) || lease.state == LeaseState::kQuarantined ||
         lease.phases.contains(engines::phase_name(engines::Phase::kLockOut));
}

bool is_failing(const Lease& lease) {
  return is_live(lease.state) && !lease.error.empty();
}

void add_to(EndTotals& totals, const Lease& lease) {
  totals.locked_out += is_locked_out(lease) ? 1 : 0;
  totals.failing += is_failing(lease) ? 1 : 0;
  if (is_live(lease.state)) return;
  ++totals.ended;
  totals.given_up += lease.state == LeaseState::kAbandoned ? 1 : 0;
  if (!lease.receipt.is_object()) return;
  totals.proven += lease.receipt.value("proven", false) ? 1 : 0;
  const auto warnings = lease.receipt.find("warnings");
  if (warnings != lease.receipt.end()) totals.warnings += std::ssize(*warnings);
}

EndTotals totals_of(const Lease& lease) {
  EndTotals totals;
  add_to(totals, lease);
  return totals;
}

void add_to(EndTotals& totals, const EndTotals& more) {
  totals.locked_out += more.locked_out;
  totals.ended += more.ended;
  totals.proven += more.proven;
  totals.given_up += more.given_up;
  totals.never_made += more.never_made;
  totals.failing += more.failing;
  totals.warnings += more.warnings;
}

Json totals_json(const EndTotals& totals) {
  return {{"locked_out", totals.locked_out}, {"ended", totals.ended},
          {"proven", totals.proven},         {"given_up", totals.given_up},
          {"never_made", totals.never_made}, {"failing", totals.failing},
          {"warnings", totals.warnings}};
}

void read_totals(const Json& json, EndTotals& totals) {
  totals.locked_out = json.at("locked_out").get<std::int64_t>();
  totals.ended = json.at("ended").get<std::int64_t>();
  totals.proven = json.at("proven").get<std::int64_t>();
  totals.given_up = json.at("given_up").get<std::int64_t>();
  totals.never_made = json.at("never_made").get<std::int64_t>();
  totals.failing = json.at("failing").get<std::int64_t>();
  totals.warnings = json.at("warnings").get<std::int64_t>();
}

}  // namespace

// Some of an operation's leases, and what became of those that have ended: their rows go away after
// a retention of their own, maybe long before the last lease has ended.
struct EndOperations::Page {
  std::vector<std::string> ids;
  std::map<std::string, EndTotals> outcomes;

  Json to_record() const {
    Json ended = Json::object();
    for (const auto& [id, outcome] : outcomes) ended[id] = totals_json(outcome);
    return {{"leases", ids}, {"ended", std::move(ended)}};
  }

  static Page from_record(const Json& record) {
    Page out{.ids = record.at("leases").get<std::vector<std::string>>(), .outcomes = {}};
    const auto ended = record.find("ended");  // not in older records
    if (ended == record.end()) return out;
    for (const auto& [id, outcome] : ended->items()) read_totals(outcome, out.outcomes[id]);
    return out;
  }
};

struct EndOperations::Operation {
  // In this order; each is durable before what it stands for begins.
  enum class Stage : std::int64_t { kCollecting, kEnding, kEnded, kSettled };

  std::string id;
  EndRequest request;
  WallTime started_at;
  Stage stage = Stage::kCollecting;
  std::vector<std::string> tokens;  // row ids of the tree that the scope names
  bool spread = true;               // the namespaces below know of it
  bool adopted = false;             // it was begun in a namespace above
  std::size_t pages = 0;
  EndTotals totals;  // `found` from kEnding on, the rest once it is settled
  std::optional<WallTime> finished_at;

  Json to_record() const {
    return {{"scope", to_json(request.scope)},
            {"reason", request.reason},
            {"lock_down", request.lock_down},
            {"by", request.by},
            {"by_accessor", request.by_accessor},
            {"started_at", to_unix_millis(started_at)},
            {"stage", static_cast<std::int64_t>(stage)},
            {"tokens", tokens},
            {"spread", spread},
            {"adopted", adopted},
            {"pages", pages},
            {"found", totals.found},
            {"totals", totals_json(totals)},
            {"finished_at", finished_at ? Json(to_unix_millis(*finished_at)) : Json(nullptr)}};
  }

  static Operation from_record(const std::string& id, const Json& record) {
    Operation out;
    out.id = id;
    out.request = {.scope = scope_from_json(record.at("scope")),
                   .reason = record.at("reason").get<std::string>(),
                   .lock_down = record.at("lock_down").get<bool>(),
                   .by = record.at("by").get<std::string>(),
                   .by_accessor = record.at("by_accessor").get<std::string>()};
    out.started_at = from_unix_millis(record.at("started_at").get<std::int64_t>());
    out.stage = static_cast<Stage>(record.at("stage").get<std::int64_t>());
    out.tokens = record.at("tokens").get<std::vector<std::string>>();
    out.spread = record.value("spread", true);     // not in older records
    out.adopted = record.value("adopted", false);  // likewise
    out.pages = record.at("pages").get<std::size_t>();
    out.totals.found = record.at("found").get<std::int64_t>();
    read_totals(record.at("totals"), out.totals);
    if (!record.at("finished_at").is_null())
      out.finished_at = from_unix_millis(record.at("finished_at").get<std::int64_t>());
    return out;
  }
};

EndOperations::EndOperations(Dependencies dependencies) : parts_(std::move(dependencies)) {}

EndOperations::~EndOperations() {
  stop();
}

// ---- asking -----------------------------------------------------------------------------------

Result<EndOperations::Preview> EndOperations::preview(const LeaseScope& scope,
                                                      std::size_t limit) const {
  Preview out;
  std::vector<std::string> tokens;
  if (!scope.token_id.empty()) {
    RETURN_IF_ERROR(parts_.database.read([&](const store::Reader& reader) -> Status {
      ASSIGN_OR_RETURN(tokens, token_tree(reader, parts_.records.name_space(), scope.token_id));
      return ok();
    }));
  }
  ASSIGN_OR_RETURN(out, preview_of(scope, tokens, limit));
  if (scope.is_token_alone()) out.tokens = std::ssize(tokens);
  for (const Below& place : below_of(scope)) {
    const std::size_t room = limit - std::min(limit, out.leases.size());
    ASSIGN_OR_RETURN(Preview more, place.operations->preview_of(scope, tokens, room));
    out.found += more.found;
    for (LeaseStore::Tally& tally : more.tallies) {
      tally.mount = place.seen(tally.mount);
      out.tallies.push_back(std::move(tally));
    }
    for (Lease& lease : more.leases) {
      lease.mount = place.seen(lease.mount);
      out.leases.push_back(std::move(lease));
    }
  }
  return out;
}

// Of this namespace alone.
Result<EndOperations::Preview> EndOperations::preview_of(const LeaseScope& scope,
                                                         const std::vector<std::string>& tokens,
                                                         std::size_t limit) const {
  Preview out;
  for (const LeaseFilter& filter : filters_of(scope, tokens)) {
    ASSIGN_OR_RETURN(const auto tallies, parts_.leases.tally(filter));
    for (const LeaseStore::Tally& tally : tallies) {
      out.found += tally.count;
      const auto same =
          std::find_if(out.tallies.begin(), out.tallies.end(), [&](const LeaseStore::Tally& known) {
            return known.mount == tally.mount && known.role == tally.role &&
                   known.resource == tally.resource && known.state == tally.state;
          });
      if (same == out.tallies.end())
        out.tallies.push_back(tally);
      else
        same->count += tally.count;
    }
    if (out.leases.size() >= limit || tallies.empty()) continue;
    ASSIGN_OR_RETURN(auto leases, parts_.leases.find(filter, "", limit - out.leases.size()));
    std::move(leases.begin(), leases.end(), std::back_inserter(out.leases));
  }
  return out;
}

std::vector<EndOperations::Below> EndOperations::below_of(const LeaseScope& scope) const {
  if (!parts_.below || !scope.mount_id.empty()) return {};
  return parts_.below();
}

Result<std::string> EndOperations::begin(const EndRequest& request) {
  Operation operation;
  operation.started_at = parts_.clock.wall();
  operation.id = new_id(operation.started_at, parts_.random);
  operation.request = request;
  operation.spread = below_of(request.scope).empty();
  // One transaction: from its commit on nothing new is born in the scope, also below tokens that
  // are made later, so that what is collected afterwards is all there is.
  const auto remember = [&](store::Writer& writer) -> Status {
    if (!request.scope.token_id.empty()) {
      ASSIGN_OR_RETURN(operation.tokens,
                       token_tree(writer, parts_.records.name_space(), request.scope.token_id));
    }
    return parts_.records.put(writer, kRecords, operation.id, operation.to_record());
  };
  if (request.lock_down) {
    RETURN_IF_ERROR(parts_.lockdowns.put({.id = operation.id,
                                          .scope = request.scope,
                                          .reason = request.reason,
                                          .by = request.by,
                                          .by_accessor = request.by_accessor,
                                          .since = operation.started_at},
                                         remember));
  } else {
    RETURN_IF_ERROR(parts_.database.write(remember));
  }
  parts_.log.warn("ending leases", {{"operation", operation.id},
                                    {"scope", describe(request.scope)},
                                    {"by", request.by},
                                    {"reason", request.reason}});
  {
    const std::scoped_lock lock(mutex_);
    woken_ = true;
  }
  wake_.notify_one();
  return operation.id;
}

Result<std::vector<std::string>> EndOperations::stored() const {
  std::vector<std::string> ids;
  RETURN_IF_ERROR(parts_.database.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(ids, parts_.records.list(reader, kRecords, ""));
    return ok();
  }));
  std::erase_if(ids, [](const std::string& id) { return id.ends_with('/'); });
  return ids;
}

Result<std::vector<std::string>> EndOperations::list() const {
  ASSIGN_OR_RETURN(auto ids, stored());
  std::vector<std::string> shown;
  for (std::string& id : ids) {
    ASSIGN_OR_RETURN(const auto operation, load(id));
    if (!operation) continue;
    if (operation->adopted) {  // only for those it takes a look at the leases
      ASSIGN_OR_RETURN(const auto known, progress(id, 0));
      if (!known) continue;
    }
    shown.push_back(std::move(id));
  }
  return shown;
}

Status EndOperations::add(const Below& place, const std::string& id, std::size_t limit,
                          Progress& progress) {
  const std::size_t room = limit - std::min(limit, progress.leases.size());
  ASSIGN_OR_RETURN(const auto operation, place.operations->load(id));
  if (!operation) return ok();  // the namespace is younger than the operation
  ASSIGN_OR_RETURN(Progress more, place.operations->progress_of(*operation, room));
  progress.looking = progress.looking || more.looking;
  progress.totals.found += more.totals.found;
  add_to(progress.totals, more.totals);
  if (!more.finished_at)
    progress.finished_at.reset();
  else if (progress.finished_at)
    progress.finished_at = std::max(*progress.finished_at, *more.finished_at);
  for (Lease& lease : more.leases) {
    lease.mount = place.seen(lease.mount);
    progress.leases.push_back(std::move(lease));
  }
  return ok();
}

Result<std::optional<EndOperations::Progress>> EndOperations::progress(const std::string& id,
                                                                       std::size_t limit) const {
  ASSIGN_OR_RETURN(const auto operation, load(id));
  if (!operation) return std::optional<Progress>{};
  ASSIGN_OR_RETURN(Progress out, progress_of(*operation, limit));
  for (const Below& place : below_of(out.request.scope))
    RETURN_IF_ERROR(add(place, id, limit, out));
  // What was meant elsewhere and found nothing here is nobody's business here.
  if (operation->adopted && out.totals.found == 0) return std::optional<Progress>{};
  return std::optional{std::move(out)};
}

// Of this namespace alone.
Result<EndOperations::Progress> EndOperations::progress_of(const Operation& operation,
                                                           std::size_t limit) const {
  Progress out{
      .id = operation.id,
      .request = operation.request,
      .started_at = operation.started_at,
      .looking = operation.stage == Operation::Stage::kCollecting,
      .tokens = operation.request.scope.is_token_alone() ? std::ssize(operation.tokens) : 0,
      .totals = {},
      .leases = {},
      .finished_at = {}};
  if (!out.looking) RETURN_IF_ERROR(measure(operation, limit, out));
  if (!operation.spread) {
    out.looking = true;
    out.finished_at.reset();
  }
  return out;
}

// A row is removed where the credential certainly never came to be, and after its retention: what
// is gone then, and was not looked at in time, is not known to be proven. One that cannot be read
// is not known to have ended.
Result<EndTotals> EndOperations::outcome_of_missing(const Operation& operation,
                                                    const std::string& id) const {
  const auto lease = parts_.leases.get(id);
  if (!lease && lease.error().code != Errc::kCorrupt) return lease.error();
  if (!lease) return EndTotals{.failing = 1};
  if (*lease) return totals_of(**lease);  // written meanwhile
  const bool retired = parts_.clock.wall() >= operation.started_at + parts_.lease_retention;
  return EndTotals{.locked_out = 1, .ended = 1, .never_made = retired ? 0 : 1};
}

Status EndOperations::measure_missing(const Operation& operation, const Page& page,
                                      const std::vector<Lease>& leases, EndTotals& totals) const {
  std::set<std::string_view> found;
  for (const Lease& lease : leases) found.insert(lease.id);
  for (const std::string& id : page.ids) {
    if (found.contains(id)) continue;
    const auto known = page.outcomes.find(id);
    if (known != page.outcomes.end()) {
      add_to(totals, known->second);
      continue;
    }
    ASSIGN_OR_RETURN(const EndTotals outcome, outcome_of_missing(operation, id));
    add_to(totals, outcome);
  }
  return ok();
}

// Reads from the leases how far they are.
Status EndOperations::measure(const Operation& operation, std::size_t limit,
                              Progress& progress) const {
  EndTotals totals{.found = operation.totals.found};
  std::vector<Lease> failing, open, ended;
  std::optional<WallTime> last;
  for (std::size_t page = 0; page < operation.pages; ++page) {
    ASSIGN_OR_RETURN(const Page stored, page_of(operation.id, page));
    ASSIGN_OR_RETURN(auto leases, parts_.leases.get_all(stored.ids));
    if (leases.size() < stored.ids.size())
      RETURN_IF_ERROR(measure_missing(operation, stored, leases, totals));
    for (Lease& lease : leases) {
      add_to(totals, lease);
      if (lease.ended_at) last = std::max(last.value_or(*lease.ended_at), *lease.ended_at);
      auto& list = is_failing(lease) ? failing : is_live(lease.state) ? open : ended;
      if (list.size() < limit) list.push_back(std::move(lease));
    }
  }
  for (auto* list : {&failing, &open, &ended})
    for (Lease& lease : *list)
      if (progress.leases.size() < limit) progress.leases.push_back(std::move(lease));
  const bool settled = operation.stage == Operation::Stage::kSettled;
  progress.totals = settled ? operation.totals : totals;
  if (settled)
    progress.finished_at = operation.finished_at;
  else if (operation.stage == Operation::Stage::kEnded && totals.ended == totals.found)
    progress.finished_at = last.value_or(operation.started_at);
  return ok();
}

// ---- doing ------------------------------------------------------------------------------------

// Takes part in an operation of a namespace above; again is no different from once.
Status EndOperations::adopt(const Operation& operation) {
  Operation own;
  own.id = operation.id;
  own.request = operation.request;
  own.started_at = operation.started_at;
  own.tokens = operation.tokens;
  own.adopted = true;
  RETURN_IF_ERROR(parts_.database.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const auto known, parts_.records.get(writer, kRecords, own.id));
    if (known) return ok();
    return parts_.records.put(writer, kRecords, own.id, own.to_record());
  }));
  {
    const std::scoped_lock lock(mutex_);
    woken_ = true;
  }
  wake_.notify_one();
  return ok();
}

Status EndOperations::spread(Operation& operation) {
  for (const Below& place : below_of(operation.request.scope))
    RETURN_IF_ERROR(place.operations->adopt(operation));
  operation.spread = true;
  return save(operation);
}

Status EndOperations::collect(Operation& operation) {
  operation.pages = 0;
  operation.totals = {};
  std::vector<std::string> ids;
  const auto write_page = [&]() -> Status {
    if (ids.empty()) return ok();
    RETURN_IF_ERROR(parts_.database.write([&](store::Writer& writer) {
      return parts_.records.put(writer, kRecords, page_name(operation.id, operation.pages),
                                Page{.ids = ids, .outcomes = {}}.to_record());
    }));
    ++operation.pages;
    operation.totals.found += std::ssize(ids);
    ids.clear();
    return ok();
  };
  for (const LeaseFilter& filter : filters_of(operation.request.scope, operation.tokens)) {
    std::string after;
    for (;;) {
      ASSIGN_OR_RETURN(const auto page, parts_.leases.find(filter, after, kPage));
      if (page.empty()) break;
      after = page.back().id;
      for (const Lease& lease : page) ids.push_back(lease.id);
      if (ids.size() >= kPage) RETURN_IF_ERROR(write_page());
    }
  }
  RETURN_IF_ERROR(write_page());
  operation.stage = Operation::Stage::kEnding;
  return save(operation);
}

Status EndOperations::end_leases(Operation& operation) {
  const WallTime now = parts_.clock.wall();
  if (operation.request.scope.is_token_alone())
    RETURN_IF_ERROR(parts_.tokens.end_tree(operation.request.scope.token_id, now));
  for (std::size_t page = 0; page < operation.pages; ++page) {
    ASSIGN_OR_RETURN(const Page stored, page_of(operation.id, page));
    RETURN_IF_ERROR(parts_.leases.end_all(stored.ids, now));
  }
  parts_.wake_reaper();
  operation.stage = Operation::Stage::kEnded;
  return save(operation);
}

// Remembers what became of the leases of a page, while their rows say so.
Status EndOperations::remember_ends(const Operation& operation, std::size_t number) {
  ASSIGN_OR_RETURN(Page page, page_of(operation.id, number));
  ASSIGN_OR_RETURN(const auto leases, parts_.leases.get_all(page.ids));
  auto outcomes = page.outcomes;
  std::set<std::string_view> missing(page.ids.begin(), page.ids.end());
  for (const Lease& lease : leases) {
    missing.erase(lease.id);
    if (is_live(lease.state))
      outcomes.erase(lease.id);
    else
      outcomes[lease.id] = totals_of(lease);
  }
  for (const std::string_view id : missing) {
    if (outcomes.contains(std::string(id))) continue;
    ASSIGN_OR_RETURN(const EndTotals outcome, outcome_of_missing(operation, std::string(id)));
    if (outcome.ended > 0) outcomes[std::string(id)] = outcome;
  }
  if (outcomes == page.outcomes) return ok();
  page.outcomes = std::move(outcomes);
  return parts_.database.write([&](store::Writer& writer) {
    return parts_.records.put(writer, kRecords, page_name(operation.id, number), page.to_record());
  });
}

// Remembers the outcome once it is final: the leases are forgotten one day.
Status EndOperations::settle(Operation& operation) {
  for (std::size_t page = 0; page < operation.pages; ++page)
    RETURN_IF_ERROR(remember_ends(operation, page));
  Progress progress;
  RETURN_IF_ERROR(measure(operation, 0, progress));
  if (!progress.finished_at) return ok();
  operation.totals = progress.totals;
  operation.finished_at = progress.finished_at;
  operation.stage = Operation::Stage::kSettled;
  return save(operation);
}

Status EndOperations::forget(const std::string& id) {
  return parts_.database.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const auto pages, parts_.records.list(writer, kRecords, id + "/"));
    for (const std::string& page : pages)
      RETURN_IF_ERROR(parts_.records.remove(writer, kRecords, id + "/" + page));
    RETURN_IF_ERROR(parts_.records.remove(writer, kRecords, id));
    return ok();
  });
}

Status EndOperations::take_up(const std::string& id) {
  using enum Operation::Stage;
  ASSIGN_OR_RETURN(auto operation, load(id));
  if (!operation) return ok();
  if (!operation->spread) RETURN_IF_ERROR(spread(*operation));
  if (operation->stage == kCollecting) RETURN_IF_ERROR(collect(*operation));
  if (operation->stage == kEnding) RETURN_IF_ERROR(end_leases(*operation));
  if (operation->stage == kEnded) RETURN_IF_ERROR(settle(*operation));
  if (operation->stage == kSettled && operation->finished_at &&
      *operation->finished_at + kRetention <= parts_.clock.wall())
    return forget(id);
  return ok();
}

Status EndOperations::run() {
  ASSIGN_OR_RETURN(const auto ids, stored());
  Status all = ok();
  for (const std::string& id : ids) {
    {
      const std::scoped_lock lock(mutex_);
      if (stopping_) return ok();
    }
    const auto taken = take_up(id);
    if (taken) continue;
    parts_.log.error("ending leases goes on later",
                     {{"operation", id}, {"error", taken.error().message}});
    // A record that was damaged does not mend itself; the others must not wait for it.
    if (taken.error().code != Errc::kCorrupt) all = taken.error();
  }
  return all;
}

void EndOperations::start() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = false;
    woken_ = true;
  }
  thread_ = std::thread([this] { work(); });
}

void EndOperations::request_stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

void EndOperations::stop() {
  request_stop();
  if (thread_.joinable()) thread_.join();
  const std::scoped_lock lock(mutex_);
  stopping_ = false;
}

void EndOperations::work() {
  Millis wait{0};
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, wait, [this] { return stopping_ || woken_; });
      woken_ = false;
      if (stopping_) return;
    }
    wait = contained(parts_.log, "ending what was asked for", [this] { return run(); }) ? kLookAgain
                                                                                        : kRetry;
  }
}

// ---- records ----------------------------------------------------------------------------------

Result<std::optional<EndOperations::Operation>> EndOperations::load(const std::string& id) const {
  std::optional<Operation> operation;
  if (id.find('/') != std::string::npos) return operation;
  RETURN_IF_ERROR(parts_.database.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto record, parts_.records.get(reader, kRecords, id));
    if (record) operation = Operation::from_record(id, *record);
    return ok();
  }));
  return operation;
}

Status EndOperations::save(const Operation& operation) {
  return parts_.database.write([&](store::Writer& writer) {
    return parts_.records.put(writer, kRecords, operation.id, operation.to_record());
  });
}

Result<EndOperations::Page> EndOperations::page_of(const std::string& id, std::size_t page) const {
  Page out;
  RETURN_IF_ERROR(parts_.database.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto record, parts_.records.get(reader, kRecords, page_name(id, page)));
    if (!record)
      return Error{Errc::kCorrupt,
                   fmt::format("the operation {} lacks a page of its leases; the store was altered "
                               "outside of Curfew, restore it from a backup",
                               id)};
    out = Page::from_record(*record);
    return ok();
  }));
  return out;
}

}  // namespace curfew::broker
