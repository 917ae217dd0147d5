#pragma once

#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace curfew::broker::model {

// What the approval queue does, told a second time and as shortly as it can be: lists in memory,
// one thread, no code of the broker's. It predicts what each operation answers and leaves behind.
// Requesters are numbers: agents first, then people who may ask; people are numbers as well, and so
// are the groups.

inline constexpr int kAgents = 3;
inline constexpr int kHumans = 5;
inline constexpr int kAsker = 3;       // the requester who is a person …
inline constexpr int kAskerHuman = 4;  // … and which
inline constexpr int kRequesters = 4;
inline constexpr int kOwners = 0;
inline constexpr int kSecurity = 1;

struct Factor {
  int group;
  int approvals;
};

// What a policy asks for.
struct Policy {
  const char* text;
  bool allows = true;
  std::vector<Factor> factors = {};  // none: nobody has to approve
  Millis ttl_max{0};
  Millis request_ttl = std::chrono::minutes{30};
  Millis claim_window = std::chrono::minutes{15};
  int task_leases = 0;  // 0: no tasks
  int task_statements = 0;
  Millis task_duration{0};
  bool break_glass = false;
};

struct Task {
  int leases_max = 0;
  int statements_max = 0;  // 0: as many as leases
  Millis duration{0};
  int leases = 0;
  int statements = 0;
  std::optional<WallTime> ends_at = {};
};

struct Wish {
  int requester = 0;
  std::string content = {};  // parameters; equal ones are the same wish
  bool statement = false;
  Millis ttl{0};
  std::string reason = {};
  std::optional<Task> task = {};
  std::string key = {};
  bool break_glass = false;
};

// A decision for an approval that was accepted, for good.
struct Approving {
  int human;
  std::set<int> groups;  // that she was in then
  std::string digest;
};

struct Asked {
  std::string id;
  std::string state = "pending";
  std::string digest;
  std::string old_digest;  // the one before it was narrowed
  Wish wish;
  Millis ttl{0};
  bool narrowed = false;
  std::string role_text;  // as it was when it was asked
  int policy = 0;
  int generation = 0;  // of the requester's token
  std::vector<Approving> approvings;
  bool by_break_glass = false;
  bool review_open = false;
  bool was_closed = false;  // denied, lapsed, …, ever
  WallTime created;
  WallTime expires;
  std::optional<WallTime> claim_until;
  std::optional<WallTime> claimed;
  std::optional<WallTime> closed;
  int leases = 0;
};

struct Lease {
  std::string name;
  std::size_t asked;
  WallTime expires;
  int requester;
  int generation;
  bool ended = false;
  bool may_be_gone = false;
};

struct Promise {
  std::string token;
  std::size_t asked;
  WallTime expires;
  bool spent = false;
};

// What an operation answers: an error, or the request that it is about.
struct Outcome {
  std::optional<Errc> error = {};
  std::size_t asked = 0;
  bool is_new = false;    // a request was made
  bool is_issue = false;  // a credential comes of it
  Millis ttl{0};          // of that
};

class ApprovalModel {
 public:
  explicit ApprovalModel(std::vector<Policy> policies);

  WallTime now;
  std::string role_text;
  int policy = 0;
  std::array<std::set<int>, 2> members;
  struct Actor {
    bool alive = true;  // the token
    bool enabled = true;
    int generation = 0;
  };
  std::array<Actor, kRequesters> actors;
  std::vector<Asked> all;
  std::vector<Lease> leases;  // that exist outside
  std::vector<Promise> promises;

  // Each predicts, and does it to the model.
  Outcome ask(const Wish& wish);
  Outcome read(const Wish& wish);
  Outcome claim(std::size_t asked, int requester);
  // The caller is the wrapping token itself, root (-1), or whoever asked.
  Outcome unwrap(std::size_t promise, bool by_requester);
  // `who`: a human. `digest`: as it is sent.
  Outcome decide(std::size_t asked, int human, const std::string& verdict,
                 const std::string& digest, Millis ttl);
  // The same by a requester or, as -1, by the root token.
  Outcome decide_as(std::size_t asked, int requester, const std::string& verdict);
  void run_due();
  void forget();  // everything is closed

  // Why this lease must not have been issued, from the record and not from the states; empty: it is
  // all right.
  std::string why_not(const Asked& asked, Millis ttl) const;
  bool is_same_content(const Asked& asked) const;
  bool owns(int human, int requester) const;
  bool may_decide(const Asked& asked, int human) const;

 private:
  std::optional<Errc> check_caller(int requester) const;
  bool is_same_wish(const Asked& asked, const Wish& wish) const;
  std::vector<std::size_t> newest_first(const Wish& wish) const;
  std::optional<Errc> why_not_claimable(const Asked& asked) const;
  std::optional<Errc> check_terms(const Wish& wish) const;
  std::optional<Outcome> earlier(const Wish& wish);
  Outcome issue(std::size_t asked);
  bool has_enough(const Asked& asked) const;
  void approve(Asked& asked);
  void close(Asked& asked, const std::string& state);
  void end_leases(std::size_t asked);
  void supersede(Asked& asked);

  const std::vector<Policy> policies_;
};

}  // namespace curfew::broker::model
