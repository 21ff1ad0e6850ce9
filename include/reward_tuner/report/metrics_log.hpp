// metrics.jsonl: one JSON object a line and an update, flushed at once, and cut back to a checkpoint when a run
// resumes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/atomic_file.hpp>

namespace reward_tuner {

/// A file of JSON lines, each an object with a whole number "update". An existing file is continued, so a resumed run
/// keeps its history; a last line that a crash left torn is removed when the file is opened (`removed_bytes` says how
/// much).
/// Example: MetricsLog log(run / "metrics.jsonl"); log.append({{"update", 3}, {"reward", 0.5}});
class MetricsLog {
 public:
  /// Opens or creates the file. Errors: its folder is missing or not writable; a line before the last is not such an
  /// object.
  explicit MetricsLog(std::filesystem::path path) : path_(std::move(path)) {
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

  /// Writes one line and flushes it. `record` must be an object with a whole number "update". Numbers that are not
  /// finite become null.
  void append(const nlohmann::json& record) {
    REWARD_TUNER_CHECK(is_record(record), "[MetricsLog] expected an object with a whole number \"update\", got ",
                       shortened(dump(record)));
    file_ << dump(record) + "\n" << std::flush;
    REWARD_TUNER_CHECK(file_.good(), "[MetricsLog] expected to append a line to ", path_,
                       ", got a write error (disk full or read-only?)");
  }

  /// Removes every line whose "update" is above `update`; the other lines stay byte for byte. Call it with the
  /// checkpoint's update on resume.
  void truncate_after(std::int64_t update) {
    const std::string text = read();
    const std::string kept = complete_lines(text, update);
    if (kept == text) return;
    file_.close();
    write_file_atomically(path_, kept);
    open();  // the old descriptor points at the replaced file
  }

  /// Bytes of a torn last line that opening removed; 0 when the file was whole.
  std::size_t removed_bytes() const { return removed_bytes_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  static bool is_record(const nlohmann::json& record) {
    return record.is_object() && record.contains("update") && record.at("update").is_number_integer();
  }

  static std::string shortened(std::string_view text) {
    return std::string(text.substr(0, 80)) + (text.size() > 80 ? ".." : "");
  }

  static std::string dump(const nlohmann::json& record) {
    // a prompt with broken UTF-8 must not end a run
    return record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  /// The lines of `text` up to and including `last_update`. A last line without newline is kept (and completed) only if
  /// it is whole.
  std::string complete_lines(const std::string& text, std::int64_t last_update) const {
    std::string kept;
    std::size_t number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
      ++number;
      const std::size_t newline = text.find('\n', begin);
      const bool last = newline == std::string::npos || newline + 1 == text.size();
      const std::string line = text.substr(begin, newline == std::string::npos ? std::string::npos : newline - begin);
      const nlohmann::json record = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
      const bool whole = is_record(record);
      REWARD_TUNER_CHECK(whole || last, "[MetricsLog] expected an object with a whole number \"update\" in line ",
                         number, " of ", path_, ", got ", shortened(line));
      if (whole && record.at("update").get<std::int64_t>() <= last_update) kept += line + "\n";
      if (newline == std::string::npos) break;
      begin = newline + 1;
    }
    return kept;
  }

  std::string read() const {
    std::ifstream file(path_, std::ios::binary);
    REWARD_TUNER_CHECK(file.is_open(), "[MetricsLog] expected to read ", path_, ", got that it cannot be opened");
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  void open() {
    file_.open(path_, std::ios::binary | std::ios::app);
    REWARD_TUNER_CHECK(file_.is_open(), "[MetricsLog] expected to append to ", path_,
                       ", got that it cannot be opened (missing folder, no permission?)");
  }

  std::filesystem::path path_;
  std::ofstream file_;
  std::size_t removed_bytes_ = 0;
};

}  // namespace reward_tuner
