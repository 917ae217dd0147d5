// make crash: kills a real server and a real PostgreSQL at random moments, and says what came of
// it.

#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include "base/random.h"
#include "tests/crash/kill_run.h"

namespace {

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::stoull(text);
}

}  // namespace

int main() {
  try {
    curfew::SystemRandom random;
    curfew::crash::KillPlan plan;
    plan.kills_each = static_cast<int>(setting("KILLS", 100));
    plan.seed = setting("SEED", curfew::random_below(random, 1'000'000));
    std::cout << "KILLS=" << plan.kills_each << " SEED=" << plan.seed << std::endl;
    const auto figures = curfew::crash::run_kills(plan, std::cout);
    curfew::crash::print(plan, figures, std::cout);
    return figures.violations.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "crash: " << error.what() << '\n';
    return 2;
  }
}
