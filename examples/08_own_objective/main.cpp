// An objective of your own: what is done with the log-probabilities of sampled steps. It is its formula; sampling,
// replay and the gradient are the library's.
// Usage: 08_own_objective [ROUNDS [MODEL_FOLDER]]
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/reward_tuner.hpp>
#include <reward_tuner/run/prompt_set.hpp>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <string_view>

namespace rt = reward_tuner;

struct SoftRatioOptions {
  double pull = 1.0;            ///< factor on the squared change of log-probabilities, > 0
  rt::RoundOptions round = {};  ///< how a round is sampled and trained
};
REWARD_TUNER_FIELDS(SoftRatioOptions, pull, round);

/// L = -A * ratio + pull/2 * (log p_theta - log p_old)^2 for each row: where ClippedRatio cuts the ratio off, this
/// pulls it back to 1 ever harder, so that there is a gradient everywhere.
class SoftRatio {
 public:
  using Role = rt::ObjectiveRole;
  using Options = SoftRatioOptions;
  static constexpr std::string_view kName = "soft_ratio";
  static constexpr rt::Surrogate kSurrogate = rt::Surrogate::kLogProb;

  explicit SoftRatio(SoftRatioOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.pull > 0 && std::isfinite(options_.pull), "[SoftRatio] pull must be > 0, got ",
                       options_.pull);
    check_options(options_.round);
  }
  const SoftRatioOptions& options() const { return options_; }

  rt::Tensor losses(const rt::PolicyRows& rows) const {
    const rt::Tensor change = rows.log_probs - rows.old_log_probs;  // [n]
    return -rows.advantages * rows.ratios() + 0.5 * options_.pull * change.square();
  }

 private:
  SoftRatioOptions options_;
};
static_assert(rt::LogProbObjective<SoftRatio>);

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  auto pipeline = rt::StableDiffusion::load(argc > 2 ? argv[2] : "examples/models/tiny-shapes");
  auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 4, .targets = {"all"}});
  rt::AdamW optimizer(lora.parameters(), {.learning_rate = 1e-3});

  // PerGroup compares the images of a prompt; the two optimizer steps of a round are what the pull is for
  rt::RewardTuner<rt::BrightnessReward, SoftRatio, rt::PerGroup> tuner(
      rt::BrightnessReward(), {.sampler = {.num_steps = 6, .guidance = 2.0},
                               .objective = {.pull = 2.0, .round = {.samples_per_prompt = 4, .updates_per_epoch = 2}}});
  rt::PromptSet prompts({"a red circle", "a green square", "a yellow star", "a white ring"});
  rt::Rng rng(0);
  for (int round = 0; round < rounds; ++round)
    std::cout << tuner.update(pipeline, optimizer, prompts.draw(2, rng), rng) << '\n';
}
