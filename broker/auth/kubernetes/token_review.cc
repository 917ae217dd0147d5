#include "broker/auth/kubernetes/token_review.h"

#include <algorithm>

#include "base/json.h"

namespace curfew::broker::kubernetes {
namespace {

constexpr std::string_view kPath = "/apis/authentication.k8s.io/v1/tokenreviews";
constexpr std::string_view kPrefix = "system:serviceaccount:";
constexpr JsonLimits kLimits{.depth_max = 16, .values_max = 10'000};
constexpr std::size_t kNameBytesMax = 253;  // of a Kubernetes object

Error denied() {
  return {Errc::kPermissionDenied, "permission denied"};
}

Error unusable(const std::string& why) {
  return {Errc::kUnavailable, "the TokenReview of the API server cannot be used: " + why};
}

std::string text_of(const Json& object, const char* name) {
  const auto it = object.is_object() ? object.find(name) : object.end();
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string{};
}

Json member(const Json& object, const char* name) {
  const auto it = object.is_object() ? object.find(name) : object.end();
  return it == object.end() ? Json(nullptr) : *it;
}

Result<ServiceAccount> account_of(const Json& user) {
  const std::string whole = text_of(user, "username");
  if (!whole.starts_with(kPrefix)) return denied();
  const std::string rest = whole.substr(kPrefix.size());
  const std::size_t colon = rest.find(':');
  ServiceAccount account{.name = colon == std::string::npos ? "" : rest.substr(colon + 1),
                         .name_space = rest.substr(0, colon),
                         .uid = text_of(user, "uid")};
  for (const std::string* part : {&account.name, &account.name_space, &account.uid})
    if (part->empty() || part->size() > kNameBytesMax) return denied();
  return account;
}

}  // namespace

Result<ServiceAccount> read_review(std::string_view body, const std::string& audience) {
  const auto review = parse_json(body, kLimits);
  if (!review || !review->is_object()) return unusable("it is no JSON object");
  if (text_of(*review, "kind") != "TokenReview") return unusable("it is of another kind");
  const Json status = member(*review, "status");
  if (!status.is_object()) return unusable("it has no status");
  if (member(status, "authenticated") != Json(true) || !text_of(status, "error").empty())
    return denied();
  if (!audience.empty()) {
    // An API server that knows nothing of audiences says nothing of them, and has not looked.
    const Json audiences = member(status, "audiences");
    if (!audiences.is_array() ||
        std::find(audiences.begin(), audiences.end(), Json(audience)) == audiences.end())
      return denied();
  }
  return account_of(member(status, "user"));
}

Result<ServiceAccount> review_token(const HttpsClient& client, const ReviewRequest& request) {
  Json spec = {{"token", request.token.reveal()}};
  if (!request.audience.empty()) spec["audiences"] = Json::array({request.audience});
  const Json body = {{"apiVersion", "authentication.k8s.io/v1"},
                     {"kind", "TokenReview"},
                     {"spec", std::move(spec)}};
  std::string host = request.host;
  while (host.ends_with('/')) host.pop_back();
  ASSIGN_OR_RETURN(const auto answer, client.send({.url = host + std::string(kPath),
                                                   .body = Secret(dump_json(body)),
                                                   .content_type = "application/json",
                                                   .bearer = request.reviewer}));
  if (answer.status == 401 || answer.status == 403)
    return unusable("the API server does not let us ask (HTTP status " +
                    std::to_string(answer.status) +
                    "); the reviewer's token needs the ClusterRole system:auth-delegator");
  if (answer.status != 200 && answer.status != 201)
    return unusable("HTTP status " + std::to_string(answer.status));
  return read_review(answer.body, request.audience);
}

}  // namespace curfew::broker::kubernetes
