// The distribution reward: pictures of a group should fall evenly into classes. Scores groups, not pictures.
#pragma once
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/picture_background.hpp>
#include <reward_tuner/rewards/picture_loop.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/shape_vocabulary.hpp>

namespace reward_tuner {

/// What a classifier answers for a picture that belongs to no class (nothing to classify in it).
inline constexpr std::int64_t kNoClass = -1;

/// Statistical parity sqrt(sum_a (f_a - 1/A)^2) of the class frequencies f = counts / sum(counts), LSRL paper Eq. 12: 0
/// for even counts, sqrt(1 - 1/A) if all fall into one class. `outside` pictures belong to no class: they count for the
/// fullest one, so that a picture with nothing in it never makes a group look more even. Errors: less than two classes,
/// negative counts, no picture at all.
inline double statistical_parity(const std::vector<std::int64_t>& counts, std::int64_t outside = 0) {
  REWARD_TUNER_CHECK(counts.size() >= 2, "[statistical_parity] wanted at least two classes, found ", counts.size());
  REWARD_TUNER_CHECK(outside >= 0, "[statistical_parity] wanted counts >= 0, found ", outside);
  std::int64_t total = outside;
  for (const std::int64_t count : counts) {
    REWARD_TUNER_CHECK(count >= 0, "[statistical_parity] wanted counts >= 0, found ", count);
    total += count;
  }
  REWARD_TUNER_CHECK(total > 0, "[statistical_parity] wanted at least one picture, found none");
  const auto fullest = static_cast<std::size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin());
  const double even = 1.0 / static_cast<double>(counts.size());
  double sum = 0;
  for (std::size_t a = 0; a < counts.size(); ++a) {
    const double off =
        static_cast<double>(counts[a] + (a == fullest ? outside : 0)) / static_cast<double>(total) - even;
    sum += off * off;
  }
  return std::sqrt(sum);
}

/// Options of ParityReward.
struct ParityOptions {
  /// r_i = R(all) - R(all without i) instead of R(all) for all: says which picture helped; ours, not the paper's
  bool leave_one_out = false;
};

/// Distribution reward, LSRL paper Eq. 12: with the class frequencies f of a group over A classes, every member gets
/// r = -||f - 1/A||_2, in [-sqrt(1 - 1/A), 0]. Equal within a group: normalise it across groups, per group every
/// advantage is 0. Even the perfectly uniform model has r < 0 on groups of M pictures: -0.1996 on average for A = 4, M
/// = 16. With options.leave_one_out r_i = R(group) - R(group without i); 0 in a group of one.
/// Groups are RewardInput::group_ids, int64 [B]; undefined: all pictures are one group. The classifier is any const
/// callable `(const Tensor& images [B,3,H,W]) -> int64 Tensor [B]` of class ids 0..A-1, or kNoClass for pictures with
/// nothing to classify, which count for their group's fullest class. It runs without grad; a black box.
/// Components [B]: "statistical_parity" (Eq. 12 of the picture's group with positive sign, lower is better),
/// "unclassified" (1 for kNoClass).
/// Errors: less than two classes; class ids out of range; group ids or class ids that are not int64 [B]. Make one by
/// `parity(A, classifier)`.
template <class Classifier>
class ParityReward {
  static_assert(std::is_invocable_r_v<Tensor, const Classifier&, const Tensor&>,
                "[ParityReward] wanted a const callable (const Tensor& images) -> Tensor of int64 class ids [B]");

 public:
  using Role = RewardRole;
  using Options = ParityOptions;
  static constexpr bool kDifferentiable = false;
  static constexpr bool kPerGroup = true;
  static constexpr std::string_view kName = "parity";

  ParityReward(int num_classes, Classifier classifier, ParityOptions options = {})
      : classes_(num_classes), classifier_(std::move(classifier)), options_(options) {
    REWARD_TUNER_CHECK(num_classes >= 2, "[ParityReward] wanted at least two classes, found ", num_classes);
  }

  int num_classes() const { return classes_; }
  const ParityOptions& options() const { return options_; }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "ParityReward");
    const at::NoGradGuard no_grad;
    const Tensor images = input.images.detach();  // [B,3,H,W]
    const std::int64_t batch = images.size(0);
    const std::vector<std::int64_t> classes = numbers(classifier_(images), batch, "class ids");
    const std::vector<std::int64_t> groups = input.group_ids.defined() ? numbers(input.group_ids, batch, "group ids")
                                                                       : std::vector<std::int64_t>(classes.size(), 0);
    std::map<std::int64_t, Group> counted;
    for (std::size_t i = 0; i < classes.size(); ++i) {
      REWARD_TUNER_CHECK(classes[i] >= kNoClass && classes[i] < classes_, "[ParityReward] wanted class ids in 0..",
                         classes_ - 1, ", or ", kNoClass, " for no class, found ", classes[i], " for picture ", i);
      Group& group =
          counted.try_emplace(groups[i], Group{std::vector<std::int64_t>(static_cast<std::size_t>(classes_))})
              .first->second;
      ++group.slot(classes[i]);
      ++group.size;
    }
    std::vector<double> values, distances, outside;
    for (std::size_t i = 0; i < classes.size(); ++i) {
      Group& group = counted.at(groups[i]);
      const double whole = statistical_parity(group.counts, group.outside);
      double value = -whole;
      if (options_.leave_one_out) {
        --group.slot(classes[i]);
        value = group.size == 1 ? 0 : statistical_parity(group.counts, group.outside) - whole;
        ++group.slot(classes[i]);
      }
      values.push_back(value);
      distances.push_back(whole);
      outside.push_back(classes[i] == kNoClass);
    }
    const auto out = [&](const std::vector<double>& list) {
      return at::tensor(at::ArrayRef<double>(list), at::kDouble).to(images.options());  // [B]
    };
    return {out(values), {{"statistical_parity", out(distances)}, {"unclassified", out(outside)}}};
  }

 private:
  struct Group {
    std::vector<std::int64_t> counts;
    std::int64_t outside = 0, size = 0;
    std::int64_t& slot(std::int64_t id) { return id == kNoClass ? outside : counts[static_cast<std::size_t>(id)]; }
  };

  static std::vector<std::int64_t> numbers(const Tensor& ids, std::int64_t batch, const char* what) {
    REWARD_TUNER_CHECK(ids.defined() && ids.dim() == 1 && ids.size(0) == batch && ids.scalar_type() == at::kLong,
                       "[ParityReward] wanted ", what, " int64 [B] with B = ", batch, ", found ",
                       ids.defined() ? ids.dtype().name() : "an undefined tensor", " of shape ",
                       ids.defined() ? ids.sizes() : at::IntArrayRef());
    const Tensor here = ids.to(at::kCPU).contiguous();  // [B]
    return {here.const_data_ptr<std::int64_t>(), here.const_data_ptr<std::int64_t>() + batch};
  }

  int classes_;
  Classifier classifier_;
  ParityOptions options_;
};

/// Distribution reward over the classes 0..num_classes-1 that `classifier` tells apart.
/// Example: `parity(2, [](const Tensor& images) { return (images.mean({1, 2, 3}) > 0.5).to(at::kLong); })`.
template <class Classifier>
ParityReward<Classifier> parity(int num_classes, Classifier classifier, ParityOptions options = {}) {
  return ParityReward<Classifier>(num_classes, std::move(classifier), options);
}

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
/// kNoClass. Every pixel further than 0.2 from the fitted background (PictureBackground, as the shape detector's) votes
/// for its hue's bin with weight chroma x distance from the background, chroma = max - min of its channels; the bin
/// with most weight wins. So rims, which are mixtures, count little, and of two objects the larger and purer one
/// decides. kNoClass: those pixels are less than 0.5% of the picture (at least 8), or their mean chroma, weighted by
/// distance, is below 0.15 (white). The bins are turned so that the colour words fall cleanly: an edge lies in the
/// middle of the widest gap between the hues of kObjectColours (modulo a bin's width); bin 0 holds red. Four bins: 0
/// red, orange and yellow; 1 green; 2 cyan and blue; 3 purple; every word at least 18 degrees from an edge. Cost: 0.15
/// ms a picture of 64 x 64 on one CPU core; pictures are copied to the CPU.
/// Errors: bins outside 2..24.
class HueBins {
 public:
  explicit HueBins(int bins = 4) : bins_(bins) {
    REWARD_TUNER_CHECK(bins >= 2 && bins <= 24, "[HueBins] wanted 2 to 24 bins, found ", bins);
    const double width = 360.0 / bins;
    std::vector<double> hues;
    for (const NamedColour& colour : kObjectColours)
      if (detail::chroma(colour.rgb) > 0.15) hues.push_back(std::fmod(detail::hue_degrees(colour.rgb), width));
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

  /// Class of one picture, a planar float buffer [3,height,width] in [0,1].
  std::int64_t operator()(const float* rgb, int height, int width) const {
    const detail::PictureBackground picture(rgb, height, width);
    const std::vector<char> foreground = picture.foreground();
    std::vector<double> votes(static_cast<std::size_t>(bins_));
    double total = 0, distances = 0;
    int pixels = 0;
    for (int p = 0; p < height * width; ++p) {
      if (!foreground[static_cast<std::size_t>(p)]) continue;
      const Rgb here = picture.pixel(p), back = picture.background(p);
      const double distance = std::hypot(here.red - back.red, here.green - back.green, here.blue - back.blue),
                   weight = detail::chroma(here) * distance;
      votes[static_cast<std::size_t>(bin(detail::hue_degrees(here)))] += weight;
      total += weight, distances += distance, ++pixels;
    }
    if (pixels < std::max(8, height * width / 200) || total < 0.15 * distances) return kNoClass;
    return std::max_element(votes.begin(), votes.end()) - votes.begin();
  }

  /// Classes [B], int64 on the CPU, of pictures [B,3,H,W], clamped to [0,1].
  Tensor operator()(const Tensor& images) const {
    const Tensor classes = at::empty({images.size(0)}, at::kLong);  // [B]
    detail::for_each_picture(images, [&](std::int64_t i, const float* rgb, int height, int width) {
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

/// ParityReward over HueBins: the objects of a group's pictures should have evenly spread hues. For prompts that leave
/// the colour open.
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

}  // namespace reward_tuner
