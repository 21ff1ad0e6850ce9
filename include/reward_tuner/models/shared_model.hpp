// One model in memory for all rewards of a program that name the same folder.
#pragma once
#include <ATen/ops/empty.h>
#include <c10/core/Device.h>

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace reward_tuner {

/// `Model::load(folder)` on `device`, or the model that an earlier call has loaded from there and that somebody still
/// holds, by whatever path the folder and by whatever name the device was given ("cuda" is the current one of them).
/// Rewards of one model then share what they compute with it too (see rewards/shared_vectors.hpp).
/// Safe to call from several threads.
/// Example: `weighted_sum(weighted(1.0, ClipScoreReward(shared_model<ClipModel>("l14"))), weighted(0.1,
/// AestheticReward(head, shared_model<ClipModel>("l14"))))`.
template <class Model>
std::shared_ptr<const Model> shared_model(const std::filesystem::path& folder, at::Device device = at::kCPU) {
  static std::mutex mutex;
  static std::map<std::pair<std::string, std::string>, std::weak_ptr<const Model>> loaded;  // by folder and device
  const std::lock_guard lock(mutex);
  const at::Device place = at::empty({0}, device).device();  // with its index
  auto& known = loaded[{std::filesystem::weakly_canonical(folder).string(), place.str()}];
  if (const auto model = known.lock()) return model;
  const auto model = Model::load(folder);
  model->to(place);
  known = model;
  return model;
}

}  // namespace reward_tuner
