#pragma once

#include <memory>

#include "api/http_types.h"
#include "api/page_assets.h"
#include "base/log.h"
#include "base/random.h"
#include "broker/handler.h"

namespace curfew::api {

// Joins HTTP and the broker: reads the request, has it handled, writes the answer; serves the web
// page and its sessions. Holds no rules.
// Thread-safe. The objects given must outlive it and every answer that it gave.
class Edge {
 public:
  Edge(broker::Handler& handler, Random& random, Log& log, PageAssets page = {})
      : handler_(handler), random_(random), log_(log), page_(page) {}

  // Every outcome is an answer. What went wrong inside (not what the caller did wrong) is logged
  // with the request's id. An answer that nobody got is reported to the broker; so is one to HEAD
  // that carries a lease or a token, since HEAD never shows the body. A request that the broker
  // puts on hold is kept in the answer's HttpHold.
  HttpResponse serve(HttpRequest http);

 private:
  struct Asked;
  HttpResponse serve_request(const HttpRequest& http);
  HttpResponse handle(broker::Request request, std::shared_ptr<Asked> asked);
  static HttpResponse finished(HttpResponse response, const Asked& asked);
  HttpHold keep(broker::Hold hold, std::shared_ptr<Asked> asked);
  HttpResponse serve_page(const HttpRequest& http);
  void log_failure(const std::string& id, const std::string& path, const Error& error);

  broker::Handler& handler_;
  Random& random_;
  Log& log_;
  const PageAssets page_;
};

}  // namespace curfew::api
