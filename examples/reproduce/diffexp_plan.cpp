// The cells of the diffexp study.
#include "diffexp_plan.hpp"

namespace rt_reproduce {

Study make_diffexp_study(bool quick) {
  Study study;
  study.kind = StudyKind::kDiffexp;
  study.quick = quick;
  study.cpu_seconds = quick ? 10 : 75;
  study.seeds = quick ? 1 : 3;
  study.held_out_seeds = quick ? 1 : 4;
  study.settings = {.guidance = 2,
                    .learning_rate = 5e-4,
                    .clip = 1,
                    .ema = 0,
                    .batch = 8,
                    .planned_updates = quick ? 6 : 48,
                    .evaluate_every = quick ? 2 : 6,
                    .low_guidance = 1,
                    .guidance_threshold = 0.7,
                    .word_weight = 1.5};
  return study;
}

std::vector<Group> diffexp_groups() {
  const auto group = [](const char* name, const char* title, Method method) {
    const auto variant = [&](const char* label, const char* text, bool guidance, bool words) {
      Cell c;
      c.method = method, c.guidance = guidance, c.words = words;
      c.reward = "clip_score";
      c.steps = kDiffexpSteps;
      return Variant{label, text, c};
    };
    return Group{
        name,
        title,
        {variant("plain", "no exploration", false, false), variant("guidance", "dynamic guidance", true, false),
         variant("words", "prompt weighting", false, true), variant("both", "both (DiffExp)", true, true)}};
  };
  return {group("ddpo", "DDPO", Method::kDdpo), group("alignprop", "AlignProp", Method::kAlignpropExplored)};
}

}  // namespace rt_reproduce
