// The cells of the lsrl study.
#include "lsrl_plan.hpp"

namespace rt_reproduce {

Study make_lsrl_study(bool quick) {
  Study study;
  study.kind = StudyKind::kLsrl;
  study.quick = quick;
  study.cpu_seconds = quick ? 10 : 60;
  study.seeds = quick ? 1 : 3;
  study.held_out_seeds = 1;
  study.settings = {.guidance = 1, .learning_rate = 5e-4, .clip = 1, .ema = 0, .batch = 8};
  return study;
}

std::filesystem::path lsrl_prompts(const Study& study, std::string_view task, bool held_out) {
  if (task == "clip") return held_out ? study.held_out : study.prompts;
  const auto& folder = study.task_prompts;
  // measured with further noise, there are too few such prompts to hold some out
  if (task == "parity") return folder / "prompts_parity.txt";
  return folder / (held_out ? "prompts_pairs_heldout.txt" : "prompts_pairs_train.txt");
}

std::vector<Group> lsrl_groups() {
  const auto alone = [](const char* task, bool pretraining) {
    Cell c;
    c.method = Method::kLsrl, c.reward = task, c.steps = kLsrlSteps, c.pretraining = pretraining;
    return c;
  };
  const auto joint = [&](bool pretraining) {
    Cell c = alone("all", pretraining);
    c.method = Method::kLsrlJoint;
    c.budget = 3;  // every task gets what it gets alone
    return c;
  };
  Cell untuned;
  untuned.method = Method::kUntuned, untuned.steps = kLsrlSteps;
  Cell helpful = alone("parity", true);
  helpful.leave_one_out = true;
  return {{"tasks",
           "Tasks alone and together",
           {{"untuned", "untuned", untuned},
            {"clip", "CLIPScore alone", alone("clip", true)},
            {"parity", "parity alone", alone("parity", true)},
            {"parity-loo", "parity alone, leave-one-out", helpful},
            {"composition", "composition alone", alone("composition", true)},
            {"joint", "joint", joint(true)},
            {"composition-bare", "composition alone, no pre-training loss", alone("composition", false)},
            {"joint-bare", "joint, no pre-training loss", joint(false)}}}};
}

}  // namespace rt_reproduce
