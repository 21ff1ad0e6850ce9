// The studies by name, and where their cells are.
#include "study.hpp"

#include <algorithm>

#include <reward_tuner/core/check.hpp>

namespace rt_reproduce {

const std::vector<std::string>& study_names() {
  static const std::vector<std::string> names = {"drtune", "b2", "diffexp", "lsrl"};
  return names;
}

StudyKind study_kind(std::string_view name) {
  const auto& names = study_names();
  const auto found = std::find(names.begin(), names.end(), name);
  REWARD_TUNER_CHECK(found != names.end(), "[rt-reproduce] there is no study named '", name, "'");
  return static_cast<StudyKind>(found - names.begin());
}

const std::string& study_name(StudyKind kind) { return study_names()[static_cast<std::size_t>(kind)]; }

Settings recipe_settings(bool quick) {
  return {.learning_rate = 1e-3,
          .clip = 1,
          .ema = 0.9,
          .batch = quick ? 8 : 16,
          .warm_up = 0,
          .samples = 4,
          .skip_last = 6};
}

std::string variant_cell(const Group& group, const Variant& variant, std::uint64_t seed) {
  return group.name + "/" + variant.label + "-" + std::to_string(seed);
}

bool measures(const Study& study) { return study.kind != StudyKind::kDrtune; }

double guidance_scale(const Study& study, const Cell& cell) {
  return cell.scale > 0 ? cell.scale : study.settings.guidance;
}

std::uint64_t held_out_noise(const Study& study, const Cell& cell) {
  const auto first = study.settings.first_held_out_seed;
  return study.kind == StudyKind::kDiffexp ? first + cell.seed * static_cast<std::uint64_t>(study.held_out_seeds)
                                           : first;
}

bool finished(const Study& study, const std::string& cell) {
  const auto folder = study.out / cell;
  return std::filesystem::exists(folder / "report.json") &&
         (!measures(study) || std::filesystem::exists(folder / "measured.json"));
}

}  // namespace rt_reproduce
