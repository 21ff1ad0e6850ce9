// The studies by name, and what they have in common.
#include "study.hpp"

#include <algorithm>
#include <array>

#include <reward_tuner/core/check.hpp>

#include "b2_plan.hpp"
#include "diffexp_plan.hpp"
#include "drtune_plan.hpp"
#include "lsrl_plan.hpp"

namespace rt_reproduce {

namespace {

std::vector<Cell> group_cells(const Study& study) {
  std::vector<Cell> all;
  for (int seed = 0; seed < study.seeds; ++seed)
    for (const auto& group : groups(study))
      for (const auto& variant : group.variants) {
        if (variant.cell.method == Method::kUntuned && seed > 0) continue;  // nothing in it depends on the seed
        Cell cell = variant.cell;
        cell.seed = static_cast<std::uint64_t>(seed);
        cell.name = variant_cell(group, variant, cell.seed);
        if (std::none_of(all.begin(), all.end(), [&](const Cell& other) { return other.name == cell.name; }))
          all.push_back(std::move(cell));
      }
  return all;
}

}  // namespace

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

Study make_study(StudyKind kind, bool quick) {
  switch (kind) {
    case StudyKind::kDrtune:
      return make_drtune_study(quick);
    case StudyKind::kB2:
      return make_b2_study(quick);
    case StudyKind::kDiffexp:
      return make_diffexp_study(quick);
    case StudyKind::kLsrl:
      return make_lsrl_study(quick);
  }
  return {};
}

std::vector<Group> groups(const Study& study) {
  switch (study.kind) {
    case StudyKind::kDrtune:
      return {};
    case StudyKind::kB2:
      return b2_groups();
    case StudyKind::kDiffexp:
      return diffexp_groups();
    case StudyKind::kLsrl:
      return lsrl_groups();
  }
  return {};
}

std::string variant_cell(const Group& group, const Variant& variant, std::uint64_t seed) {
  return group.name + "/" + variant.label + "-" + std::to_string(seed);
}

std::vector<Cell> cells(const Study& study) {
  auto all = study.kind == StudyKind::kDrtune ? drtune_cells(study) : group_cells(study);
  if (!study.only.empty())
    std::erase_if(all, [&](const Cell& cell) {
      return std::none_of(study.only.begin(), study.only.end(),
                          [&](const auto& start) { return cell.name.starts_with(start); });
    });
  return all;
}

bool finished(const Study& study, const std::string& cell) {
  const auto folder = study.out / cell;
  return std::filesystem::exists(folder / "report.json") &&
         (study.kind != StudyKind::kLsrl || std::filesystem::exists(folder / "tasks.json"));
}

nlohmann::json study_settings(const Study& study) {
  const Settings& s = study.settings;
  nlohmann::json json = {{"model", study.model.filename().string()},
                         {"cpu_seconds", study.cpu_seconds},
                         {"held_out_seeds", study.held_out_seeds},
                         {"norm_batches", study.norm_batches},
                         {"quick", study.quick},
                         {"sampler", "ddim"},
                         {"guidance", s.guidance},
                         {"text_weight", s.text_weight},
                         {"jpeg_scale", reward_scale("jpeg_error")},
                         {"kl_weight", study.kl_weight},
                         {"learning_rate", s.learning_rate},
                         {"warm_up", s.warm_up},
                         {"beta1", s.beta1},
                         {"beta2", s.beta2},
                         {"weight_decay", s.weight_decay},
                         {"clip", s.clip},
                         {"ema", s.ema},
                         {"rank", s.rank},
                         {"batch", s.batch},
                         {"refl_max_stop", s.refl_max_stop},
                         {"first_held_out_seed", s.first_held_out_seed}};
  if (study.kind == StudyKind::kDrtune) return json;
  json.update({{"study", study_name(study.kind)},
               {"samples", s.samples},
               {"optimizer_steps", s.optimizer_steps},
               {"ratio_clip", s.ratio_clip},
               {"window_start", s.window_start},
               {"planned_updates", s.planned_updates},
               {"evaluate_every", s.evaluate_every},
               {"low_guidance", s.low_guidance},
               {"guidance_threshold", s.guidance_threshold},
               {"word_weight", s.word_weight},
               {"pretraining_images", s.pretraining_images},
               {"parity_samples", s.parity_samples}});
  return json;
}

}  // namespace rt_reproduce
