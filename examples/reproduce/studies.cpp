#include "studies.hpp"

#include <algorithm>

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
        Cell cell = variant.cell;
        cell.seed = static_cast<std::uint64_t>(seed);
        cell.name = variant_cell(group, variant, cell.seed);
        if (std::none_of(all.begin(), all.end(), [&](const Cell& other) { return other.name == cell.name; }))
          all.push_back(std::move(cell));
      }
  return all;
}

}  // namespace

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

std::vector<Cell> cells(const Study& study) {
  auto all = study.kind == StudyKind::kDrtune ? drtune_cells(study) : group_cells(study);
  if (!study.only.empty())
    std::erase_if(all, [&](const Cell& cell) {
      return std::none_of(study.only.begin(), study.only.end(),
                          [&](const auto& start) { return cell.name.starts_with(start); });
    });
  return all;
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
               {"rounds", study.rounds},
               {"measured_seeds", study.measured_seeds},
               {"skip_last", s.skip_last},
               {"direct_batch", s.direct_batch},
               {"samples", s.samples},
               {"optimizer_steps", s.optimizer_steps},
               {"ratio_clip", s.ratio_clip},
               {"window_start", s.window_start},
               {"evaluate_every", s.evaluate_every},
               {"low_guidance", s.low_guidance},
               {"guidance_threshold", s.guidance_threshold},
               {"word_weight", s.word_weight},
               {"pretraining_images", s.pretraining_images},
               {"parity_samples", s.parity_samples}});
  return json;
}

}  // namespace rt_reproduce
