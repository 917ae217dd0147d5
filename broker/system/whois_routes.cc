#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "broker/attribution.h"
#include "broker/system/system_parts.h"
#include "engines/identifier.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kLeasesMax = 20;
constexpr std::int64_t kPidMax = 1LL << 31;
constexpr Millis kAskTime = Seconds{10};  // all targets together

// What a request to sys/whois asks for.
struct Question {
  engines::Sought sought;
  std::string mount_id;  // empty: any
};

class WhoisRoutes {
 public:
  explicit WhoisRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<Response> whois(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const Question question, question_of(call.request.data));
    Json matches = Json::array();
    Json not_asked = Json::array();
    std::vector<Lease> leases;
    if (!question.sought.name.empty()) {
      // The store knows every name that was ever decided here, also while the target is down.
      ASSIGN_OR_RETURN(leases, by_name(question.sought.name, question));
    }
    // Of a lease that has ended a role may be left, or somebody else bears the name now.
    const bool live = std::any_of(leases.begin(), leases.end(),
                                  [](const Lease& lease) { return is_live(lease.state); });
    if (!live) RETURN_IF_ERROR(ask_targets(question, matches, not_asked));
    for (const Lease& lease : leases)
      if (!contains(matches, lease)) matches.push_back(match_of(lease));
    return Response{.data = {{"matches", std::move(matches)}, {"not_asked", std::move(not_asked)}}};
  }

 private:
  static bool contains(const Json& matches, const Lease& lease) {
    return std::any_of(matches.begin(), matches.end(),
                       [&](const Json& match) { return match.value("lease_id", "") == lease.id; });
  }

  Result<Question> question_of(const Json& data) const {
    const Fields fields(data);
    Question out;
    ASSIGN_OR_RETURN(out.sought.name, fields.text_or("database_role", ""));
    ASSIGN_OR_RETURN(out.sought.pid, fields.integer_or("pid", 0));
    ASSIGN_OR_RETURN(out.sought.resource, fields.text_or("target", ""));
    ASSIGN_OR_RETURN(const std::string mount, fields.text_or("mount", ""));
    if (out.sought.name.empty() == (out.sought.pid == 0) || out.sought.pid < 0 ||
        out.sought.pid >= kPidMax)
      return Error{Errc::kInvalidArgument,
                   "say whose: either database_role, or pid of a backend (a positive number)"};
    if (mount.empty()) return out;
    const auto found = parts_.mounts.at(mount);
    if (!found)
      return Error{Errc::kInvalidArgument,
                   fmt::format("field \"mount\": nothing is mounted at \"{}\"", mount)};
    out.mount_id = found->entry.accessor;
    return out;
  }

  Result<std::vector<Lease>> by_name(const std::string& name, const Question& question) const {
    return parts_.leases.find({.mount = question.mount_id,
                               .resource = question.sought.resource,
                               .name = name,
                               .also_ended = true},
                              "", kLeasesMax);
  }

  // Where the store does not tell: a backend, a role that is older than the names in the store, or
  // somebody else's.
  Status ask_targets(const Question& question, Json& matches, Json& not_asked) const {
    const SteadyTime deadline = parts_.clock.steady() + kAskTime;
    for (const MountEntry& entry : parts_.mounts.list()) {
      if (!question.mount_id.empty() && entry.accessor != question.mount_id) continue;
      const auto mount = parts_.mounts.by_accessor(entry.accessor);
      if (!mount) continue;
      auto* engine = dynamic_cast<engines::Identifier*>(&mount->engine());
      if (engine == nullptr) continue;  // nobody can be met in what it leases
      const auto seen = engine->identify(question.sought, {.deadline = deadline});
      if (!seen) {
        not_asked.push_back({{"mount", entry.path}, {"error", seen.error().message}});
        continue;
      }
      for (const engines::Sighting& sighting : *seen) {
        if (!sighting.error.empty()) {
          not_asked.push_back(
              {{"mount", entry.path}, {"target", sighting.resource}, {"error", sighting.error}});
          continue;
        }
        ASSIGN_OR_RETURN(Json match, match_of(sighting, entry, question));
        matches.push_back(std::move(match));
      }
    }
    return ok();
  }

  // A mark can be written by whoever may comment on roles: it counts where the lease says the same.
  Result<std::optional<Lease>> lease_of(const engines::Sighting& sighting, const MountEntry& entry,
                                        const Question& question) const {
    if (!sighting.lease_id.empty()) {
      ASSIGN_OR_RETURN(auto lease, parts_.leases.get(sighting.lease_id));
      if (lease && lease->mount == entry.accessor && lease->handle.resource == sighting.resource &&
          (lease->handle.name.empty() || lease->handle.name == sighting.name))
        return lease;
    }
    if (sighting.name.empty()) return std::optional<Lease>{};
    Question here = question;
    here.mount_id = entry.accessor;
    here.sought.resource = sighting.resource;
    ASSIGN_OR_RETURN(auto leases, by_name(sighting.name, here));
    if (leases.empty()) return std::optional<Lease>{};
    return std::optional{std::move(leases.front())};
  }

  Result<Json> match_of(const engines::Sighting& sighting, const MountEntry& entry,
                        const Question& question) const {
    ASSIGN_OR_RETURN(const auto lease, lease_of(sighting, entry, question));
    Json out = lease ? match_of(*lease) : unknown(sighting);
    out["mount"] = entry.path;
    out["target"] = sighting.resource;
    out["database_role"] = sighting.name;
    out["seen"] = sighting.facts;
    if (!lease || is_live(lease->state) || sighting.name.empty()) return out;
    out["proven_gone"] = false;  // whatever its receipt said then
    out["note"] =
        "the lease has ended, but this role is there: it was left behind, or somebody made it "
        "since";
    return out;
  }

  static Json unknown(const engines::Sighting& sighting) {
    const char* why = sighting.name.empty()
                          ? "a session of no role, or of one that was dropped under it"
                      : sighting.lease_id.empty()
                          ? "the role bears no mark of this mount: it was not made by Curfew"
                          : "the role's mark names a lease that is not remembered, or that had "
                            "another role";
    Json out = {{"known", false}, {"live", false}, {"note", why}};
    if (!sighting.lease_id.empty()) out["marked_lease"] = sighting.lease_id;
    return out;
  }

  Json match_of(const Lease& lease) const {
    const engines::Attribution& by = lease.attribution;
    const auto mount = parts_.mounts.by_accessor(lease.mount);
    Json out = {{"known", true},
                {"live", is_live(lease.state)},
                {"lease_id", lease.id},
                {"mount", mount ? mount->entry.path : lease.mount},
                {"target", lease.handle.resource},
                {"database_role", lease.handle.name},
                {"role", lease.role},
                {"state", lease_state_name(lease.state)},
                {"agent", agent_of(by)},
                {"owner", by.human},
                {"human", by.human},
                {"sub_agent", by.sub_agent},
                {"entity_name", by.entity_name},
                {"ticket", by.ticket},
                {"purpose", by.purpose},
                {"session", by.session},
                {"trace_id", by.trace_id},
                {"token_accessor", by.token_accessor},
                {"display_name", by.display_name},
                {"entity_id", by.entity_id},
                {"remote_address", by.remote_address},
                {"issue_time", format_rfc3339(lease.issued_at)},
                {"expire_time", format_rfc3339(lease.expires_at)}};
    if (lease.ended_at) out["end_time"] = format_rfc3339(*lease.ended_at);
    if (lease.receipt.is_object()) out["proven_gone"] = lease.receipt.value("proven", false);
    if (!is_live(lease.state)) out["note"] = "the lease has ended";
    return out;
  }

  const SystemParts parts_;
};

}  // namespace

void add_whois_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<WhoisRoutes>(parts);
  add_route(routes,
            {.pattern = "whois",
             .summary = "Whose a database role or a backend of a target is.",
             .fields = {{"database_role", FieldType::kText, "Name of the role in the database."},
                        {"pid", FieldType::kInteger, "Process id of the backend."},
                        {"mount", FieldType::kText, "Path of the mount; any if absent."},
                        {"target", FieldType::kText, "Name of the target; any if absent."}},
             .sudo = true},
            {{kRead, to(&WhoisRoutes::whois)}, {kUpdate, to(&WhoisRoutes::whois)}});
}

}  // namespace curfew::broker
