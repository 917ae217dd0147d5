#include "broker/tenant/home.h"

#include "broker/token/token_text.h"

namespace curfew::broker {

const Home& Homes::of(const Secret& token) const {
  const std::string_view id = namespace_in(token);
  for (const Home& home : homes_)
    if (home.id == id) return home;
  return homes_.back();
}

}  // namespace curfew::broker
