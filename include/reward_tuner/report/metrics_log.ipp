// Definitions of metrics_log.hpp.
#pragma once
#include <reward_tuner/report/metrics_log.hpp>

#include <fcntl.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/file_bytes.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE MetricsLog::MetricsLog(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code ignored;
  REWARD_TUNER_CHECK(!std::filesystem::is_directory(path_, ignored), "[MetricsLog] expected a file, got a folder at ",
                     path_);
  if (std::filesystem::exists(path_, ignored)) {
    const std::string text = read();
    std::string kept = complete_lines(text, INT64_MAX);
    removed_bytes_ = text.size() > kept.size() ? text.size() - kept.size() : 0;
    if (kept != text) write_file_atomically(path_, kept);
  }
  open();
}

REWARD_TUNER_INLINE void MetricsLog::append(const nlohmann::json& record) {
  REWARD_TUNER_CHECK(is_record(record), "[MetricsLog] expected an object with a whole number \"update\", got ",
                     shortened(dump(record)));
  const int failed = detail::write_all(file_.get(), dump(record) + "\n");
  REWARD_TUNER_CHECK(failed == 0, "[MetricsLog] expected to append a line to ", path_,
                     ", got: ", std::generic_category().message(failed));
}

REWARD_TUNER_INLINE void MetricsLog::truncate_after(std::int64_t update) {
  const std::string text = read();
  const std::string kept = complete_lines(text, update);
  if (kept == text) return;
  file_.close();
  write_file_atomically(path_, kept);
  open();  // the old descriptor points at the replaced file
}

REWARD_TUNER_INLINE bool MetricsLog::is_record(const nlohmann::json& record) {
  return record.is_object() && record.contains("update") && record.at("update").is_number_integer();
}

REWARD_TUNER_INLINE std::string MetricsLog::shortened(std::string_view text) {
  return std::string(text.substr(0, 80)) + (text.size() > 80 ? ".." : "");
}

REWARD_TUNER_INLINE std::string MetricsLog::dump(const nlohmann::json& record) {
  // a prompt with malformed UTF-8 must not end a run
  return record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

REWARD_TUNER_INLINE std::string MetricsLog::complete_lines(const std::string& text, std::int64_t last_update) const {
  std::string kept;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    ++number;
    const std::size_t newline = text.find('\n', begin);
    const bool last = newline == std::string::npos || newline + 1 == text.size();
    const std::string line = text.substr(begin, newline == std::string::npos ? std::string::npos : newline - begin);
    const nlohmann::json record = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const bool whole = is_record(record);
    REWARD_TUNER_CHECK(whole || last, "[MetricsLog] expected an object with a whole number \"update\" in line ", number,
                       " of ", path_, ", got ", shortened(line));
    if (whole && record.at("update").get<std::int64_t>() <= last_update) kept += line + "\n";
    if (newline == std::string::npos) break;
    begin = newline + 1;
  }
  return kept;
}

REWARD_TUNER_INLINE std::string MetricsLog::read() const { return read_bytes(path_); }

REWARD_TUNER_INLINE void MetricsLog::open() {
  file_ = detail::FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  REWARD_TUNER_CHECK(file_.is_open(), "[MetricsLog] expected to append to ", path_,
                     ", got: ", std::generic_category().message(errno));
}

}  // namespace reward_tuner
