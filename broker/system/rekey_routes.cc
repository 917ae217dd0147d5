#include "base/encoding.h"
#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

using store::Rekey;
using store::SealKind;

constexpr std::int64_t kSharesDefault = 5;
constexpr std::int64_t kThresholdDefault = 3;

// Which shares: those that unseal, or those of the recovery keys of a seal that opens by itself.
enum class Target { kSeal, kRecovery };

Json keys_of(const std::vector<Secret>& shares, bool hex) {
  Json out = Json::array();
  for (const Secret& share : shares)
    out.push_back(hex ? hex_encode(share.reveal()) : base64_encode(share.reveal()));
  return out;
}

Json completed(const std::string& nonce, const std::vector<Secret>& shares,
               const std::string& verification_nonce) {
  Json out = {{"nonce", nonce},
              {"complete", true},
              {"keys", keys_of(shares, true)},
              {"keys_base64", keys_of(shares, false)},
              {"pgp_fingerprints", nullptr},
              {"backup", false},
              {"verification_required", !verification_nonce.empty()}};
  if (!verification_nonce.empty()) out["verification_nonce"] = verification_nonce;
  return out;
}

Json status_json(const Rekey::Progress& progress) {
  Json out = {{"nonce", progress.nonce},
              {"started", progress.started},
              {"t", progress.wanted.threshold},
              {"n", progress.wanted.shares},
              {"progress", progress.progress},
              {"required", progress.required},
              {"pgp_fingerprints", nullptr},
              {"backup", false},
              {"verification_required", progress.verifies}};
  if (!progress.verification_nonce.empty()) out["verification_nonce"] = progress.verification_nonce;
  return out;
}

Response bare(Json data) {
  return {.layout = Layout::kBare, .data = std::move(data)};
}

template <Target target>
class RekeyRoutes {
 public:
  explicit RekeyRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<Response> read(const BackendCall&) const {
    ASSIGN_OR_RETURN(Rekey * rekey, rekey_of_target());
    ASSIGN_OR_RETURN(const auto progress, rekey->progress());
    return bare(status_json(progress));
  }

  Result<Response> begin(const BackendCall& call) const {
    ASSIGN_OR_RETURN(Rekey * rekey, rekey_of_target());
    const Fields fields(call.request.data);
    ASSIGN_OR_RETURN(const auto shares, fields.integer_or("secret_shares", kSharesDefault));
    ASSIGN_OR_RETURN(const auto threshold,
                     fields.integer_or("secret_threshold", kThresholdDefault));
    ASSIGN_OR_RETURN(const bool verifies, fields.boolean_or("require_verification", false));
    ASSIGN_OR_RETURN(const bool backup, fields.boolean_or("backup", false));
    const auto pgp = call.request.data.find("pgp_keys");
    if (backup || (pgp != call.request.data.end() && !pgp->is_null() && !pgp->empty()))
      return Error{Errc::kInvalidArgument, "fields \"pgp_keys\" and \"backup\": not supported"};
    if (shares < 1 || shares > 255 || threshold < 1 || threshold > shares)
      return Error{Errc::kInvalidArgument,
                   "secret_shares must be 1 to 255, and secret_threshold 1 to that number"};
    const store::ShareNumbers wanted{static_cast<int>(shares), static_cast<int>(threshold)};
    ASSIGN_OR_RETURN(const auto progress, rekey->progress());
    if (progress.required == 0 && target == Target::kRecovery) {
      // Nobody holds shares that could be asked for, so the caller's own right has to do.
      ASSIGN_OR_RETURN(const auto made, parts_.lifecycle.make_recovery_keys(wanted));
      return bare(completed("", made, ""));
    }
    ASSIGN_OR_RETURN(const auto begun, rekey->begin(wanted, verifies));
    return bare(status_json(begun));
  }

  Result<Response> cancel(const BackendCall&) const {
    ASSIGN_OR_RETURN(Rekey * rekey, rekey_of_target());
    rekey->cancel();
    return Response{};
  }

  Result<Response> give(const BackendCall& call) const {
    ASSIGN_OR_RETURN(Rekey * rekey, rekey_of_target());
    ASSIGN_OR_RETURN(const std::string key, required_text(call.request.data, "key"));
    ASSIGN_OR_RETURN(const std::string nonce, required_text(call.request.data, "nonce"));
    ASSIGN_OR_RETURN(const auto given, rekey->give(nonce, Secret(key)));
    if (given.shares) {
      Json answer = completed(nonce, *given.shares, given.verification_nonce);
      if (!given.doubt.empty()) answer["warnings"] = {given.doubt};
      return bare(std::move(answer));
    }
    return read(call);
  }

  Result<Response> read_verification(const BackendCall&) const {
    ASSIGN_OR_RETURN(Rekey * rekey, rekey_of_target());
    return verification(*rekey);
  }

  Result<Response> verify(const BackendCall& call) const {
    ASSIGN_OR_RETURN(Rekey * rekey, rekey_of_target());
    ASSIGN_OR_RETURN(const std::string key, required_text(call.request.data, "key"));
    ASSIGN_OR_RETURN(const std::string nonce, required_text(call.request.data, "nonce"));
    ASSIGN_OR_RETURN(const bool complete, rekey->verify(nonce, Secret(key)));
    if (!complete) return verification(*rekey);
    return bare({{"nonce", nonce}, {"complete", true}});
  }

  Result<Response> restart_verification(const BackendCall&) const {
    ASSIGN_OR_RETURN(Rekey * rekey, rekey_of_target());
    RETURN_IF_ERROR(rekey->restart_verification());
    return verification(*rekey);
  }

 private:
  Result<Rekey*> rekey_of_target() const {
    ASSIGN_OR_RETURN(const auto status, parts_.lifecycle.status());
    const bool recovery = status.kind != SealKind::kShamir;
    if (recovery == (target == Target::kRecovery)) return &parts_.lifecycle.rekey();
    if (recovery)
      return Error{Errc::kInvalidArgument,
                   "nobody holds shares of this server's seal, which is of kind " +
                       std::string(store::seal_kind_name(status.kind)) +
                       ". For its recovery keys use sys/rekey-recovery-key (-target=recovery); to "
                       "replace the seal's own key, migrate to another one"};
    return Error{Errc::kInvalidArgument,
                 "this server has no recovery keys: its seal is of key shares. Use sys/rekey"};
  }

  static Result<Response> verification(const Rekey& rekey) {
    ASSIGN_OR_RETURN(const auto progress, rekey.progress());
    const bool waits = !progress.verification_nonce.empty();
    return bare({{"nonce", progress.verification_nonce},
                 {"started", waits},
                 {"t", waits ? progress.wanted.threshold : 0},
                 {"n", waits ? progress.wanted.shares : 0},
                 {"progress", progress.verified}});
  }

  const SystemParts parts_;
};

template <Target target>
void add_routes(const SystemParts& parts, const std::string& path, const std::string& what,
                RouteList& routes) {
  using enum Operation;
  using Routes = RekeyRoutes<target>;
  const auto to = binder<Routes>(parts);
  const std::vector<FieldSpec> share = {
      {"key", FieldType::kText, "A share, in hexadecimal or base64.", true},
      {"nonce", FieldType::kText, "The attempt that it is meant for.", true}};
  add_route(
      routes,
      {.pattern = path + "/init",
       .summary = "The replacement of " + what + ": its state, its start, its end.",
       .fields = {{"secret_shares", FieldType::kInteger, "How many new shares."},
                  {"secret_threshold", FieldType::kInteger, "How many of them it takes."},
                  {"require_verification", FieldType::kBoolean,
                   "The new shares are in force only when enough were given back."}},
       .sudo = true,
       .irreversible = true},
      {{kRead, to(&Routes::read)}, {kUpdate, to(&Routes::begin)}, {kDelete, to(&Routes::cancel)}});
  add_route(routes,
            {.pattern = path + "/update",
             .summary = "Takes one of " + what + "; the last one gives the new shares.",
             .fields = share,
             .sudo = true,
             .irreversible = true},
            {{kUpdate, to(&Routes::give)}});
  add_route(routes,
            {.pattern = path + "/verify",
             .summary = "Takes one new share back; the last one puts them in force.",
             .fields = share,
             .sudo = true},
            {{kRead, to(&Routes::read_verification)},
             {kUpdate, to(&Routes::verify)},
             {kDelete, to(&Routes::restart_verification)}});
}

}  // namespace

void add_rekey_routes(const SystemParts& parts, RouteList& routes) {
  add_routes<Target::kSeal>(parts, "rekey", "the shares that unseal", routes);
  add_routes<Target::kRecovery>(parts, "rekey-recovery-key", "the shares of the recovery key",
                                routes);
}

}  // namespace curfew::broker
