// What several rewards compute of the same images, computed once: the vectors of a tower that they share.
#pragma once
#include <c10/core/InferenceMode.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// How often rewards have asked SharedVectors for a tower to run on images, and how often it did not have to.
struct TowerCounts {
  std::int64_t computed = 0;  ///< batches of images that went through a tower
  std::int64_t shared = 0;    ///< vectors that a reward took from another of the same input
  void add(const TowerCounts& other) {
    computed += other.computed;
    shared += other.shared;
  }
};

/// The vectors that rewards have computed of one RewardInput, and of copies of it with other images. They live as long
/// as the input does. Not for several threads at once.
class SharedVectors {
 public:
  /// What vectors are of. Equal keys mean equal vectors.
  struct Key {
    std::shared_ptr<const void> model;  ///< whose weights
    Tensor images = {};                 ///< the same tensor, not only equal numbers; undefined for texts
    std::vector<std::string> prompts = {};
    std::string preprocessing = {};
    bool operator==(const Key& other) const {
      return model == other.model && images.is_same(other.images) && prompts == other.prompts &&
             preprocessing == other.preprocessing;
    }
  };

  /// The vectors of `key`: those that are there, else `compute()`, which is kept. Vectors that were computed without
  /// gradients are not given to a caller with gradients, or the reverse; nor are those of inference mode outside of it,
  /// where autograd refuses them; nor those of images that were written to since, or of images that do not tell, having
  /// been made under inference mode.
  template <class Compute>
  Tensor get(Key key, Compute compute) {
    const bool grad = at::GradMode::is_enabled(), of_images = key.images.defined();
    const bool inference = c10::InferenceMode::is_enabled();
    const auto found = std::ranges::find_if(entries_, [&](const Entry& entry) {
      return entry.grad == grad && (inference || !entry.vectors.is_inference()) && entry.key == key &&
             (!of_images || entry.version == version(key.images));
    });
    if (found != entries_.end()) {
      counts_.shared += of_images ? 1 : 0;
      return found->vectors;
    }
    Tensor vectors = compute();
    counts_.computed += of_images ? 1 : 0;
    if (of_images && key.images.is_inference()) return vectors;
    const std::int64_t seen = of_images ? version(key.images) : 0;
    entries_.push_back({std::move(key), grad, seen, vectors});
    return vectors;
  }

  /// Of images; texts are not counted.
  const TowerCounts& counts() const { return counts_; }

 private:
  struct Entry {
    Key key;
    bool grad;
    std::int64_t version;  // of the images when they were computed
    Tensor vectors;
  };
  static std::int64_t version(const Tensor& images) { return static_cast<std::int64_t>(images._version()); }

  std::vector<Entry> entries_;
  TowerCounts counts_;
};

}  // namespace reward_tuner
