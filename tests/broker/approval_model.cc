#include "tests/broker/approval_model.h"

#include <algorithm>

namespace curfew::broker::model {
namespace {

constexpr Millis kRoleTtl = Seconds{900};
constexpr Millis kRoleMax = Seconds{3600};
constexpr Millis kDeniedPause = std::chrono::minutes{5};
constexpr Millis kRetryWindow = Seconds{10};
constexpr int kPendingMax = 10;
constexpr std::size_t kDeniedSeen = 20;  // of one wish, the newest
constexpr std::size_t kClaimedSeen = 5;  // likewise

// Whether different people can be found for all places: tries every way of filling them.
bool can_fill(std::vector<int> places, const std::vector<std::set<int>>& people,
              std::set<std::size_t> used = {}) {
  if (places.empty()) return true;
  const int group = places.back();
  places.pop_back();
  for (std::size_t i = 0; i < people.size(); ++i) {
    if (used.contains(i) || !people[i].contains(group)) continue;
    std::set<std::size_t> more = used;
    more.insert(i);
    if (can_fill(places, people, std::move(more))) return true;
  }
  return false;
}

}  // namespace

ApprovalModel::ApprovalModel(std::vector<Policy> policies) : policies_(std::move(policies)) {}

// ---- who

// The first agent is human 0's, the second human 3's, the third is answered for by "security".
bool ApprovalModel::owns(int human, int requester) const {
  return (requester == 0 && human == 0) || (requester == 1 && human == 3) ||
         (requester == kAsker && human == kAskerHuman);
}

bool ApprovalModel::may_decide(const Asked& asked, int human) const {
  if (owns(human, asked.wish.requester)) return false;
  if (asked.wish.requester == 2 && members[kSecurity].contains(human)) return false;
  const auto& factors = policies_[static_cast<std::size_t>(asked.policy)].factors;
  return std::any_of(factors.begin(), factors.end(), [&](const Factor& factor) {
    return members[static_cast<std::size_t>(factor.group)].contains(human);
  });
}

std::optional<Errc> ApprovalModel::check_caller(int requester) const {
  const Actor& actor = actors[static_cast<std::size_t>(requester)];
  if (!actor.alive) return Errc::kUnauthenticated;
  if (!actor.enabled) return Errc::kPermissionDenied;
  return std::nullopt;
}

bool ApprovalModel::has_enough(const Asked& asked) const {
  std::vector<int> places;
  for (const Factor& factor : policies_[static_cast<std::size_t>(asked.policy)].factors)
    places.insert(places.end(), static_cast<std::size_t>(factor.approvals), factor.group);
  std::vector<std::set<int>> people;
  for (int human = 0; human < kHumans; ++human)
    for (auto it = asked.approvings.rbegin(); it != asked.approvings.rend(); ++it)
      if (it->human == human && it->digest == asked.digest) {
        people.push_back(it->groups);
        break;
      }
  return !places.empty() && can_fill(places, people);
}

// ---- asking

bool ApprovalModel::is_same_wish(const Asked& asked, const Wish& wish) const {
  if (!wish.reason.empty() && wish.reason != asked.wish.reason) return false;
  if (wish.task && (!asked.wish.task || asked.wish.task->leases_max != wish.task->leases_max ||
                    asked.wish.task->statements_max != wish.task->statements_max ||
                    asked.wish.task->duration != wish.task->duration))
    return false;
  return wish.ttl == Millis{0} || wish.ttl == asked.ttl || (asked.narrowed && wish.ttl > asked.ttl);
}

std::vector<std::size_t> ApprovalModel::newest_first(const Wish& wish) const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].wish.requester == wish.requester && all[i].wish.content == wish.content)
      out.push_back(i);
  std::sort(out.begin(), out.end(), [this](std::size_t a, std::size_t b) {
    return std::pair(all[a].created, all[a].id) > std::pair(all[b].created, all[b].id);
  });
  return out;
}

std::optional<Errc> ApprovalModel::check_terms(const Wish& wish) const {
  const Policy& rule = policies_[static_cast<std::size_t>(policy)];
  const Millis max = rule.ttl_max > Millis{0} ? std::min(rule.ttl_max, kRoleMax) : kRoleMax;
  if (wish.ttl > max) return Errc::kInvalidArgument;
  if (!wish.task) return std::nullopt;
  const int statements = rule.task_statements > 0 ? rule.task_statements : rule.task_leases;
  if (rule.task_leases == 0 || wish.task->leases_max > rule.task_leases ||
      wish.task->duration > rule.task_duration || wish.task->statements_max > statements)
    return Errc::kInvalidArgument;
  return std::nullopt;
}

std::optional<Outcome> ApprovalModel::earlier(const Wish& wish) {
  std::vector<std::size_t> superseded;
  const auto is_replaceable = [this](std::size_t i) {
    return all[i].state == "pending" || all[i].state == "approved";
  };
  const auto is_outdated = [&](std::size_t i) {
    return is_replaceable(i) && !is_same_content(all[i]);
  };
  if (!wish.key.empty()) {
    std::vector<std::size_t> with_key;
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i].wish.requester == wish.requester && all[i].wish.key == wish.key)
        with_key.push_back(i);
    std::sort(with_key.begin(), with_key.end(), [this](std::size_t a, std::size_t b) {
      return std::pair(all[a].created, all[a].id) > std::pair(all[b].created, all[b].id);
    });
    std::optional<Outcome> found;
    for (const std::size_t i : with_key) {
      if (all[i].wish.content == wish.content && is_same_wish(all[i], wish) && !is_outdated(i)) {
        found = Outcome{.asked = i};
        break;
      }
      if (is_replaceable(i)) superseded.push_back(i);
    }
    if (found) {
      for (const std::size_t i : superseded) close(all[i], "superseded");
      return found;
    }
  }
  const auto is_superseded = [&](std::size_t i) {
    return std::find(superseded.begin(), superseded.end(), i) != superseded.end();
  };
  // What is refused changes nothing: the superseding goes with it.
  std::optional<Outcome> out;
  auto same = newest_first(wish);
  for (const std::size_t i : same) {
    const Asked& found = all[i];
    if (is_superseded(i)) continue;
    const bool waits = found.state == "pending" && found.expires > now;
    const bool usable = found.state == "approved" && *found.claim_until > now;
    if (!(waits || usable) || !is_same_wish(found, wish)) continue;
    if (!is_outdated(i)) {
      out = Outcome{.asked = i};
      break;
    }
    superseded.push_back(i);
  }
  if (!out) {
    same.resize(std::min(same.size(), kDeniedSeen));
    for (const std::size_t i : same)
      if (all[i].state == "denied" && now - *all[i].closed < kDeniedPause)
        return Outcome{.error = Errc::kQuotaExceeded};
    int pending = 0;
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i].wish.requester == wish.requester && all[i].state == "pending" && !is_superseded(i))
        ++pending;
    if (pending >= kPendingMax) return Outcome{.error = Errc::kQuotaExceeded};
  }
  for (const std::size_t i : superseded) close(all[i], "superseded");
  return out;
}

Outcome ApprovalModel::ask(const Wish& wish) {
  if (const auto error = check_caller(wish.requester)) return {.error = error};
  const Policy& rule = policies_[static_cast<std::size_t>(policy)];
  if (!rule.allows) return {.error = Errc::kPermissionDenied};
  if (rule.factors.empty()) return {.error = Errc::kInvalidArgument};
  if (const auto error = check_terms(wish)) return {.error = error};
  if (wish.break_glass) {
    if (!rule.break_glass) return {.error = Errc::kPermissionDenied};
    if (wish.task) return {.error = Errc::kInvalidArgument};
    if (wish.requester != kAsker || !members[kSecurity].contains(kAskerHuman))
      return {.error = Errc::kPermissionDenied};
  } else if (const auto known = earlier(wish)) {
    return *known;
  }
  Asked asked;
  asked.wish = wish;
  asked.ttl = wish.ttl;
  if (asked.ttl == Millis{0})
    asked.ttl = rule.ttl_max > Millis{0} ? std::min(kRoleTtl, rule.ttl_max) : kRoleTtl;
  if (wish.task) asked.ttl = std::min(asked.ttl, wish.task->duration);
  asked.role_text = role_text;
  asked.policy = policy;
  asked.generation = actors[static_cast<std::size_t>(wish.requester)].generation;
  asked.created = now;
  asked.expires = now + rule.request_ttl;
  if (wish.break_glass) {
    asked.by_break_glass = asked.review_open = true;
    approve(asked);
  }
  all.push_back(asked);
  return {.asked = all.size() - 1, .is_new = true};
}

// ---- deciding

void ApprovalModel::approve(Asked& asked) {
  asked.state = "approved";
  asked.claim_until = now + policies_[static_cast<std::size_t>(asked.policy)].claim_window;
}

void ApprovalModel::close(Asked& asked, const std::string& state) {
  asked.state = state;
  asked.was_closed = true;
  asked.closed = now;
}

void ApprovalModel::end_leases(std::size_t asked) {
  for (Lease& lease : leases)
    if (lease.asked == asked) lease.ended = true;
}

Outcome ApprovalModel::decide(std::size_t index, int human, const std::string& verdict,
                              const std::string& digest, Millis ttl) {
  Asked& asked = all[index];
  const bool owner = owns(human, asked.wish.requester);
  const bool decider = may_decide(asked, human);
  if (human == kAskerHuman) {
    if (const auto error = check_caller(kAsker)) return {.error = error};
  }
  if (!owner && !decider) return {.error = Errc::kNotFound};
  if (verdict == "comment") return {.asked = index};
  if (verdict == "cancel") {
    if (!owner) return {.error = Errc::kPermissionDenied};
    if (asked.state == "claimed" && asked.wish.task) {
      close(asked, "ended");
      end_leases(index);
    } else if (asked.state == "pending" || asked.state == "approved") {
      close(asked, "cancelled");
    } else {
      return {.error = Errc::kConflict};
    }
    return {.asked = index};
  }
  if (!decider) return {.error = Errc::kPermissionDenied};
  if (verdict == "review") {
    if (!asked.review_open) return {.error = Errc::kConflict};
    asked.review_open = false;
    return {.asked = index};
  }
  if (verdict == "withdraw") {
    if (asked.state != "approved" && asked.state != "claimed") return {.error = Errc::kConflict};
    close(asked, "withdrawn");
    end_leases(index);
    return {.asked = index};
  }
  if (asked.state != "pending" || asked.expires <= now) return {.error = Errc::kConflict};
  if (verdict == "deny") {
    close(asked, "denied");
    return {.asked = index};
  }
  if (digest.empty()) return {.error = Errc::kInvalidArgument};
  if (digest != asked.digest) return {.error = Errc::kPreconditionFailed};
  Approving approving{human, {}, digest};
  for (int group = 0; group < 2; ++group)
    if (members[static_cast<std::size_t>(group)].contains(human)) approving.groups.insert(group);
  if (verdict == "narrow") {
    if (ttl < Seconds{1} || ttl >= asked.ttl) return {.error = Errc::kInvalidArgument};
    asked.ttl = ttl;
    asked.narrowed = true;
    asked.old_digest = asked.digest;
    approving.digest = asked.digest = "new";  // until the test knows it
  }
  asked.approvings.push_back(approving);
  if (has_enough(asked)) approve(asked);
  return {.asked = index};
}

Outcome ApprovalModel::decide_as(std::size_t index, int requester, const std::string& verdict) {
  if (requester < 0) return {.error = Errc::kPermissionDenied};
  if (const auto error = check_caller(requester)) return {.error = error};
  Asked& asked = all[index];
  if (verdict != "cancel" && verdict != "comment") return {.error = Errc::kPermissionDenied};
  if (asked.wish.requester != requester) return {.error = Errc::kNotFound};
  if (verdict == "comment") return {.asked = index};
  if (asked.state == "claimed" && asked.wish.task) {
    close(asked, "ended");
    end_leases(index);
  } else if (asked.state == "pending" || asked.state == "approved") {
    close(asked, "cancelled");
  } else {
    return {.error = Errc::kConflict};
  }
  return {.asked = index};
}

// ---- claiming

std::optional<Errc> ApprovalModel::why_not_claimable(const Asked& asked) const {
  if (asked.state == "approved" && *asked.claim_until > now) return std::nullopt;
  if (asked.state != "claimed" || !asked.wish.task) return Errc::kConflict;
  const Task& task = *asked.wish.task;
  if (*task.ends_at <= now) return Errc::kConflict;
  const int statements = task.statements_max > 0 ? task.statements_max : task.leases_max;
  if (task.leases >= task.leases_max || (asked.wish.statement && task.statements >= statements))
    return Errc::kQuotaExceeded;
  return std::nullopt;
}

bool ApprovalModel::is_same_content(const Asked& asked) const {
  return asked.role_text == role_text && asked.policy == policy;
}

// What is not what was approved any more. A credential that was handed out lives on; a task ends.
void ApprovalModel::supersede(Asked& asked) {
  if (asked.state == "pending" || asked.state == "approved") {
    close(asked, "superseded");
  } else if (asked.state == "claimed" && asked.wish.task) {
    close(asked, "ended");
    end_leases(static_cast<std::size_t>(&asked - all.data()));
  }
}

Outcome ApprovalModel::issue(std::size_t index) {
  Asked& asked = all[index];
  if (!is_same_content(asked)) {
    supersede(asked);
    return {.error = Errc::kConflict};
  }
  if (const auto error = why_not_claimable(asked)) return {.error = error};
  if (asked.state == "approved") {
    asked.claimed = now;
    if (asked.wish.task) asked.wish.task->ends_at = now + asked.wish.task->duration;
  }
  asked.state = "claimed";
  ++asked.leases;
  Millis ttl = asked.ttl;
  if (asked.wish.task) {
    ++asked.wish.task->leases;
    if (asked.wish.statement) ++asked.wish.task->statements;
    ttl = std::min<Millis>(ttl, *asked.wish.task->ends_at - now);
  }
  return {.asked = index, .is_issue = true, .ttl = ttl};
}

Outcome ApprovalModel::claim(std::size_t index, int requester) {
  if (const auto error = check_caller(requester)) return {.error = error};
  Asked& asked = all[index];
  if (asked.wish.requester != requester) {
    // A person who may decide sees it, and is told that it is not hers.
    const bool sees = requester == kAsker && (may_decide(asked, kAskerHuman));
    return {.error = sees ? Errc::kPermissionDenied : Errc::kNotFound};
  }
  const Policy& rule = policies_[static_cast<std::size_t>(policy)];
  if (!rule.allows) return {.error = Errc::kPermissionDenied};
  if (rule.factors.empty()) {
    supersede(asked);
    return {.error = Errc::kConflict};
  }
  if (const auto error = why_not_claimable(asked)) return {.error = error};
  return issue(index);
}

Outcome ApprovalModel::unwrap(std::size_t promise, bool by_requester) {
  const std::size_t index = promises[promise].asked;
  const int requester = all[index].wish.requester;
  const Actor& actor = actors[static_cast<std::size_t>(requester)];
  if (by_requester) {
    if (const auto error = check_caller(requester)) return {.error = error};
  } else if (!actor.alive || !actor.enabled || all[index].generation != actor.generation) {
    return {.error = Errc::kPermissionDenied};
  }
  Outcome out = claim(index, requester);
  if (out.error == Errc::kConflict) out.error = Errc::kInvalidArgument;  // Vault's own
  if (!out.error) promises[promise].spent = true;
  return out;
}

Outcome ApprovalModel::read(const Wish& wish) {
  if (const auto error = check_caller(wish.requester)) return {.error = error};
  const Policy& rule = policies_[static_cast<std::size_t>(policy)];
  if (!rule.allows) return {.error = Errc::kPermissionDenied};
  auto same = newest_first(wish);
  for (const std::size_t i : same)
    if (is_same_wish(all[i], wish) && !why_not_claimable(all[i])) return issue(i);
  same.resize(std::min(same.size(), kClaimedSeen));
  for (const std::size_t i : same) {
    const Asked& found = all[i];
    const bool just_claimed =
        found.state == "claimed" && !found.wish.task && *found.claimed + kRetryWindow > now;
    if (just_claimed && is_same_wish(found, wish)) return issue(i);
  }
  return ask(wish);
}

// ---- time

void ApprovalModel::run_due() {
  for (std::size_t i = 0; i < all.size(); ++i) {
    Asked& asked = all[i];
    if (asked.state == "pending" && asked.expires <= now) close(asked, "expired");
    if (asked.state == "approved" && *asked.claim_until <= now) close(asked, "lapsed");
    if (asked.state == "claimed" && asked.wish.task && *asked.wish.task->ends_at <= now) {
      close(asked, "ended");
      end_leases(i);
    }
  }
  std::erase_if(leases, [this](const Lease& lease) {
    const Actor& actor = actors[static_cast<std::size_t>(lease.requester)];
    return lease.ended || lease.expires <= now || !actor.alive ||
           actor.generation != lease.generation;
  });
}

void ApprovalModel::forget() {
  all.clear();
  leases.clear();
  promises.clear();
}

// ---- what must hold

std::string ApprovalModel::why_not(const Asked& asked, Millis ttl) const {
  if (asked.was_closed) return "it was closed before";
  if (!asked.by_break_glass && !has_enough(asked)) return "too few people have approved it";
  for (const Approving& approving : asked.approvings)
    if (owns(approving.human, asked.wish.requester)) return "its owner has approved it";
  if (!asked.wish.task && asked.leases > 1) return "it was claimed before";
  if (!asked.claim_until || !asked.claimed || *asked.claimed >= *asked.claim_until)
    return "it was not claimed in time";
  if (!is_same_content(asked)) return "it is not what was approved";
  if (ttl > asked.ttl) return "its lease is longer than what was approved";
  if (const auto& task = asked.wish.task) {
    if (asked.leases > task->leases_max) return "the task has had its leases";
    if (now + ttl > *task->ends_at) return "its lease outlives the task";
  }
  return {};
}

}  // namespace curfew::broker::model
