// Definitions of image_scores.hpp.
#pragma once
#include <reward_tuner/run/image_scores.hpp>

#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/core/policy_traits.hpp>
#include <reward_tuner/core/prompt_groups.hpp>
#include <reward_tuner/report/image_file.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/run/metric_names.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

namespace detail {

inline bool is_decimal(char c) { return '0' <= c && c <= '9'; }

/// The number's digits from `at` on, without zeros in front; moves behind them.
inline std::string_view digits(std::string_view text, std::size_t& at) {
  while (at + 1 < text.size() && text[at] == '0' && is_decimal(text[at + 1])) ++at;
  const std::size_t begin = at;
  while (at < text.size() && is_decimal(text[at])) ++at;
  return text.substr(begin, at - begin);
}

/// Whether one name comes before the other, numbers in them compared as numbers.
inline bool in_natural_order(const std::string& a, const std::string& b) {
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (is_decimal(a[i]) && is_decimal(b[j])) {
      const std::string_view one = digits(a, i), other = digits(b, j);
      if (one.size() != other.size()) return one.size() < other.size();
      if (one != other) return one < other;
    } else if (a[i] != b[j]) {
      return a[i] < b[j];
    } else {
      ++i, ++j;
    }
  }
  if (a.size() - i != b.size() - j) return a.size() - i < b.size() - j;
  return a < b;  // 01 and 1
}

/// Adds a reward's values, of the images `places`, to their lists.
inline void add_scores(const EvaluationReward& entry, const RewardInput& input, const std::vector<std::size_t>& places,
                       const std::vector<std::filesystem::path>& files, MetricNames& names, ImageScores& scores) {
  const RewardResult result = entry.reward.score(input);
  for (std::size_t i = 0; result.failed.defined() && i < places.size(); ++i)
    REWARD_TUNER_CHECK(!result.failed[static_cast<std::int64_t>(i)].item<bool>(), "[ImageScores] expected a score of ",
                       entry.name, " for ", files[places[i]].string(), ", got none");
  const auto add = [&](const std::string& name, const Tensor& values) {
    const Tensor numbers = values.detach().to(at::kCPU, at::kDouble).contiguous();  // [b]
    std::vector<double>& all = scores.values[name];
    all.resize(files.size());
    for (std::size_t i = 0; i < places.size(); ++i) {
      const double score = numbers.const_data_ptr<double>()[i];
      REWARD_TUNER_CHECK(std::isfinite(score), "[ImageScores] expected a finite ", name, ", got ", score, " for ",
                         files[places[i]].string());
      all[places[i]] = score;
    }
  };
  if (!entry.components_only) add(entry.name, result.values);
  for (const auto& [key, values] : result.components) add(names.of(entry, key), values);
}

}  // namespace detail

REWARD_TUNER_INLINE std::vector<std::filesystem::path> image_files(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) {
    REWARD_TUNER_CHECK(std::filesystem::is_regular_file(path),
                       "[ImageScores] expected a PNG or JPEG file or a folder, "
                       "got nothing at ",
                       path.string());
    return {path};
  }
  std::vector<std::filesystem::path> files;
  std::vector<std::string> others;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (!entry.is_regular_file()) continue;
    if (is_image_name(entry.path())) files.push_back(entry.path());
    else others.push_back(entry.path().filename().string());
  }
  std::sort(others.begin(), others.end());
  const std::string unread = others.empty() ? std::string()
                                            : std::to_string(others.size()) + " of its files are not read, '" +
                                                  others.front() + "' among them";
  REWARD_TUNER_CHECK(!files.empty(), "[ImageScores] expected PNG or JPEG files in ", path.string(), ", got none",
                     unread.empty() ? "" : "; " + unread);
  if (!unread.empty()) note("[ImageScores] ", path.string(), ": ", unread);
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return detail::in_natural_order(a.string(), b.string()); });
  return files;
}

REWARD_TUNER_INLINE ImageScores score_images(const std::vector<std::filesystem::path>& files,
                                             const std::vector<std::string>& prompts,
                                             const std::vector<EvaluationReward>& rewards,
                                             const ImageScoreOptions& options) {
  REWARD_TUNER_CHECK(!files.empty() && files.size() == prompts.size(),
                     "[ImageScores] expected images and a prompt for each, got ", files.size(), " images and ",
                     prompts.size(), " prompts");
  REWARD_TUNER_CHECK(options.batch >= 1, "[ImageScores] batch must be >= 1, got ", options.batch);
  const torch::NoGradGuard no_grad;
  const std::vector<std::int64_t> groups = prompt_groups(prompts);
  MetricNames names(rewards);
  ImageScores scores;
  std::vector<Tensor> images;       // of one size, [3,H,W]
  std::vector<std::size_t> places;  // of them
  const auto score = [&](bool of_groups) {
    if (images.empty()) return;
    RewardInput input{.images = to_device(at::stack(images), options.device), .prompts = {}};  // [b,3,H,W]
    std::vector<std::int64_t> own;
    for (const std::size_t place : places) {
      input.prompts.push_back(prompts[place]);
      own.push_back(groups[place]);
    }
    input.group_ids = to_device(at::tensor(own, at::kLong), options.device);  // int64 [b]
    for (const auto& entry : rewards)
      if (per_group(entry.reward) == of_groups) detail::add_scores(entry, input, places, files, names, scores);
    images.clear();
    places.clear();
  };
  for (const bool of_groups : {false, true}) {
    if (std::none_of(rewards.begin(), rewards.end(),
                     [&](const auto& entry) { return per_group(entry.reward) == of_groups; }))
      continue;
    for (std::size_t i = 0; i < files.size(); ++i) {
      Tensor image = read_image(files[i]);  // [3,H,W]
      const bool other_size = !images.empty() && image.sizes() != images.front().sizes();
      REWARD_TUNER_CHECK(!of_groups || !other_size, "[ImageScores] expected images of one size for rewards of groups, ",
                         "got ", images.front().sizes(), " and ", image.sizes(), " at ", files[i].string());
      if (other_size || (!of_groups && static_cast<int>(images.size()) == options.batch)) score(of_groups);
      images.push_back(std::move(image));
      places.push_back(i);
    }
    score(of_groups);
  }
  for (const auto& [name, values] : scores.values) {
    double sum = 0;
    for (const double value : values) sum += value;
    scores.means[name] = sum / static_cast<double>(values.size());
  }
  return scores;
}

}  // namespace reward_tuner
