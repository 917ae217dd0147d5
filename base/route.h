#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace curfew {

// What a request asks to be done. POST and PUT enter as kUpdate; the broker turns one into kCreate
// where the route can tell that the object does not exist yet.
enum class Operation { kCreate, kRead, kUpdate, kPatch, kDelete, kList };

// "create", "read", … as in policies, audit entries and the API description.
const char* operation_name(Operation operation);

enum class FieldType { kText, kInteger, kBoolean, kDuration, kList, kMap, kAny };

// One member of a request body, for the API description and for the help text.
struct FieldSpec {
  std::string name;
  FieldType type = FieldType::kText;
  std::string description;
  bool required = false;
};

// Named parts of a path, by the names in the pattern.
using RouteParams = std::map<std::string, std::string, std::less<>>;

// What is known of a path without handling it.
struct RouteSpec {
  // Segments separated by '/'. "{name}" is one segment of letters, digits, '.', '-' and '_'
  // (neither '-' nor '.' at its ends), "{name@}" one that may have '@' within as well; "{path...}",
  // only at the end, is all the rest, also none. A list request is matched without its final '/'.
  std::string pattern;
  std::string summary;
  std::vector<FieldSpec> fields = {};
  bool sudo = false;             // needs the sudo capability beside the operation's own
  bool unauthenticated = false;  // no token is asked for
  bool works_sealed = false;     // is served while the keys are not in memory
  // A call with a wrapping token is no use of that token: the call opens it, or leaves it whole.
  bool opens_wraps = false;
  // What it answers is there once, and what it did cannot be taken back: the answer is given even
  // where no line about it could be written (the one about the request was), and is never wrapped.
  bool irreversible = false;
  bool issues_lease = false;  // a read here makes a credential under a lease
};

namespace route_internal {
// Fills `params` and returns true when `path` fits the pattern. No allocation where it does not.
bool match(std::string_view pattern, std::string_view path, RouteParams& params);
}  // namespace route_internal

// The paths of one mount, in the order in which they are tried. The same table serves requests and
// describes them. Immutable after construction; thread-safe.
template <class Handler>
class RouteTable {
 public:
  struct Route : RouteSpec {
    std::map<Operation, Handler> handlers = {};
  };
  struct Match {
    const Route* route;
    RouteParams params;
  };

  RouteTable() = default;
  explicit RouteTable(std::vector<Route> routes) : routes_(std::move(routes)) {}

  // nullopt: the mount has no such path. The operation may still be one that the route lacks.
  // Of several patterns that fit, the first that has the operation wins, else the first.
  std::optional<Match> match(std::string_view path, Operation operation) const {
    if (operation == Operation::kList && path.ends_with('/')) path.remove_suffix(1);
    std::optional<Match> first;
    for (const Route& route : routes_) {
      RouteParams params;
      if (!route_internal::match(route.pattern, path, params)) continue;
      if (serves(route, operation)) return Match{&route, std::move(params)};
      if (!first) first = Match{&route, std::move(params)};
    }
    return first;
  }

  // A create is served by the handler of updates where there is no other.
  static bool serves(const Route& route, Operation operation) {
    return route.handlers.contains(operation) ||
           (operation == Operation::kCreate && route.handlers.contains(Operation::kUpdate)) ||
           (operation == Operation::kRead && route.issues_lease);
  }

  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace curfew
