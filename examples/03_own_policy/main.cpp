// Your own policy: a step selection, which decides the sampler steps that are trained. It is used like the shipped
// ones, and a mistake in it is a compile error of one sentence.
// Usage: 03_own_policy [UPDATES [MODEL_FOLDER]]
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/reward_tuner.hpp>
#include <reward_tuner/run/prompt_set.hpp>

#include <cstdlib>
#include <iostream>
#include <string_view>

namespace rt = reward_tuner;

struct FirstStepsOptions {
  int num_trained = 2;  ///< K, how many of the noisiest steps are trained
};
REWARD_TUNER_FIELDS(FirstStepsOptions, num_trained);  // a resume with other values is refused

/// Trains the K noisiest steps, which decide an image's layout.
class FirstSteps {
 public:
  using Role = rt::StepSelectionRole;
  using Options = FirstStepsOptions;
  static constexpr std::string_view kName = "first_steps";

  explicit FirstSteps(FirstStepsOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.num_trained >= 1, "[FirstSteps] num_trained must be >= 1, got ", options_.num_trained);
  }
  void check(int num_steps) const {
    REWARD_TUNER_CHECK(options_.num_trained <= num_steps, "[FirstSteps] num_trained must be at most ", num_steps,
                       ", got ", options_.num_trained);
  }
  rt::StepPlan plan(const rt::PlanContext& context, rt::Rng&) const {
    rt::StepPlan plan{.last = context.num_steps - 1, .jumps = false, .trained = {}};
    for (int k = 0; k < options_.num_trained; ++k) plan.trained.push_back(k);
    return plan;
  }

 private:
  FirstStepsOptions options_;
};
static_assert(rt::StepSelectionPolicy<FirstSteps>);

int main(int argc, char** argv) {
  const int updates = argc > 1 ? std::atoi(argv[1]) : 20;
  auto pipeline = rt::StableDiffusion::load(argc > 2 ? argv[2] : "examples/models/tiny-shapes");
  auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 4, .targets = {"all"}});
  rt::AdamW optimizer(lora.parameters(), {.learning_rate = 1e-3});

  // Policies may be named in any order; the other roles have defaults (here Ddim and StopInput).
  rt::RewardTuner<FirstSteps, rt::SymmetryReward> tuner(
      rt::SymmetryReward(), {.sampler = {.num_steps = 10, .guidance = 3.0}, .steps = {.num_trained = 3}});
  rt::PromptSet prompts({"a red circle", "a green square", "a yellow star", "a white ring"});
  rt::Rng rng(0);
  for (int update = 0; update < updates; ++update)
    std::cout << tuner.update(pipeline, optimizer, prompts.draw(4, rng), rng) << '\n';
}
