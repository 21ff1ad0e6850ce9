// Definitions of chrome_trace.hpp.
#pragma once
#include <reward_tuner/report/chrome_trace.hpp>

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/atomic_file.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE void write_chrome_trace(const std::filesystem::path& file, const std::vector<TraceEvent>& events) {
  std::vector<TraceEvent> ordered = events;
  std::stable_sort(ordered.begin(), ordered.end(), [](const TraceEvent& a, const TraceEvent& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.depth < b.depth;
  });
  const double origin = ordered.empty() ? 0 : ordered.front().begin;
  nlohmann::json list = nlohmann::json::array();
  for (const TraceEvent& event : ordered) {
    nlohmann::json one{
        {"name", event.name},        {"ph", "X"}, {"pid", 1}, {"tid", 1}, {"ts", 1e6 * (event.begin - origin)},
        {"dur", 1e6 * event.seconds}};
    if (event.rows > 0) one["args"] = {{"rows", event.rows}};
    list.push_back(std::move(one));
  }
  write_file_atomically(file,
                        nlohmann::json{{"displayTimeUnit", "ms"}, {"traceEvents", std::move(list)}}.dump() + "\n");
}

}  // namespace reward_tuner
