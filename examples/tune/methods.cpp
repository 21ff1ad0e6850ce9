// The table of methods that rt-tune knows by name. A new method is one line here; a new objective also one file
// tune_<name>.cpp.
#include "methods.hpp"

#include <algorithm>

namespace rt_tune {

const std::vector<MethodEntry>& method_entries() {
  static const std::vector<MethodEntry> table = {
      {"drtune", "spread steps, gradient stopped at the network's input, early stop (Wu et al. 2024)", "gradient",
       tune_drtune},
      {"draft", "full gradient through the last K steps (Clark et al. 2024)", "gradient", tune_draft},
      {"draft-lv", "the last step, at several noises of the result (Clark et al. 2024)", "gradient", tune_draft_lv},
      {"refl", "one random late step that jumps to the clean image (Xu et al. 2023)", "gradient", tune_refl},
      {"alignprop", "full gradient, cut at a random depth (Prabhudesai et al. 2023)", "gradient", tune_alignprop},
      {"ddpo", "clipped ratio over all steps (Black et al. 2024)", "sampled log-prob clip", tune_ddpo, "per-prompt"},
      {"grpo", "the same, advantages within the images of a prompt (Liu et al. 2025)", "sampled log-prob clip",
       tune_ddpo, "per-group"},
      {"pg", "plain policy gradient over all steps (Fan & Lee 2023)", "sampled log-prob", tune_policy_gradient,
       "per-prompt"},
      {"dpok", "a penalty on leaving the untuned network, a learned baseline (Fan et al. 2023)",
       "sampled log-prob clip dpok", tune_dpok, "per-batch"},
      {"dpo", "preferences between branches of an image (Yang et al. 2024, D3PO)", "sampled log-prob pairs", tune_dpo,
       "per-group", 3},
      {"b2-ddpo", "B2-DiffuRL: the last steps first, best and worst branch (Hu et al. 2025)",
       "sampled log-prob clip window", tune_ddpo, "history", 3},
      {"b2-pg", "the same around pg", "sampled log-prob window", tune_policy_gradient, "history", 3},
      {"b2-dpok", "the same around dpok", "sampled log-prob clip window dpok", tune_dpok, "history", 3},
      {"b2-dpo", "the same around dpo", "sampled log-prob window pairs", tune_dpo, "history", 3},
      {"lsrl", "a few random steps, pre-training beside them, several tasks (Zhang et al. 2024)",
       "sampled log-prob clip", tune_ddpo, "per-batch"},
      {"raft", "denoise the best images of each prompt (Dong et al. 2023)", "sampled denoising", tune_reward_weighted},
      {"reward-weighted", "denoise the untuned network's images, weighted by reward (Lee et al. 2023)",
       "sampled denoising", tune_reward_weighted},
  };
  return table;
}

const MethodEntry& method_entry(std::string_view name) {
  const auto found = std::find_if(method_entries().begin(), method_entries().end(),
                                  [&](const auto& entry) { return entry.name == name; });
  REWARD_TUNER_CHECK(found != method_entries().end(), "[rt-tune] --method expected one of the table in --help, got '",
                     name, "'");
  return *found;
}

bool MethodEntry::knows(std::string_view word) const {
  return word == name || (" " + std::string(traits) + " ").find(" " + std::string(word) + " ") != std::string::npos;
}

}  // namespace rt_tune
