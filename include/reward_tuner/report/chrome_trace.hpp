// Spans of time as a file for chrome://tracing and Perfetto.
#pragma once
#include <filesystem>
#include <vector>

#include <reward_tuner/tensor/stage_clock.hpp>

namespace reward_tuner {

/// Writes "complete" events ("ph": "X") in microseconds since the first span began, in the order of their begins; a
/// span of several rows has them in its arguments.
/// Errors: the file cannot be written.
void write_chrome_trace(const std::filesystem::path& file, const std::vector<TraceEvent>& events);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/report/chrome_trace.ipp>
#endif
