// The folder of a run: made or reopened, and locked, so that two programs never write into one.
#pragma once
#include <filesystem>

#include <reward_tuner/files/atomic_file.hpp>

namespace reward_tuner {

/// Holds {config.json, metrics.jsonl, evaluations.jsonl, timings.jsonl, events, images/, checkpoints/, lora/,
/// report.json, ...} of one run.
class RunFolder {
 public:
  /// Whether `create` would do, before the work that comes first. Makes nothing. Errors: not empty, cannot be made,
  /// read-only.
  static void check_new(const std::filesystem::path& path);

  /// A new folder, or an empty one. Errors: those of check_new; another program is in it.
  static RunFolder create(const std::filesystem::path& path);

  /// The folder of an earlier run. Errors: none there, read-only, another program is in it.
  static RunFolder reopen(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

 private:
  explicit RunFolder(std::filesystem::path path);

  std::filesystem::path path_;
  detail::FileDescriptor lock_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/run_folder.ipp>
#endif
