// The cells of the diffexp study.
#include "diffexp_plan.hpp"

namespace rt_reproduce {

Study make_diffexp_study(bool quick) {
  Study study;
  study.kind = StudyKind::kDiffexp;
  study.prompts = "examples/tune/prompts_pairs_train.txt";
  study.held_out = "examples/tune/prompts_pairs_heldout.txt";
  study.quick = quick;
  study.rounds = quick ? 3 : 25;
  study.seeds = quick ? 1 : 8;
  study.held_out_seeds = quick ? 1 : 2;
  study.measured_seeds = quick ? 1 : 8;
  Settings& s = study.settings = recipe_settings(quick);
  s.guidance = kAlignpropGuidance;
  s.evaluate_every = quick ? 1 : 5;
  s.low_guidance = 1, s.guidance_threshold = 0.8, s.word_weight = 1.5;  // as in the recipes too
  return study;
}

std::vector<Group> diffexp_groups() {
  const auto group = [](const char* name, const char* title, Cell c) {
    c.steps = kDiffexpSteps;
    const auto variant = [&](const char* label, const char* text, bool guidance, bool words) {
      Cell own = c;
      own.guidance = guidance, own.words = words;
      return Variant{label, text, own};
    };
    Cell untuned = c;
    untuned.method = Method::kUntuned;
    return Group{name,
                 title,
                 {{"untuned", "untuned", untuned},
                  variant("none", "no exploration", false, false),
                  variant("guidance", "dynamic guidance", true, false),
                  variant("words", "prompt weighting", false, true),
                  variant("both", "both (DiffExp)", true, true)}};
  };
  Cell ddpo, alignprop;
  ddpo.method = Method::kDdpo, ddpo.reward = "composition", ddpo.scale = kDdpoGuidance;
  alignprop.method = Method::kAlignprop, alignprop.reward = "clip_score";
  alignprop.eta = 0, alignprop.round_updates = kAlignpropUpdates;
  return {group("ddpo", "DDPO", ddpo), group("alignprop", "AlignProp", alignprop)};
}

}  // namespace rt_reproduce
