// The main function of the Google Benchmark programs, and one timed call each.
#pragma once
#include <benchmark/benchmark.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <benchmarks/setting.hpp>
#include <reward_tuner/tensor/memory_meter.hpp>

namespace bench {

/// Registers `once`, a whole update: run untimed before the first repetition, then once a repetition. `before` and
/// `after` run untimed around each. `once` must leave the clock alone: the first run has none.
inline void add_update(
    const Settings& s, const std::string& name, std::function<void()> before,
    std::function<void(benchmark::State&)> once,
    std::function<void(benchmark::State&)> after = [](benchmark::State&) {}) {
  const auto warm = std::make_shared<bool>(false);
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) {
                                 if (!*warm && s.repetitions > 1) {
                                   before();
                                   once(state);
                                   *warm = true;
                                 }
                                 for (auto _ : state) {
                                   state.PauseTiming();
                                   before();
                                   state.ResumeTiming();
                                   once(state);
                                   state.PauseTiming();
                                   after(state);
                                   state.ResumeTiming();
                                 }
                               })
      ->Iterations(1)
      ->Repetitions(s.repetitions)
      ->ReportAggregatesOnly(s.repetitions > 1)
      ->MeasureProcessCPUTime()
      ->Unit(benchmark::kMillisecond);
}

/// Registers something short: repeated until it has run for Google Benchmark's own least time, `--benchmark_min_time`.
/// What `scope` returns lives while it is measured. Reports the peak of tensor bytes of the first run, which is not
/// timed.
template <class Scope = int (*)()>
void add_block(const Settings& s, const std::string& name, std::function<void()> once, Scope scope = [] { return 0; }) {
  const auto peak = std::make_shared<std::optional<std::int64_t>>();
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) {
                                 [[maybe_unused]] const auto held = scope();
                                 if (!*peak) {
                                   const rt::MemoryMeter meter;
                                   once();
                                   *peak = meter.peak_bytes();
                                 }
                                 state.counters["peak_tensor_bytes"] = static_cast<double>(**peak);
                                 for (auto _ : state) once();
                               })
      ->Repetitions(s.repetitions)
      ->ReportAggregatesOnly(s.repetitions > 1)
      ->MeasureProcessCPUTime()
      ->Unit(benchmark::kMillisecond);
}

/// Reads our options, leaves the rest to Google Benchmark, registers and runs.
inline int run_google(int argc, char** argv, const char* description,
                      const std::function<void(const Settings&)>& registration) {
  try {
    Settings s;
    CLI::App app(description);
    app.allow_extras();
    app.footer(
        "All options of Google Benchmark are understood too: --benchmark_filter=REGEX, --benchmark_out=FILE, "
        "--benchmark_min_time=SECONDS ...");
    s.add_to(app);
    app.add_option("--repetitions", s.repetitions,
                   "of each measurement; the median is what counts. 1: no warm-up either")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    prepare_process(s.threads);
    std::vector<std::string> rest = app.remaining();
    rest.insert(rest.begin(), argv[0]);
    std::vector<char*> pointers;
    for (std::string& word : rest) pointers.push_back(word.data());
    int count = static_cast<int>(pointers.size());
    for (const auto& [name, value] : context(s)) benchmark::AddCustomContext(name, value);
    benchmark::Initialize(&count, pointers.data());
    if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 1;
    registration(s);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
  } catch (const std::exception& problem) {
    std::cerr << "error: " << problem.what() << '\n';
  }
  return 1;
}

}  // namespace bench
