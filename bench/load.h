#pragma once

#include <functional>
#include <string>
#include <vector>

// What the benchmarks that run whole programs share: timing, the table, failing.
namespace curfew::bench {

// Ends the program with a message: a benchmark that fails has no result.
[[noreturn]] void fail(const std::string& message);

struct Timings {
  double per_second = 0;
  double p50_ms = 0;
  double p99_ms = 0;
};

// Runs operation(client, n) for n = 0 … count - 1, spread over so many clients, each a thread that
// asks for the next n when it is done with one.
Timings run_load(int clients, int count, const std::function<void(int client, int n)>& operation);

// The middle one by rate.
Timings median(std::vector<Timings> runs);
double median(std::vector<double> values);

// Prints a line of the result and, where CURFEW_BENCH_TABLE names a file, appends it there, so that
// one table can be shown at the end of all programs.
void add_row(const std::string& what, const std::string& result);

// "812 /s, p50 1.10 ms, p99 2.31 ms"
std::string text_of(const Timings& timings);

// The value of a variable of the environment, or `fallback`.
std::string environment(const char* name, const std::string& fallback);

}  // namespace curfew::bench
