#include "api/edge.h"

#include <memory>

#include "api/error_to_http.h"
#include "api/vault_request.h"
#include "api/vault_response.h"
#include "base/secret.h"

namespace curfew::api {
namespace {

constexpr const char* kNamespaceHeader = "X-Vault-Namespace";

// Tokens and passwords do not stay behind in freed memory.
void wipe(HttpRequest& http) {
  zero(http.body);
  for (HttpHeader& header : http.headers) zero(header.value);
}

// Reports the answer as undelivered unless it was passed on: something threw in between. Most
// answers hold nothing that anybody would take back; those are not watched.
class Delivery {
 public:
  Delivery(broker::Handler& handler, broker::Response response)
      : handler_(handler), response_(std::make_shared<broker::Response>(std::move(response))) {}
  ~Delivery() {
    if (response_ != nullptr && matters()) handler_.undelivered(*response_);
  }
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  const broker::Response& response() const { return *response_; }
  // What to call when the answer does not arrive; empty where it does not matter.
  std::function<void()> pass_on() {
    if (!matters()) return {};
    std::function<void()> report = [&handler = handler_, response = response_] {
      handler.undelivered(*response);
    };
    response_ = nullptr;
    return report;
  }

 private:
  bool matters() const {
    return !response_->lease_id.empty() || response_->auth || response_->wrap_info;
  }

  broker::Handler& handler_;
  std::shared_ptr<broker::Response> response_;
};

// The broker knows best how long to wait, so its header goes in the place of the usual one.
void add_headers(std::vector<broker::AnswerHeader>& more, HttpResponse& response) {
  for (broker::AnswerHeader& header : more) {
    std::erase_if(response.headers,
                  [&](const HttpHeader& usual) { return usual.name == header.name; });
    response.headers.push_back({std::move(header.name), std::move(header.value)});
  }
}

}  // namespace

HttpResponse Edge::serve(HttpRequest http) {
  HttpResponse response = serve_request(http);
  if (const std::string* name_space = http.header(kNamespaceHeader))
    if (!name_space->empty()) response.headers.push_back({kNamespaceHeader, *name_space});
  wipe(http);
  return response;
}

HttpResponse Edge::serve_request(const HttpRequest& http) {
  auto request = read_request(http, random_);
  if (!request) return error_response(request.error());
  const std::string id = request->id;
  const std::string path = request->path;
  const Operation operation = request->operation;
  std::vector<broker::AnswerHeader> more;
  request->answer_headers = &more;
  auto handled = handler_.handle(std::move(*request));
  if (!handled) {
    log_failure(id, path, handled.error());
    HttpResponse response = error_response(handled.error());
    add_headers(more, response);
    return response;
  }
  Delivery delivery(handler_, std::move(*handled));
  HttpResponse response = write_response(delivery.response(), id, operation);
  add_headers(more, response);
  if (http.method != "HEAD") response.undelivered = delivery.pass_on();
  return response;
}

void Edge::log_failure(const std::string& id, const std::string& path, const Error& error) {
  if (status_of(error.code) != 500 && error.detail.empty()) return;
  log_.warn("request failed", {{"request_id", id},
                               {"path", path},
                               {"code", errc_name(error.code)},
                               {"message", error.message},
                               {"detail", error.detail}});
}

}  // namespace curfew::api
