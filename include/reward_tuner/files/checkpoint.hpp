// Checkpoints of a run: whole folders that appear by one rename, so that a kill at any point leaves the one before
// usable.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// What a checkpoint holds. Loaded tensors are views of the mapped file: copy them into place.
struct Checkpoint {
  std::map<std::string, Tensor> tensors;            ///< parameters, moments, averages, states of random streams (uint8)
  nlohmann::json state = nlohmann::json::object();  ///< counters, options, versions
};

/// What `CheckpointFolder::load_newest` found.
struct NewestCheckpoint {
  std::optional<std::int64_t> update;  ///< of the newest checkpoint that can be read; nothing if none can
  Checkpoint checkpoint;               ///< its contents
  std::vector<std::int64_t> broken;    ///< newer ones that cannot, newest first
  std::vector<std::string> notes;      ///< a sentence for each of these
};

/// The points of `CheckpointFolder::save` between which a process may die; a test's hook is called at each.
enum class SaveStage {
  kBegun,    ///< the temporary folder exists and is empty
  kTensors,  ///< tensors.safetensors is written
  kState,    ///< state.json is written
  kInPlace,  ///< the folder has its final name
  kPruned,   ///< older checkpoints are gone
};

/// A folder with one sub-folder per checkpoint: update-000050/{tensors.safetensors, state.json}. state.json holds
/// checksums of itself, of the other file's header and of each tensor, which reading compares. Both are written into a
/// folder whose name begins with a dot and flushed; then that folder is renamed. What a killed process left behind
/// begins with a dot, is never read, and goes at the next save.
/// Example: CheckpointFolder checkpoints(run / "checkpoints", 2); checkpoints.save(50, checkpoint); auto last =
/// checkpoints.latest();
class CheckpointFolder {
 public:
  /// Keeps the `keep` newest checkpoints (>= 1). The folder is made at the first save.
  explicit CheckpointFolder(std::filesystem::path folder, int keep = 2);

  /// Writes the checkpoint of `update` and removes those beyond `keep`. If anything throws (full disk, read-only
  /// folder), the older ones are untouched.
  /// Errors: a usable checkpoint of this update is there already.
  void save(std::int64_t update, const Checkpoint& checkpoint, const std::function<void(SaveStage)>& hook = {}) const;

  /// Updates of the usable checkpoints, ascending; without one that the disk does not give back.
  std::vector<std::int64_t> updates() const;

  /// The newest usable one, or nothing.
  std::optional<std::int64_t> latest() const;

  /// Reads the checkpoint of `update`. Errors: none there, another format, files that do not belong together, a byte
  /// that is not as it was written: the error names the file, and the tensor.
  Checkpoint load(std::int64_t update) const;

  /// Reads the newest checkpoint that can be read: a truncated, incomplete or damaged one is skipped with a message.
  /// `check` may throw for contents that its caller cannot use; that checkpoint is skipped, too. Nothing on the disk
  /// changes.
  NewestCheckpoint load_newest(const std::function<void(const Checkpoint&)>& check = {}) const;

  /// Renames the checkpoint of `update` to broken-..., so that one of this update can be saved anew and the old one can
  /// be looked at.
  void set_aside(std::int64_t update) const;

  /// Where the checkpoint of `update` lies.
  std::filesystem::path path(std::int64_t update) const;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  static constexpr std::string_view kPrefix = "update-";
  static constexpr const char* kTensors = "tensors.safetensors";
  static constexpr const char* kState = "state.json";
  static constexpr int kFormat = 2;

  /// Updates of all folders with a checkpoint's name, usable or not, ascending.
  std::vector<std::int64_t> numbered() const;

  struct Unfinished {
    std::filesystem::path path;
    bool finished = false;
    ~Unfinished();
  };

  static bool usable(const std::filesystem::path& folder);

  /// Hides a checkpoint by one rename before its files are deleted one by one.
  void discard(const std::filesystem::path& checkpoint) const;

  void remove_leftovers() const;

  std::filesystem::path folder_;
  int keep_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/checkpoint.ipp>
#endif
