// metrics.jsonl: one JSON object per update and line, flushed immediately, and truncated to the checkpoint when a run
// resumes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

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
  explicit MetricsLog(std::filesystem::path path);

  /// Writes one line and flushes it. `record` must be an object with a whole number "update". Numbers that are not
  /// finite become null.
  void append(const nlohmann::json& record);

  /// Removes every line whose "update" is above `update`; the other lines stay byte for byte. Call it with the
  /// checkpoint's update on resume.
  void truncate_after(std::int64_t update);

  /// Bytes of a torn last line that opening removed; 0 when the file was whole.
  std::size_t removed_bytes() const { return removed_bytes_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  static bool is_record(const nlohmann::json& record);

  static std::string shortened(std::string_view text);

  static std::string dump(const nlohmann::json& record);

  /// The lines of `text` up to and including `last_update`. A last line without newline is kept (and completed) only if
  /// it is whole.
  std::string complete_lines(const std::string& text, std::int64_t last_update) const;

  std::string read() const;

  void open();

  std::filesystem::path path_;
  detail::FileDescriptor file_;
  std::size_t removed_bytes_ = 0;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/report/metrics_log.ipp>
#endif
