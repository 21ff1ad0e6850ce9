// The table of rewards that rt-tune knows by name. A new reward is one line here.
#include "rewards.hpp"

#include <cmath>
#include <cstdlib>
#include <functional>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/aesthetic.hpp>
#include <reward_tuner/rewards/brightness.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/colorfulness.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>
#include <reward_tuner/rewards/jpeg_size.hpp>
#include <reward_tuner/rewards/random_shift.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>
#include <reward_tuner/shapes/composition.hpp>
#include <reward_tuner/shapes/hue_parity.hpp>
#include <reward_tuner/shapes/shape_reward.hpp>

namespace rt_shared {

namespace {

struct Row {
  RewardEntry entry;
  std::function<rt::AnyReward(const TuneSettings&)> make;
};

rt::AnyReward jpeg_error(const TuneSettings& s, bool incompressible) {
  rt::JpegErrorOptions options{.incompressible = incompressible};
  if (s.jpeg_quality) options.quality = *s.jpeg_quality;
  return rt::AnyReward(rt::JpegErrorReward(options));
}

rt::AnyReward jpeg_size(const TuneSettings& s, bool incompressible) {
  rt::JpegSizeOptions options{.incompressible = incompressible};
  if (s.jpeg_quality) options.quality = *s.jpeg_quality;
  return rt::AnyReward(rt::JpegSizeReward(options));
}

const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {{"symmetry", "left-right mirror symmetry of the image; differentiable"},
       [](const TuneSettings& s) {
         return rt::AnyReward(rt::SymmetryReward({.deviation = s.symmetry_deviation, .text_weight = s.text_weight}));
       }},
      {{"clip_score", "cosine of image and prompt in the model folder's clip/; differentiable"},
       [](const TuneSettings&) { return rt::AnyReward(rt::ClipScoreReward()); }},
      {{"jpeg_error", "how little the image changes when stored as JPEG; differentiable"},
       [](const TuneSettings& s) { return jpeg_error(s, false); }},
      {{"jpeg_incompressible", "the opposite: how much it changes; differentiable"},
       [](const TuneSettings& s) { return jpeg_error(s, true); }},
      {{"jpeg_size", "how few kilobytes it takes as a JPEG file; black box"},
       [](const TuneSettings& s) { return jpeg_size(s, false); }},
      {{"jpeg_size_incompressible", "the opposite: how many kilobytes; black box"},
       [](const TuneSettings& s) { return jpeg_size(s, true); }},
      {{"brightness", "mean brightness; differentiable (a weight below 0 darkens)"},
       [](const TuneSettings&) { return rt::AnyReward(rt::BrightnessReward()); }},
      {{"colorfulness", "spread and strength of colors; differentiable"},
       [](const TuneSettings&) { return rt::AnyReward(rt::ColorfulnessReward()); }},
      {{"aesthetic",
        "an affine head on the image's vector in the model folder's clip/ (--aesthetic-head); differentiable"},
       [](const TuneSettings& s) {
         REWARD_TUNER_CHECK(!s.aesthetic_head.empty(),
                            "[rt-tune] --reward aesthetic expected a head, got none: give --aesthetic-head FILE");
         return rt::AnyReward(rt::AestheticReward(rt::AestheticHead::load(s.aesthetic_head)));
       }},
      {{"composition", "how surely every object of the caption is in the image; black box"},
       [](const TuneSettings&) { return rt::AnyReward(rt::shapes::CompositionReward()); }},
      {{"parity",
        "how evenly the hues of a prompt's images spread, for prompts that name no color; black box, scores groups"},
       [](const TuneSettings& s) {
         return rt::AnyReward(rt::shapes::HueParityReward({.leave_one_out = s.leave_one_out}));
       }},
      {{"shapes", "does the image show the caption's shapes and colors; black box"},
       [](const TuneSettings&) { return rt::AnyReward(rt::shapes::ShapeReward()); }},
  };
  return table;
}

std::pair<std::string, double> parse(const std::string& text, const std::string& shown) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return {text, 1.0};
  const std::string number = text.substr(colon + 1);
  char* end = nullptr;
  const double weight = std::strtod(number.c_str(), &end);
  REWARD_TUNER_CHECK(!number.empty() && *end == '\0' && std::isfinite(weight), "[rt-tune] ", shown,
                     " expected name or name:weight, got '", text, "'");
  return {text.substr(0, colon), weight};
}

}  // namespace

const std::vector<RewardEntry>& reward_entries() {
  static const std::vector<RewardEntry> entries = [] {
    std::vector<RewardEntry> list;
    for (const auto& row : rows()) list.push_back(row.entry);
    return list;
  }();
  return entries;
}

ChosenReward make_reward(const TuneSettings& settings, const std::string& shown) {
  REWARD_TUNER_CHECK(!settings.rewards.empty(), "[rt-tune] ", shown, " expected at least one reward, got none");
  std::vector<rt::Weighted<rt::AnyReward>> parts;
  std::string text, black_box;
  bool per_group = false;
  for (const auto& spec : settings.rewards) {
    const auto [name, weight] = parse(spec, shown);
    const Row* found = nullptr;
    std::string known;
    for (const auto& row : rows()) {
      known += (known.empty() ? "" : ", ") + std::string(row.entry.name);
      if (row.entry.name == name) found = &row;
    }
    REWARD_TUNER_CHECK(found != nullptr, "[rt-tune] ", shown, " expected one of ", known, ", got '", name, "'");
    parts.push_back(rt::weighted(weight, found->make(settings)));
    if (!parts.back().reward.differentiable()) black_box = name;
    per_group = per_group || parts.back().reward.per_group();
    text += (text.empty() ? "" : " + ") + spec;
  }
  const bool alone = parts.size() == 1 && parts[0].weight == 1.0;
  if (alone) text = parse(settings.rewards[0], shown).first;
  rt::AnyReward reward = alone ? parts[0].reward : rt::weighted_sum(std::move(parts));
  if (settings.random_shift == 0) return {std::move(reward), text, black_box, per_group};
  return {rt::AnyReward(rt::randomly_shifted(std::move(reward), settings.random_shift)),
          text + ", shifted by up to " + std::to_string(settings.random_shift) + " pixels", black_box, per_group};
}

}  // namespace rt_shared
