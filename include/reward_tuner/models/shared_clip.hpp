// One CLIP in memory for all rewards of a program that name the same folder.
#pragma once
#include <c10/core/Device.h>

#include <filesystem>
#include <memory>

#include <reward_tuner/models/clip.hpp>

namespace reward_tuner {

/// `ClipModel::load(folder)` on `device`, or the model that an earlier call has loaded from there and that somebody
/// still holds, by whatever path it was named. Its rewards then share its vectors too (see rewards/clip_vectors.hpp).
/// Safe to call from several threads.
/// Example: `weighted_sum(weighted(1.0, ClipScoreReward(shared_clip("l14"))), weighted(0.1, AestheticReward(head,
/// shared_clip("l14"))))`.
std::shared_ptr<const ClipModel> shared_clip(const std::filesystem::path& folder, at::Device device = at::kCPU);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/shared_clip.ipp>
#endif
