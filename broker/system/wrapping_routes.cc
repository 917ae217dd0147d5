#include "broker/system/system_parts.h"

// sys/wrapping/: what is done with answers that wait behind wrapping tokens.
namespace curfew::broker {
namespace {

class WrappingRoutes {
 public:
  explicit WrappingRoutes(const SystemParts& parts) : parts_(parts) {}

  // Whatever the caller sends; the answer is wrapped like any other.
  Result<Response> wrap(const BackendCall& call) const {
    if (!call.request.wrap_ttl)
      return Error{Errc::kInvalidArgument,
                   "endpoint requires response wrapping to be used: send X-Vault-Wrap-TTL"};
    return Response{.data = call.request.data};
  }

  Result<Response> unwrap(const BackendCall& call) const {
    // Before the token is spent.
    if (call.request.wrap_ttl)
      return Error{Errc::kInvalidArgument,
                   "what is unwrapped is not wrapped again: leave X-Vault-Wrap-TTL out, or use "
                   "sys/wrapping/rewrap"};
    ASSIGN_OR_RETURN(const Secret token, token_of(call));
    ASSIGN_OR_RETURN(const auto approval, parts_.wraps.promised(token));
    if (approval) return claim(call, token, *approval);
    ASSIGN_OR_RETURN(Response response, parts_.wraps.open(token));
    parts_.wake_reaper();
    return response;
  }

  // The request that people had to approve is made now.
  Result<Response> claim(const BackendCall& call, const Secret& token,
                         const std::string& id) const {
    ASSIGN_OR_RETURN(const auto approval, parts_.approvals.get(id));
    if (!approval) return no_wrapping_token();
    auto response = parts_.claim_approval(call, *approval, true);
    // In Vault's words and with its status.
    if (!response && response.error().code == Errc::kConflict)
      return Error{Errc::kInvalidArgument, response.error().message};
    if (!response) return response;
    const Status spent = parts_.wraps.keep_promise(token);
    if (!spent) parts_.log.warn("wrapping token not spent", {{"error", spent.error().message}});
    parts_.wake_reaper();
    return response;
  }

  Result<Response> rewrap(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const Secret token, token_of(call));
    ASSIGN_OR_RETURN(Response response, parts_.wraps.rewrap(token, call.request.wrap_ttl));
    parts_.wake_reaper();
    return response;
  }

  Result<Response> look_up(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const Secret token, token_of(call));
    ASSIGN_OR_RETURN(Json data, parts_.wraps.look_up(token));
    return Response{.data = std::move(data)};
  }

 private:
  // The one that is named, else the one that the call is made with.
  static Result<Secret> token_of(const BackendCall& call) {
    ASSIGN_OR_RETURN(const std::string named, Fields(call.request.data).text_or("token", ""));
    return named.empty() ? call.request.token : Secret(named);
  }

  const SystemParts parts_;
};

}  // namespace

void add_wrapping_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<WrappingRoutes>(parts);
  const FieldSpec token{"token", FieldType::kText,
                        "The wrapping token; without it, the token of the call."};
  add_route(routes,
            {.pattern = "wrapping/wrap", .summary = "Wraps the members of the request's body."},
            {{kUpdate, to(&WrappingRoutes::wrap)}});
  add_route(routes,
            {.pattern = "wrapping/unwrap",
             .summary = "Gives the answer behind a wrapping token, once.",
             .fields = {token},
             .opens_wraps = true},
            {{kUpdate, to(&WrappingRoutes::unwrap)}});
  add_route(routes,
            {.pattern = "wrapping/rewrap",
             .summary = "Puts a wrapped answer behind a new wrapping token.",
             .fields = {token},
             .opens_wraps = true},
            {{kUpdate, to(&WrappingRoutes::rewrap)}});
  add_route(routes,
            {.pattern = "wrapping/lookup",
             .summary = "Tells where a wrapped answer comes from, without opening it.",
             .fields = {token},
             .unauthenticated = true},
            {{kUpdate, to(&WrappingRoutes::look_up)}, {kRead, to(&WrappingRoutes::look_up)}});
}

}  // namespace curfew::broker
