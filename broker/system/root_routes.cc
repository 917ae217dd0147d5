#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

class RootRoutes {
 public:
  explicit RootRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<Response> read(const BackendCall&) const { return status(Secret(), ""); }

  Result<Response> begin(const BackendCall& call) const {
    const Fields fields(call.request.data);
    ASSIGN_OR_RETURN(const std::string password, fields.text_or("otp", ""));
    ASSIGN_OR_RETURN(const std::string pgp_key, fields.text_or("pgp_key", ""));
    if (!pgp_key.empty())
      return Error{Errc::kInvalidArgument, "field \"pgp_key\": not supported; use otp"};
    ASSIGN_OR_RETURN(const Secret made, parts_.lifecycle.root_generation().begin(Secret(password)));
    return status(made, "");
  }

  Result<Response> cancel(const BackendCall&) const {
    parts_.lifecycle.root_generation().cancel();
    return Response{};
  }

  Result<Response> give(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string key, required_text(call.request.data, "key"));
    ASSIGN_OR_RETURN(const std::string nonce, required_text(call.request.data, "nonce"));
    ASSIGN_OR_RETURN(const auto encoded,
                     parts_.lifecycle.root_generation().give(nonce, Secret(key)));
    if (!encoded) return status(Secret(), "");
    ASSIGN_OR_RETURN(Response done, status(Secret(), *encoded));
    done.data["nonce"] = nonce;
    done.data["started"] = true;
    done.data["progress"] = done.data.at("required");
    return done;
  }

 private:
  // `password`: one that was made just now. `encoded`: the token, when it was made.
  Result<Response> status(const Secret& password, const std::string& encoded) const {
    ASSIGN_OR_RETURN(const auto progress, parts_.lifecycle.root_generation().progress());
    return Response{.layout = Layout::kBare,
                    .data = {{"nonce", progress.nonce},
                             {"started", progress.started},
                             {"progress", progress.progress},
                             {"required", progress.required},
                             {"complete", !encoded.empty()},
                             {"encoded_token", encoded},
                             {"encoded_root_token", encoded},
                             {"pgp_fingerprint", ""},
                             {"otp", password.reveal()},
                             {"otp_length", RootGeneration::pad_length()}}};
  }

  const SystemParts parts_;
};

}  // namespace

void add_root_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<RootRoutes>(parts);
  // Without a token: this is for when there is none any more. The shares are what is asked for.
  add_route(routes,
            {.pattern = "generate-root/attempt",
             .summary = "The generation of a root token: its state, its start, its end.",
             .fields = {{"otp", FieldType::kText,
                         "What the token leaves the server under; one is made if unset."}},
             .unauthenticated = true},
            {{kRead, to(&RootRoutes::read)},
             {kUpdate, to(&RootRoutes::begin)},
             {kDelete, to(&RootRoutes::cancel)}});
  add_route(routes,
            {.pattern = "generate-root/update",
             .summary = "Takes one key share; the last one gives the encoded token.",
             .fields = {{"key", FieldType::kText, "A share, in hexadecimal or base64.", true},
                        {"nonce", FieldType::kText, "The attempt that it is meant for.", true}},
             .unauthenticated = true,
             .irreversible = true},
            {{kUpdate, to(&RootRoutes::give)}});
}

}  // namespace curfew::broker
