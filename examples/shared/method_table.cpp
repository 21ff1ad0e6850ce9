// The table of methods. A new method is one row here; a new surrogate or objective also a unit method_<name>.cpp.
#include "method_table.hpp"

#include <algorithm>
#include <sstream>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/step_selection/last_steps.hpp>
#include <reward_tuner/step_selection/random_steps.hpp>
#include <reward_tuner/step_selection/spread_steps.hpp>

namespace rt_shared {

const std::vector<MethodEntry>& method_entries() {
  using enum MethodUnit;
  using enum AdvantageName;
  static const std::vector<MethodEntry> table = {
      {"drtune", "spread steps, gradient stopped at the network's input, early stop (Wu et al. 2024)", "gradient",
       kStopped, rt::SpreadStepsOptions{}.num_trained},
      {"draft", "full gradient through the last K steps (Clark et al. 2024)", "gradient", kPassed,
       rt::LastStepsOptions{}.num_trained},
      {"draft-lv", "the last step, at several noises of the result (Clark et al. 2024)", "gradient", kPassed},
      {"refl", "one random late step that jumps to the clean image (Xu et al. 2023)", "gradient", kPassed},
      {"alignprop", "full gradient, cut at a random depth (Prabhudesai et al. 2023)", "gradient", kPassed, 1},
      {"ddpo", "clipped ratio over all steps (Black et al. 2024)", "sampled log-prob clip", kClippedRatio, 0,
       kPerPrompt},
      {"grpo", "the same, advantages within the images of a prompt (Liu et al. 2025)", "sampled log-prob clip",
       kClippedRatio, 0, kPerGroup},
      {"pg", "plain policy gradient over all steps (Fan & Lee 2023)", "sampled log-prob", kReinforce, 0, kPerPrompt},
      {"dpok", "a penalty on leaving the untuned network, a learned baseline (Fan et al. 2023)",
       "sampled log-prob clip dpok", kKlRegularized, 0, kPerBatch},
      {"dpo", "preferences between branches of an image (Yang et al. 2024, D3PO)", "sampled log-prob pairs",
       kPreference, 0, kPerGroup, 3},
      {"b2-ddpo", "B2-DiffuRL: the last steps first, best and worst branch (Hu et al. 2025)",
       "sampled log-prob clip window", kClippedRatio, 0, kHistory, 3},
      {"b2-pg", "the same around pg", "sampled log-prob window", kReinforce, 0, kHistory, 3},
      {"b2-dpok", "the same around dpok", "sampled log-prob clip window dpok", kKlRegularized, 0, kHistory, 3},
      {"b2-dpo", "the same around dpo", "sampled log-prob window pairs", kPreference, 0, kHistory, 3},
      {"lsrl", "a few random steps, pre-training beside them, several tasks (Zhang et al. 2024)",
       "sampled log-prob clip", kClippedRatio, rt::RandomSteps::kUsualSteps, kPerBatch},
      {"raft", "denoise the best images of each prompt (Dong et al. 2023)", "sampled denoising", kDenoising},
      {"reward-weighted", "denoise the untuned network's images, weighted by reward (Lee et al. 2023)",
       "sampled denoising", kDenoising},
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

bool MethodEntry::knows_any(std::string_view words) const {
  std::istringstream each{std::string(words)};
  bool any = words.empty();
  for (std::string word; each >> word;) any = any || knows(word);
  return any;
}

std::string methods_that_know(std::string_view words) {
  std::vector<std::string> names;
  for (const auto& method : method_entries())
    if (method.knows_any(words)) names.emplace_back(method.name);
  return listed(names);
}

std::string listed(const std::vector<std::string>& words, std::string_view last) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 < words.size() ? ", " : " " + std::string(last) + " ";
    text += words[i];
  }
  return text;
}

}  // namespace rt_shared
