// The distribution reward over hues: the objects of a group's images should have evenly spread colors.
#pragma once
#include <ATen/ops/empty.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/parity.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/shapes/image_background.hpp>
#include <reward_tuner/shapes/image_loop.hpp>
#include <reward_tuner/shapes/shape_vocabulary.hpp>

namespace reward_tuner::shapes {

namespace detail {

/// HSV hue in degrees, [0,360); 0 for greys.
inline double hue_degrees(const Rgb& c) {
  const double r = c.red, g = c.green, b = c.blue, high = std::max({r, g, b}), spread = high - std::min({r, g, b});
  if (spread <= 0) return 0;
  const double sixth = high == r ? (g - b) / spread : high == g ? 2 + (b - r) / spread : 4 + (r - g) / spread;
  return std::fmod(60 * sixth + 360, 360.0);
}

inline double chroma(const Rgb& c) { return std::max({c.red, c.green, c.blue}) - std::min({c.red, c.green, c.blue}); }

}  // namespace detail

/// Classes by the hue of what stands out from the background: bin 0..bins-1 of equal width 360/bins degrees, or
/// kNoClass. Every pixel further than 0.2 from the fitted background (ImageBackground, as the shape detector's) votes
/// for its hue's bin with weight chroma x distance from the background, chroma = max - min of its channels; the bin
/// with most weight wins. So rims, which are mixtures, count little, and of two objects the larger and purer one
/// decides. kNoClass: those pixels are less than 0.5% of the image (at least 8), or their mean chroma, weighted by
/// distance, is below 0.15 (white). The bins are turned so that the color words fall cleanly: an edge lies in the
/// middle of the widest gap between the hues of kObjectColors (modulo a bin's width); bin 0 holds red. Four bins: 0
/// red, orange and yellow; 1 green; 2 cyan and blue; 3 purple; every word at least 18 degrees from an edge. Cost: 0.15
/// ms an image of 64 x 64 on one CPU core; images are copied to the CPU.
/// Errors: bins outside 2..24.
class HueBins {
 public:
  explicit HueBins(int bins = 4) : bins_(bins) {
    REWARD_TUNER_CHECK(bins >= 2 && bins <= 24, "[HueBins] expected 2 to 24 bins, got ", bins);
    const double width = 360.0 / bins;
    std::vector<double> hues;
    for (const NamedColor& color : kObjectColors)
      if (detail::chroma(color.rgb) > 0.15) hues.push_back(std::fmod(detail::hue_degrees(color.rgb), width));
    std::sort(hues.begin(), hues.end());
    double widest = -1;
    for (std::size_t i = 0; i < hues.size(); ++i) {
      const double gap = i + 1 < hues.size() ? hues[i + 1] - hues[i] : hues[0] + width - hues[i];
      if (gap > widest) widest = gap, edge_ = hues[i] + gap / 2;
    }
    while (edge_ > 0) edge_ -= width;  // red has hue 0: the bin that begins here holds it
  }

  int bins() const { return bins_; }
  /// Where bin 0 begins, in degrees, in (-360/bins, 0].
  double edge() const { return edge_; }
  /// The bin of a hue in degrees.
  int bin(double hue) const {
    return std::min(bins_ - 1, static_cast<int>(std::fmod(hue - edge_ + 360, 360.0) / (360.0 / bins_)));
  }

  /// Class of one image, a planar float buffer [3,height,width] in [0,1].
  std::int64_t operator()(const float* rgb, int height, int width) const {
    const detail::ImageBackground image(rgb, height, width);
    const std::vector<char> foreground = image.foreground();
    std::vector<double> votes(static_cast<std::size_t>(bins_));
    double total = 0, distances = 0;
    int pixels = 0;
    for (int p = 0; p < height * width; ++p) {
      if (!foreground[static_cast<std::size_t>(p)]) continue;
      const Rgb here = image.pixel(p), back = image.background(p);
      const double distance = std::hypot(here.red - back.red, here.green - back.green, here.blue - back.blue),
                   weight = detail::chroma(here) * distance;
      votes[static_cast<std::size_t>(bin(detail::hue_degrees(here)))] += weight;
      total += weight, distances += distance, ++pixels;
    }
    if (pixels < std::max(8, height * width / 200) || total < 0.15 * distances) return kNoClass;
    return std::max_element(votes.begin(), votes.end()) - votes.begin();
  }

  /// Classes [B], int64 on the CPU, of images [B,3,H,W], clamped to [0,1].
  Tensor operator()(const Tensor& images) const {
    const Tensor classes = at::empty({images.size(0)}, at::kLong);  // [B]
    detail::for_each_image(images, [&](std::int64_t i, const float* rgb, int height, int width) {
      classes.data_ptr<std::int64_t>()[i] = (*this)(rgb, height, width);
    });
    return classes;
  }

 private:
  int bins_;
  double edge_ = 0;
};

/// Options of HueParityReward.
struct HueParityOptions {
  int bins = 4;                ///< A, the number of hue bins, 2 to 24
  bool leave_one_out = false;  ///< as ParityOptions
};
REWARD_TUNER_FIELDS(HueParityOptions, bins, leave_one_out);

/// ParityReward over HueBins: the objects of a group's images should have evenly spread hues. For prompts that leave
/// the color open.
class HueParityReward {
 public:
  using Role = RewardRole;
  using Options = HueParityOptions;
  static constexpr bool kDifferentiable = false;
  static constexpr bool kPerGroup = true;
  static constexpr std::string_view kName = "hue_parity";

  explicit HueParityReward(HueParityOptions options = {})
      : options_(options), parity_(options.bins, HueBins(options.bins), {options.leave_one_out}) {}

  const HueParityOptions& options() const { return options_; }

  /// See ParityReward and HueBins.
  RewardResult score(const RewardInput& input) const { return parity_.score(input); }

 private:
  HueParityOptions options_;
  ParityReward<HueBins> parity_;
};
static_assert(RewardPolicy<ParityReward<HueBins>>);
static_assert(RewardPolicy<HueParityReward>);

}  // namespace reward_tuner::shapes
