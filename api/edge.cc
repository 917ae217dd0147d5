#include "api/edge.h"

#include <memory>

#include "api/browser_session.h"
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

HttpResponse stream_response(const broker::Stream& stream) {
  auto out = std::make_shared<HttpStream>();
  out->open = stream.open;
  out->heartbeat = stream.heartbeat;
  out->time = stream.time;
  HttpResponse response;
  response.content_type = stream.content_type;
  response.stream = std::move(out);
  return response;
}

}  // namespace

// What outlives the broker's look at a request.
struct Edge::Asked {
  std::string id;
  std::string path;
  Operation operation = Operation::kRead;
  bool head = false;
  std::string name_space;  // as sent
  BrowserCall browser;
  std::function<broker::Request()> again;  // the request as it came
};

HttpResponse Edge::finished(HttpResponse response, const Asked& asked) {
  if (!asked.name_space.empty()) response.headers.push_back({kNamespaceHeader, asked.name_space});
  return response;
}

HttpResponse Edge::serve(HttpRequest http) {
  HttpResponse response = page_.owns(http.target) ? serve_page(http) : serve_request(http);
  wipe(http);
  return response;
}

HttpResponse Edge::serve_page(const HttpRequest& http) {
  if (is_browser_session(http.target)) return serve_browser_session(http, handler_, random_);
  return page_.serve(http);
}

HttpResponse Edge::serve_request(const HttpRequest& http) {
  auto asked = std::make_shared<Asked>();
  if (const std::string* name_space = http.header(kNamespaceHeader))
    asked->name_space = *name_space;
  auto request = read_request(http, random_);
  if (!request) return finished(error_response(request.error()), *asked);
  auto browser = BrowserCall::read(http, *request);
  if (!browser) return finished(error_response(browser.error()), *asked);
  asked->browser = std::move(*browser);
  asked->id = request->id;
  asked->path = request->path;
  asked->operation = request->operation;
  asked->head = http.method == "HEAD";
  // Hardly any request is put on hold, so it is not copied before the broker says so.
  asked->again = [&] {
    broker::Request again = *read_request(http, random_);
    asked->browser.give_token(again);
    return again;
  };
  return handle(std::move(*request), asked);
}

HttpResponse Edge::handle(broker::Request request, std::shared_ptr<Asked> asked) {
  std::vector<broker::AnswerHeader> more;
  request.answer_headers = &more;
  auto handled = handler_.handle(std::move(request));
  if (!handled) {
    log_failure(asked->id, asked->path, handled.error());
    HttpResponse response = error_response(handled.error());
    add_headers(more, response);
    return finished(std::move(response), *asked);
  }
  if (handled->hold) {
    HttpResponse response;
    response.hold = keep(std::move(*handled->hold), std::move(asked));
    return response;
  }
  Delivery delivery(handler_, std::move(*handled));
  HttpResponse response = delivery.response().stream != nullptr
                              ? stream_response(*delivery.response().stream)
                              : write_response(delivery.response(), asked->id, asked->operation);
  if (auto kept = asked->browser.finish(delivery.response(), response); !kept)
    return finished(error_response(kept.error()), *asked);
  add_headers(more, response);
  if (!asked->head) response.undelivered = delivery.pass_on();
  return finished(std::move(response), *asked);
}

HttpHold Edge::keep(broker::Hold hold, std::shared_ptr<Asked> asked) {
  auto request = std::make_shared<broker::Request>(asked->again());
  request->id = asked->id;
  request->resumed = true;
  asked->again = [request] { return *request; };
  return {std::move(hold.subscribe), hold.time,
          [this, request, asked = std::move(asked)](Millis left) {
            broker::Request again = *request;
            again.hold_left = left;
            return handle(std::move(again), asked);
          }};
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
