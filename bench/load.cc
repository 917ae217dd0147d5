#include "bench/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <thread>

namespace curfew::bench {
namespace {

using Clock = std::chrono::steady_clock;

double millis(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

double at_part(const std::vector<double>& sorted, double part) {
  if (sorted.empty()) return 0;
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(last * part)];
}

}  // namespace

void fail(const std::string& message) {
  std::cerr << "benchmark: " << message << std::endl;
  std::exit(1);
}

Timings run_load(int clients, int count, const std::function<void(int client, int n)>& operation) {
  std::atomic<int> next{0};
  std::vector<std::vector<double>> times(static_cast<std::size_t>(clients));
  std::vector<std::thread> threads;
  const auto began = Clock::now();
  for (int client = 0; client < clients; ++client) {
    threads.emplace_back([&, client] {
      for (int n = next++; n < count; n = next++) {
        const auto start = Clock::now();
        operation(client, n);
        times[static_cast<std::size_t>(client)].push_back(millis(Clock::now() - start));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double whole = millis(Clock::now() - began);
  std::vector<double> all;
  for (const auto& of_client : times) all.insert(all.end(), of_client.begin(), of_client.end());
  std::sort(all.begin(), all.end());
  return {count / whole * 1000, at_part(all, 0.5), at_part(all, 0.99)};
}

Timings median(std::vector<Timings> runs) {
  std::sort(runs.begin(), runs.end(),
            [](const Timings& a, const Timings& b) { return a.per_second < b.per_second; });
  return runs.at(runs.size() / 2);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.at(values.size() / 2);
}

void add_row(const std::string& what, const std::string& result) {
  const std::string line = fmt::format("{:<52} {}", what, result);
  std::cout << line << std::endl;
  const std::string table = environment("CURFEW_BENCH_TABLE", "");
  if (!table.empty()) std::ofstream(table, std::ios::app) << line << "\n";
}

std::string text_of(const Timings& timings) {
  return fmt::format("{:7.0f} /s  p50 {:6.2f} ms  p99 {:6.2f} ms", timings.per_second,
                     timings.p50_ms, timings.p99_ms);
}

std::string environment(const char* name, const std::string& fallback) {
  const char* value = std::getenv(name);
  return value == nullptr ? fallback : value;
}

}  // namespace curfew::bench
