// A sampler of your own: a table of steps made from the model's noise levels. The same class serves direct gradients
// and, with noise in its steps, objectives on log-probabilities.
// Usage: 09_own_sampler [UPDATES [MODEL_FOLDER]]
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/reward_tuner.hpp>
#include <reward_tuner/run/prompt_set.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <string_view>

namespace rt = reward_tuner;

struct LateQuietOptions {
  int num_steps = 20;     ///< T, steps of a rollout
  double guidance = 5.0;  ///< classifier-free guidance scale; 1 evaluates the condition alone
  double churn = 0.0;     ///< share of each step's noise level that is drawn anew, in [0, 1)
  int quiet_steps = 1;    ///< last steps without noise, >= 0, so that the image ends clean
};
REWARD_TUNER_FIELDS(LateQuietOptions, num_steps, guidance, churn, quiet_steps);

/// x' = sqrt(abar') x0 + sqrt(1 - abar' - s^2) eps + s z with s = churn * sqrt(1 - abar'), and s = 0 in the last
/// `quiet_steps` steps. The marginals are those of DDIM for every churn.
class LateQuiet {
 public:
  using Role = rt::SamplerRole;
  using Options = LateQuietOptions;
  static constexpr std::string_view kName = "late_quiet";
  static constexpr bool kStochastic = true;  ///< with churn > 0

  explicit LateQuiet(LateQuietOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.num_steps >= 1, "[LateQuiet] num_steps must be >= 1, got ", options_.num_steps);
    REWARD_TUNER_CHECK(options_.churn >= 0 && options_.churn < 1, "[LateQuiet] churn must be in [0, 1), got ",
                       options_.churn);
    REWARD_TUNER_CHECK(options_.quiet_steps >= 0, "[LateQuiet] quiet_steps must be >= 0, got ", options_.quiet_steps);
  }
  double guidance() const { return options_.guidance; }
  /// Objectives on log-probabilities need noise: half of it where nobody says how much.
  static LateQuietOptions stochastic(LateQuietOptions options) {
    if (options.churn == 0) options.churn = 0.5;
    return options;
  }

  rt::SamplerSchedule schedule(const rt::NoiseSchedule& noise) const {
    const auto times =
        noise.timesteps(options_.num_steps, noise.config().spacing.value_or(rt::TimestepSpacing::kLeading));
    rt::SamplerSchedule out{.steps = {}, .clipping = noise.config().clipping};
    for (std::size_t k = 0; k < times.size(); ++k) {
      const double abar = noise.abar(times[k]);
      const double abar_next = k + 1 < times.size() ? noise.abar(times[k + 1]) : noise.final_abar();
      rt::SamplerStep step = rt::make_step(times[k], abar, abar_next, noise.config().prediction);
      const bool quiet = k + static_cast<std::size_t>(options_.quiet_steps) >= times.size();
      step.noise = quiet ? 0.0 : options_.churn * std::sqrt(1 - abar_next);
      step.direction = std::sqrt(std::max(0.0, 1 - abar_next - step.noise * step.noise));
      out.steps.push_back(step);
    }
    return out;
  }

 private:
  LateQuietOptions options_;
};
static_assert(rt::StochasticSampler<LateQuiet>);

int main(int argc, char** argv) {
  const int updates = argc > 1 ? std::atoi(argv[1]) : 10;
  auto pipeline = rt::StableDiffusion::load(argc > 2 ? argv[2] : "examples/models/tiny-shapes");
  auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 4, .targets = {"all"}});
  rt::AdamW optimizer(lora.parameters(), {.learning_rate = 1e-3});

  auto drtune = rt::make<rt::DRTune, LateQuiet>(
      rt::SymmetryReward(), {.sampler = {.num_steps = 8, .guidance = 3.0}, .steps = {.num_trained = 2}});
  auto ddpo = rt::make<rt::DDPO, LateQuiet>(rt::BrightnessReward(), {.sampler = {.num_steps = 6, .guidance = 3.0}});
  rt::PromptSet prompts({"a red circle", "a green square", "a yellow star", "a white ring"});
  rt::Rng rng(0);
  for (int update = 0; update < updates; ++update) {
    std::cout << drtune.update(pipeline, optimizer, prompts.draw(4, rng), rng) << '\n';
    std::cout << ddpo.update(pipeline, optimizer, prompts.draw(4, rng), rng) << '\n';
  }
}
