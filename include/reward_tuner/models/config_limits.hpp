// The largest sizes that a network's config.json may ask for: a damaged or hostile file is refused by name before
// anything is allocated.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace reward_tuner {

/// Several times what any published Stable Diffusion, VAE or CLIP model has.
struct ConfigLimits {
  static constexpr std::int64_t kLevels = 16;     ///< resolutions of a UNet or a VAE
  static constexpr std::int64_t kLayers = 256;    ///< layers of one level or of a transformer
  static constexpr std::int64_t kWidth = 16384;   ///< channels, features, heads
  static constexpr std::int64_t kRows = 1 << 20;  ///< tokens of a vocabulary, positions of a sequence
  static constexpr std::int64_t kSide = 4096;     ///< pixels of an image's side that a network is built for
  static constexpr std::int64_t kKernel = 31;     ///< side of a convolution
};

namespace detail {

void check_at_most(const std::string& where, const char* key, std::initializer_list<std::int64_t> values,
                   std::int64_t most);
void check_at_most(const std::string& where, const char* key, const std::vector<std::int64_t>& values,
                   std::int64_t most);

}  // namespace detail
}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/config_limits.ipp>
#endif
