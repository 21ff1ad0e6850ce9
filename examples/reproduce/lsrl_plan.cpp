// The cells of the lsrl study.
#include "lsrl_plan.hpp"

namespace rt_reproduce {

Study make_lsrl_study(bool quick) {
  Study study;
  study.kind = StudyKind::kLsrl;
  study.prompts = "examples/tune/prompts_pairs_train.txt";
  study.held_out = "examples/tune/prompts_pairs_heldout.txt";
  study.quick = quick;
  study.rounds = quick ? 3 : 25;
  study.seeds = quick ? 1 : 8;
  study.held_out_seeds = 1;
  study.measured_seeds = quick ? 1 : 7;
  study.settings = recipe_settings(quick);
  study.settings.guidance = 1;
  study.settings.direct_batch = quick ? 8 : 16;
  return study;
}

const std::vector<std::string_view>& lsrl_task_names() {
  static const std::vector<std::string_view> names = {"clip", "parity", "composition"};
  return names;
}

std::filesystem::path lsrl_prompts(const Study& study, std::string_view task, bool held_out) {
  if (task == "parity") return study.task_prompts / (held_out ? "prompts_parity_heldout.txt" : "prompts_parity.txt");
  return held_out ? study.held_out : study.prompts;
}

std::vector<Group> lsrl_groups() {
  const auto alone = [](std::string_view task, Method method, bool pretraining) {
    Cell c;
    c.method = method, c.reward = task, c.steps = kLsrlSteps, c.pretraining = pretraining;
    c.leave_one_out = task != "clip" && task != "composition";  // parity and all tasks together
    return c;
  };
  const auto lsrl = [&](std::string_view task, bool pretraining) { return alone(task, Method::kLsrl, pretraining); };
  const auto joint = [&](bool pretraining) { return alone("all", Method::kLsrlJoint, pretraining); };
  Cell of_groups = lsrl("parity", true);
  of_groups.leave_one_out = false;
  Cell draft = alone("clip", Method::kDraftLv, false);
  draft.round_updates = 4;
  const auto raft = [&](std::string_view task) { return alone(task, Method::kRaft, false); };
  const auto weighted = [&](std::string_view task) { return alone(task, Method::kRewardWeighted, true); };
  return {{"tasks",
           "Tasks alone and together",
           {{"untuned", "untuned", alone("all", Method::kUntuned, false)},
            {"clip", "CLIPScore alone", lsrl("clip", true)},
            {"parity", "parity alone", lsrl("parity", true)},
            {"composition", "composition alone", lsrl("composition", true)},
            {"joint", "joint", joint(true)},
            {"clip-bare", "CLIPScore alone, no pre-training loss", lsrl("clip", false)},
            {"composition-bare", "composition alone, no pre-training loss", lsrl("composition", false)},
            {"joint-bare", "joint, no pre-training loss", joint(false)},
            {"parity-groups", "parity alone, one reward a group", of_groups},
            {"raft-clip", "RAFT on CLIPScore", raft("clip")},
            {"raft-parity", "RAFT on parity", raft("parity")},
            {"raft-composition", "RAFT on composition", raft("composition")},
            {"weighted-clip", "reward-weighted on CLIPScore", weighted("clip")},
            {"weighted-parity", "reward-weighted on parity", weighted("parity")},
            {"weighted-composition", "reward-weighted on composition", weighted("composition")},
            {"draft-clip", "DRaFT-LV on CLIPScore", draft}}}};
}

}  // namespace rt_reproduce
