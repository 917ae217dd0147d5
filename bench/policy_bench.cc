// How long a decision takes, and how long making what decides.
#include <benchmark/benchmark.h>

#include <string>

#include "policy/acl.h"

namespace curfew::policy {
namespace {

enum class Shape { kExact, kPrefix, kSegments, kMixed };

std::string rule(Shape shape, int n) {
  const std::string id = std::to_string(n);
  switch (shape) {
    case Shape::kExact: return "secret/data/team-" + id + "/config";
    case Shape::kPrefix: return "secret/data/team-" + id + "/*";
    case Shape::kSegments: return "secret/+/team-" + id + "/+";
    case Shape::kMixed: break;
  }
  return rule(static_cast<Shape>(n % 3), n);
}

std::shared_ptr<const Policy> parsed(const std::string& text) {
  auto policy = parse_policy("bench", text);
  return policy ? std::make_shared<const Policy>(std::move(*policy)) : nullptr;
}

// So many rules, in policies of a thousand.
std::vector<std::shared_ptr<const Policy>> policies_of(Shape shape, int rules) {
  std::vector<std::shared_ptr<const Policy>> out;
  std::string text;
  for (int i = 0; i < rules; ++i) {
    text += "path \"" + rule(shape, i) + "\" { capabilities = [\"read\", \"list\"] }\n";
    if (i + 1 < rules && (i + 1) % 1000 != 0) continue;
    out.push_back(parsed(text));
    text.clear();
  }
  return out;
}

void check(benchmark::State& state, Shape shape, const Json* parameters = nullptr) {
  const auto rules = static_cast<int>(state.range(0));
  const Acl acl(policies_of(shape, rules), {}, {});
  std::vector<std::string> paths;
  for (int i = 0; i < 64; ++i)
    paths.push_back("secret/data/team-" + std::to_string(i * 37 % rules) + "/config");
  std::size_t next = 0;
  std::size_t allowed = 0;
  for (auto _ : state) {
    const Decision decision = acl.check({.operation = Operation::kRead,
                                         .path = paths[next++ % paths.size()],
                                         .parameters = parameters});
    allowed += decision.allowed ? 1 : 0;
    benchmark::DoNotOptimize(allowed);
  }
  if (allowed != static_cast<std::size_t>(state.iterations())) state.SkipWithError("not allowed");
}

void check_miss(benchmark::State& state) {
  const Acl acl(policies_of(Shape::kMixed, static_cast<int>(state.range(0))), {}, {});
  for (auto _ : state)
    benchmark::DoNotOptimize(
        acl.check({.operation = Operation::kList, .path = "secret/data/team-x/none/at/all/"})
            .allowed);
}

void check_parameters(benchmark::State& state) {
  const auto policy = parsed(R"(path "database/creds/+" {
    capabilities = ["update"]
    allowed_parameters = { ttl = ["5m", "10m"], purpose = [], ticket = ["INC-*"] }
    denied_parameters = { admin = [] }
    required_parameters = ["purpose"]
  })");
  const Acl acl({policy}, {}, {});
  const Json parameters = {{"ttl", "10m"}, {"purpose", "fix the report"}, {"ticket", "INC-42"}};
  for (auto _ : state) {
    const Decision decision = acl.check(
        {.operation = Operation::kUpdate, .path = "database/creds/ro", .parameters = &parameters});
    if (!decision.allowed) state.SkipWithError("not allowed");
  }
}

void build(benchmark::State& state) {
  const auto policies = policies_of(Shape::kMixed, static_cast<int>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(Acl(policies, {}, {}).is_root());
}

void parse(benchmark::State& state) {
  const std::string text = policies_of(Shape::kMixed, static_cast<int>(state.range(0)))[0]->text;
  for (auto _ : state) benchmark::DoNotOptimize(parse_policy("bench", text).has_value());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}

BENCHMARK_CAPTURE(check, exact, Shape::kExact)->Arg(10)->Arg(1000)->Arg(10'000);
BENCHMARK_CAPTURE(check, prefix, Shape::kPrefix)->Arg(10)->Arg(1000)->Arg(10'000);
BENCHMARK_CAPTURE(check, segments, Shape::kSegments)->Arg(10)->Arg(1000)->Arg(10'000);
BENCHMARK_CAPTURE(check, mixed, Shape::kMixed)->Arg(10)->Arg(1000)->Arg(10'000);
BENCHMARK(check_miss)->Arg(1000);
BENCHMARK(check_parameters);
BENCHMARK(build)->Arg(10)->Arg(1000);
BENCHMARK(parse)->Arg(10)->Arg(1000);

}  // namespace
}  // namespace curfew::policy
