// The cells of the b2 study.
#include "b2_plan.hpp"

namespace rt_reproduce {

Study make_b2_study(bool quick) {
  Study study;
  study.kind = StudyKind::kB2;
  study.quick = quick;
  study.cpu_seconds = quick ? 10 : 75;
  study.seeds = quick ? 1 : 3;
  study.held_out_seeds = quick ? 1 : 4;
  study.settings = {.guidance = 1,
                    .learning_rate = 5e-4,
                    .clip = 1,
                    .ema = 0,
                    .batch = 8,
                    .window_start = 3,
                    .planned_updates = quick ? 8 : 60,
                    .evaluate_every = quick ? 4 : 12};
  return study;
}

std::vector<Group> b2_groups() {
  const auto cell = [](Method method, bool window, bool branches) {
    Cell c;
    c.method = method, c.window = window, c.branches = branches;
    c.reward = "clip_score";
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
           {{"ddpo", "DDPO", cell(Method::kDdpo, false, false)},
            {"bpt", "DDPO + BPT", cell(Method::kDdpo, true, false)},
            {"b2", "DDPO + BPT + BS (B2-DiffuRL)", cell(Method::kDdpo, true, true)}}},
          pair("pg", "PG", Method::kPolicyGradient),
          pair("dpok", "DPOK", Method::kDpok),
          pair("dpo", "DPO", Method::kDpo)};
}

}  // namespace rt_reproduce
