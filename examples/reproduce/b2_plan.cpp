// The cells of the b2 study.
#include "b2_plan.hpp"

namespace rt_reproduce {

Study make_b2_study(bool quick) {
  Study study;
  study.kind = StudyKind::kB2;
  study.prompts = "examples/tune/prompts_pairs_train.txt";
  study.held_out = "examples/tune/prompts_pairs_heldout.txt";
  study.quick = quick;
  study.rounds = quick ? 3 : 15;
  study.seeds = quick ? 1 : 8;
  study.held_out_seeds = 1;
  study.measured_seeds = quick ? 1 : 12;
  // learning rate, average, branches and batch as in examples/recipes/tiny, chosen there by the reward of training
  // prompts with seed 7; the window begins at the share of T that B2-DiffuRL's code has, 14 of 20
  study.settings = {.guidance = 1,
                    .learning_rate = 1e-3,
                    .beta2 = 0.999,
                    .clip = 1,
                    .ema = 0.9,
                    .batch = 24,
                    .warm_up = 0,
                    .window_start = 7};
  return study;
}

std::vector<Group> b2_groups() {
  const auto cell = [](Method method, bool window, bool branches) {
    Cell c;
    c.method = method, c.window = window, c.branches = branches;
    c.reward = "composition";
    c.steps = kB2Steps;
    return c;
  };
  const auto pair = [&](const char* name, const char* title, Method method) {
    const std::string label = name;
    return Group{label,
                 title,
                 {{label, title, cell(method, false, method == Method::kDpo)},
                  {label + "-b2", std::string(title) + " + B2", cell(method, true, true)}}};
  };
  return {{"ddpo",
           "DDPO, its window and its branches",
           {{"untuned", "untuned", cell(Method::kUntuned, false, false)},
            {"ddpo", "DDPO", cell(Method::kDdpo, false, false)},
            {"bpt", "DDPO + BPT", cell(Method::kDdpo, true, false)},
            {"bs", "DDPO + BS", cell(Method::kDdpo, false, true)},
            {"b2", "DDPO + BPT + BS (B2-DiffuRL)", cell(Method::kDdpo, true, true)}}},
          pair("pg", "PG", Method::kPolicyGradient),
          pair("dpok", "DPOK", Method::kDpok),
          pair("dpo", "DPO", Method::kDpo)};
}

}  // namespace rt_reproduce
