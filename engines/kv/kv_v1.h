#pragma once

#include "engines/engine.h"

namespace curfew::engines::kv {

// One map of members under each path, overwritten as a whole. No lease is made: a member "ttl" (or
// "lease") only tells the reader how long it may keep the value.
class KvV1 final : public SecretEngine {
 public:
  explicit KvV1(Services services);

  std::string_view type() const override { return "kv"; }
  const CallRoutes& routes() const override { return routes_; }
  Result<std::optional<bool>> exists(const Call& call) const override;

 private:
  Result<Reply> read(const Call& call) const;
  Result<Reply> write(const Call& call);
  Result<Reply> remove(const Call& call);
  Result<Reply> list(const Call& call) const;

  const Services services_;
  const CallRoutes routes_;
};

}  // namespace curfew::engines::kv
