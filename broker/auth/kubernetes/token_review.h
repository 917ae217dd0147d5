#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "broker/auth/https_client.h"

namespace curfew::broker::kubernetes {

// A service account, as a cluster's API server vouches for it.
struct ServiceAccount {
  std::string name;
  std::string name_space;
  std::string uid;
};

struct ReviewRequest {
  std::string host;      // "https://host[:port]"
  Secret reviewer;       // who asks, as a bearer token
  Secret token;          // what is asked about
  std::string audience;  // must be among the token's; empty: the API server's own
};

// Asks the API server whose token this is (authentication.k8s.io/v1, TokenReview). Blocks for at
// most the client's time-out. kPermissionDenied: nobody's, or no service account's, or for another
// audience. kUnavailable: the API server gave no answer that counts; the message is for operators.
Result<ServiceAccount> review_token(const HttpsClient& client, const ReviewRequest& request);

// Reads what the API server answered to a review that named `audience`; errors as above.
Result<ServiceAccount> read_review(std::string_view body, const std::string& audience);

}  // namespace curfew::broker::kubernetes
