// Definitions of shared_clip.hpp.
#pragma once
#include <reward_tuner/models/shared_clip.hpp>

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::shared_ptr<const ClipModel> shared_clip(const std::filesystem::path& folder,
                                                                 at::Device device) {
  static std::mutex mutex;
  static std::map<std::pair<std::string, std::string>, std::weak_ptr<const ClipModel>> loaded;  // by folder and device
  const std::lock_guard lock(mutex);
  auto& known = loaded[{std::filesystem::weakly_canonical(folder).string(), device.str()}];
  if (const auto clip = known.lock()) return clip;
  const auto clip = ClipModel::load(folder);
  clip->to(device);
  known = clip;
  return clip;
}

}  // namespace reward_tuner
