#include "base/duration.h"
#include "base/encoding.h"
#include "broker/system/seal_status.h"
#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

constexpr std::int64_t kSharesDefault = 5;
constexpr std::int64_t kThresholdDefault = 3;

class SealRoutes {
 public:
  explicit SealRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<Response> read_init(const BackendCall&) const {
    ASSIGN_OR_RETURN(const auto status, parts_.lifecycle.status());
    return Response{.layout = Layout::kBare, .data = {{"initialized", status.initialized}}};
  }

  Result<Response> init(const BackendCall& call) const {
    const Fields fields(call.request.data);
    ASSIGN_OR_RETURN(const auto status, parts_.lifecycle.status());
    if (status.initialized) return Error{Errc::kInvalidArgument, "Vault is already initialized"};
    for (const char* name : {"pgp_keys", "root_token_pgp_key", "recovery_pgp_keys"}) {
      const auto it = call.request.data.find(name);
      if (it != call.request.data.end() && !it->is_null() && !it->empty() && *it != "")
        return Error{Errc::kInvalidArgument, std::string("field \"") + name + "\": not supported"};
    }
    // Where the seal opens by itself people may hold a recovery key, if that was asked for.
    const bool recovery = status.kind != store::SealKind::kShamir;
    ASSIGN_OR_RETURN(const auto shares,
                     fields.integer_or(recovery ? "recovery_shares" : "secret_shares",
                                       recovery ? 0 : kSharesDefault));
    ASSIGN_OR_RETURN(const auto threshold,
                     fields.integer_or(recovery ? "recovery_threshold" : "secret_threshold",
                                       recovery ? 0 : kThresholdDefault));
    if (shares < 0 || shares > 255 || threshold < 0 || threshold > 255)
      return Error{Errc::kInvalidArgument,
                   "secret_shares, secret_threshold, recovery_shares and recovery_threshold must "
                   "be between 1 and 255"};
    ASSIGN_OR_RETURN(
        const Initialized made,
        parts_.lifecycle.initialize(static_cast<int>(shares), static_cast<int>(threshold)));
    Json keys = Json::array(), keys_base64 = Json::array();
    for (const Secret& share : made.shares) {
      keys.push_back(hex_encode(share.reveal()));
      keys_base64.push_back(base64_encode(share.reveal()));
    }
    Json data = {{"keys", Json::array()},
                 {"keys_base64", Json::array()},
                 {"root_token", made.root_token.reveal()}};
    data[made.recovery ? "recovery_keys" : "keys"] = std::move(keys);
    data[made.recovery ? "recovery_keys_base64" : "keys_base64"] = std::move(keys_base64);
    return Response{.layout = Layout::kBare, .data = std::move(data)};
  }

  Result<Response> seal_status(const BackendCall&) const {
    ASSIGN_OR_RETURN(const auto status, parts_.lifecycle.status());
    return Response{.layout = Layout::kBare, .data = seal_status_json(parts_, status)};
  }

  Result<Response> unseal(const BackendCall& call) const {
    const Fields fields(call.request.data);
    ASSIGN_OR_RETURN(const bool reset, fields.boolean_or("reset", false));
    ASSIGN_OR_RETURN(const bool migrate, fields.boolean_or("migrate", false));
    if (reset) {
      RETURN_IF_ERROR(parts_.lifecycle.reset_unseal());
      return seal_status(call);
    }
    ASSIGN_OR_RETURN(const std::string key, fields.text_or("key", ""));
    if (key.empty() && !(migrate && nobody_holds_shares()))
      return Error{Errc::kInvalidArgument,
                   "'key' must be specified in request body as JSON, or 'reset' set to true"};
    ASSIGN_OR_RETURN(const auto status, parts_.lifecycle.unseal(Secret(key), migrate));
    return Response{.layout = Layout::kBare, .data = seal_status_json(parts_, status)};
  }

  // A seal that opens by itself may be taken over from without anybody's share.
  bool nobody_holds_shares() const {
    const auto status = parts_.lifecycle.status();
    return status && status->initialized && status->shares == 0;
  }

  Result<Response> seal(const BackendCall&) const {
    parts_.lifecycle.seal();
    return Response{};
  }

  Result<Response> key_status(const BackendCall&) const {
    ASSIGN_OR_RETURN(const auto status, parts_.keyring.key_status());
    return Response{.layout = Layout::kInjected,
                    .data = {{"term", status.term},
                             {"install_time", format_rfc3339(status.installed_at)},
                             {"encryptions", status.encryptions}}};
  }

  Result<Response> rotate(const BackendCall&) const {
    RETURN_IF_ERROR(parts_.keyring.rotate(parts_.database));
    return Response{};
  }

 private:
  const SystemParts parts_;
};

}  // namespace

void add_seal_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<SealRoutes>(parts);
  add_route(
      routes,
      {.pattern = "init",
       .summary = "Makes the keys of a new store and its first root token.",
       .fields = {{"secret_shares", FieldType::kInteger, "Into how many shares the key is split."},
                  {"secret_threshold", FieldType::kInteger, "How many of them unseal."},
                  {"recovery_shares", FieldType::kInteger,
                   "Shares of a recovery key, where the seal opens by itself; none if unset."},
                  {"recovery_threshold", FieldType::kInteger, "How many of those it takes."}},
       .unauthenticated = true,
       .works_sealed = true},
      {{kRead, to(&SealRoutes::read_init)}, {kUpdate, to(&SealRoutes::init)}});
  add_route(routes,
            {.pattern = "seal-status",
             .summary = "Whether the keys are in memory.",
             .unauthenticated = true,
             .works_sealed = true},
            {{kRead, to(&SealRoutes::seal_status)}});
  add_route(routes,
            {.pattern = "unseal",
             .summary = "Takes one share of the key.",
             .fields = {{"key", FieldType::kText, "A share, in hexadecimal or base64."},
                        {"reset", FieldType::kBoolean, "Forget the shares given so far."},
                        {"migrate", FieldType::kBoolean,
                         "The share takes the store over from the seal of before."}},
             .unauthenticated = true,
             .works_sealed = true},
            {{kUpdate, to(&SealRoutes::unseal)}});
  add_route(routes, {.pattern = "seal", .summary = "Zeroes the keys.", .sudo = true},
            {{kUpdate, to(&SealRoutes::seal)}});
  add_route(routes, {.pattern = "key-status", .summary = "Describes the current data key."},
            {{kRead, to(&SealRoutes::key_status)}});
  add_route(routes, {.pattern = "rotate", .summary = "Makes a new data key.", .sudo = true},
            {{kUpdate, to(&SealRoutes::rotate)}});
}

}  // namespace curfew::broker
