// The distribution reward: images of a group should fall evenly into classes. Scores groups, not images.
#pragma once
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
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/per_image.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

/// The classifier's result for an image that belongs to no class (nothing to classify in it).
inline constexpr std::int64_t kNoClass = -1;

/// Statistical parity sqrt(sum_a (f_a - 1/A)^2) of the class frequencies f = counts / sum(counts), LSRL paper Eq. 12: 0
/// for even counts, sqrt(1 - 1/A) if all fall into one class. `outside` images belong to no class: they count for the
/// fullest one, so that an image with nothing in it never makes a group look more even. Errors: less than two classes,
/// negative counts, no image at all.
inline double statistical_parity(const std::vector<std::int64_t>& counts, std::int64_t outside = 0) {
  REWARD_TUNER_CHECK(counts.size() >= 2, "[statistical_parity] expected at least two classes, got ", counts.size());
  REWARD_TUNER_CHECK(outside >= 0, "[statistical_parity] expected counts >= 0, got ", outside);
  std::int64_t total = outside;
  for (const std::int64_t count : counts) {
    REWARD_TUNER_CHECK(count >= 0, "[statistical_parity] expected counts >= 0, got ", count);
    total += count;
  }
  REWARD_TUNER_CHECK(total > 0, "[statistical_parity] expected at least one image, got none");
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
  /// r_i = R(all) - R(all without i) instead of R(all) for all: says which image helped; ours, not the paper's
  bool leave_one_out = false;
};
REWARD_TUNER_FIELDS(ParityOptions, leave_one_out);

/// Distribution reward, LSRL paper Eq. 12: with the class frequencies f of a group over A classes, every member gets
/// r = -||f - 1/A||_2, in [-sqrt(1 - 1/A), 0]. Equal within a group: normalize it across groups, per group every
/// advantage is 0. Even the perfectly uniform model has r < 0 on groups of M images: -0.1996 on average for A = 4, M
/// = 16. With options.leave_one_out r_i = R(group) - R(group without i); 0 in a group of one.
/// Groups are RewardInput::group_ids, int64 [B]; undefined: all images are one group. The classifier is any const
/// callable `(const Tensor& images [B,3,H,W]) -> int64 Tensor [B]` of class ids 0..A-1, or kNoClass for images with
/// nothing to classify, which count for their group's fullest class. It runs without grad; a black box.
/// Components [B]: "statistical_parity" (Eq. 12 of the image's group with positive sign, lower is better),
/// "unclassified" (1 for kNoClass).
/// Errors: less than two classes; class ids out of range; group ids or class ids that are not int64 [B]. Make one by
/// `parity(A, classifier)`.
template <class Classifier>
class ParityReward {
  static_assert(std::is_invocable_r_v<Tensor, const Classifier&, const Tensor&>,
                "[ParityReward] expected a const callable (const Tensor& images) -> Tensor of int64 class ids [B]");

 public:
  using Role = RewardRole;
  using Options = ParityOptions;
  static constexpr bool kDifferentiable = false;
  static constexpr bool kPerGroup = true;
  static constexpr std::string_view kName = "parity";

  ParityReward(int num_classes, Classifier classifier, ParityOptions options = {})
      : classes_(num_classes), classifier_(std::move(classifier)), options_(options) {
    REWARD_TUNER_CHECK(num_classes >= 2, "[ParityReward] expected at least two classes, got ", num_classes);
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
      REWARD_TUNER_CHECK(classes[i] >= kNoClass && classes[i] < classes_, "[ParityReward] expected class ids in 0..",
                         classes_ - 1, ", or ", kNoClass, " for no class, got ", classes[i], " for image ", i);
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
    const auto out = [&](const std::vector<double>& numbers) { return per_image(numbers, images); };  // [B]
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
                       "[ParityReward] expected ", what, " int64 [B] with B = ", batch, ", got ",
                       ids.defined() ? ids.dtype().name() : "an undefined tensor", " of shape ",
                       ids.defined() ? ids.sizes() : at::IntArrayRef());
    const Tensor here = ids.to(at::kCPU).contiguous();  // [B]
    return {here.const_data_ptr<std::int64_t>(), here.const_data_ptr<std::int64_t>() + batch};
  }

  int classes_;
  Classifier classifier_;
  ParityOptions options_;
};
static_assert(RewardPolicy<ParityReward<Tensor (*)(const Tensor&)>>);

/// Distribution reward over the classes 0..num_classes-1 that `classifier` distinguishes.
/// Example: `parity(2, [](const Tensor& images) { return (images.mean({1, 2, 3}) > 0.5).to(at::kLong); })`.
template <class Classifier>
ParityReward<Classifier> parity(int num_classes, Classifier classifier, ParityOptions options = {}) {
  return ParityReward<Classifier>(num_classes, std::move(classifier), options);
}

}  // namespace reward_tuner
