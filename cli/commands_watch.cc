#include <fmt/format.h>

#include <map>
#include <ostream>

#include "cli/approval_calls.h"
#include "cli/commands.h"
#include "cli/event_stream.h"

// The queue of approvals as it changes.
namespace curfew::cli {

namespace {

constexpr Millis kPauseFirst{1'000};
constexpr Millis kPauseMax{15'000};
constexpr std::size_t kKnownMax = 10'000;

// Prints each state of each request once, whether it came as an event or was found in the list.
class Watch {
 public:
  explicit Watch(Call& call) : call_(call), left_(call.arguments.integer("count").value_or(0)) {}

  // False: all that was asked for was printed.
  bool on_event(const Json& change) {
    const std::string id = member_text(change, "id");
    const std::int64_t now = revision_of(change);
    Known& known = known_of(id);
    // It happened after the connection was made, so it is news even where a list had it already.
    if (known.revision > now || (known.revision == now && known.is_printed)) return true;
    known = {now, true};
    return print(id, change, member(change, "waiting") == Json(true));
  }

  // The connection stands: what happened before it did is in the list. At first only those that
  // wait for the caller are printed. False as of on_event().
  Result<bool> catch_up() {
    if (caught_up_) return show_list({}, Listed::kNews);
    caught_up_ = true;
    ASSIGN_OR_RETURN(const bool goes_on, show_list({{"waiting", "true"}}, Listed::kWaiting));
    if (!goes_on) return false;
    return show_list({}, Listed::kLearn);
  }

 private:
  using Query = std::vector<std::pair<std::string, std::string>>;
  enum class Listed { kWaiting, kLearn, kNews };
  struct Known {
    std::int64_t revision = -1;
    bool is_printed = false;
  };

  static std::int64_t revision_of(const Json& view) {
    const Json& revision = member(view, "revision");
    return revision.is_number_integer() ? revision.get<std::int64_t>() : 0;
  }

  Known& known_of(const std::string& id) {
    if (known_.size() >= kKnownMax) known_.clear();
    return known_[id];
  }

  Result<bool> show_list(Query query, Listed listed) {
    query.emplace_back("limit", "200");
    ASSIGN_OR_RETURN(const Json data, list_approvals(call_, std::move(query)));
    const Json& keys = member_list(data, "keys");
    // Newest first in the list; here they go by their time.
    for (std::size_t i = keys.size(); i > 0; --i) {
      const std::string id = value_text(keys[i - 1]);
      const Json& view = member(member(data, "key_info"), id);
      Known& known = known_of(id);
      const std::int64_t now = revision_of(view);
      if (known.revision >= now) continue;
      known = {now, listed != Listed::kLearn};
      const bool waiting =
          listed == Listed::kWaiting || member(member(view, "can"), "approve") == Json(true);
      if (known.is_printed && !print(id, view, waiting)) return false;
    }
    return true;
  }

  bool print(const std::string& id, const Json& change, bool waiting) {
    if (call_.arguments.on("waiting") && !waiting) return true;
    std::ostream& out = call_.around.out;
    if (!call_.print.is_table()) {
      OrderedJson line = {{"id", id}, {"waiting", waiting}};
      for (const char* name : {"state", "revision", "role", "kind"})
        line[name] = OrderedJson(member(change, name));
      out << line.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) << "\n";
    } else {
      out << one_line(fmt::format("{}  {:<10}  {}  {}{}", id, member_text(change, "state"),
                                  member_text(change, "kind"), member_text(change, "role"),
                                  waiting ? "  (waits for you)" : ""))
          << "\n";
    }
    out.flush();
    return left_ == 0 || --left_ > 0;
  }

  Call& call_;
  std::int64_t left_;  // 0: no end
  std::map<std::string, Known> known_;
  bool caught_up_ = false;
};

// One connection. True: all that was asked for was printed. `greeted`: it came about.
Result<bool> follow_once(Call& call, Watch& watch, bool& greeted) {
  EventReader reader;
  bool done = false;
  Status failed = ok();
  const auto on_event = [&](const StreamEvent& event) {
    if (event.name == "hello") {
      greeted = true;
      const Result<bool> goes_on = watch.catch_up();
      if (!goes_on) failed = goes_on.error();
      done = goes_on && !*goes_on;
      return goes_on && *goes_on;
    }
    if (event.name != "approval") return true;
    const Result<Json> change = parse_json(event.data);
    if (!change) return true;
    done = !watch.on_event(*change);
    return !done;
  };
  const Status ended = call.api().follow(
      {.method = "GET", .path = "sys/approvals/events", .doing = "watching approval requests"},
      [&](std::string_view bytes) { return reader.feed(bytes, on_event); });
  if (done) return true;
  RETURN_IF_ERROR(failed);
  RETURN_IF_ERROR(ended);
  return false;
}

// For ever, unless -count says otherwise. A server that cannot be reached at first is an error;
// later it is waited for.
Result<int> watch(Call& call) {
  Watch watch(call);
  Millis pause = kPauseFirst;
  for (bool first = true;; first = false) {
    bool greeted = false;
    const Result<bool> done = follow_once(call, watch, greeted);
    if (done && *done) return kExitOk;
    if (!done) {
      const bool lost =
          done.error().code == Errc::kUnavailable || done.error().code == Errc::kInDoubt;
      if (!lost || (first && !greeted)) return done.error();
      if (pause == kPauseFirst || greeted)
        call.print.warn("the connection to the server was lost; trying again");
    }
    if (greeted) pause = kPauseFirst;
    call.around.sleep(pause);
    pause = std::min(pause * 2, kPauseMax);
  }
}

}  // namespace

void add_watch_commands(CommandTable& table) {
  table.commands.push_back(
      {.path = "approval watch",
       .summary = "Prints a line for every change of an approval request",
       .synopsis = "[flags]",
       .flags = {{{"waiting"}, FlagKind::kSwitch, "Only of those that wait for you."},
                 {{"count"}, FlagKind::kInteger, "End after so many lines.", "N"}},
       .details = "  At first those that wait for you now. When the connection breaks, it is made "
                  "again, and\n  what happened meanwhile is printed. With -format=json each line "
                  "is an object.\n",
       .run = watch});
}

}  // namespace curfew::cli
