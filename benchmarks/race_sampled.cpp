// bench_race of the methods that learn from samples, each with the defaults of its paper but for its number of images:
// the batch, two of a prompt where images are compared.
#include <stdexcept>

#include <benchmarks/race.hpp>
#include <reward_tuner/methods/b2_diffurl.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/dpo.hpp>
#include <reward_tuner/methods/dpok.hpp>
#include <reward_tuner/methods/grpo.hpp>
#include <reward_tuner/methods/lsrl.hpp>
#include <reward_tuner/methods/policy_gradient.hpp>
#include <reward_tuner/methods/reward_weighted.hpp>

namespace bench {

nlohmann::json race_sampled(const Settings& s, rt::StableDiffusion& pipeline) {
  const rt::DdimOptions sampler{.num_steps = s.steps, .guidance = s.guidance, .eta = 1.0};
  const auto engine = engine_options(s);
  const auto reward = symmetry();
  if (s.batch % 2 != 0)
    throw std::runtime_error("--batch expected an even number of images, two of a prompt, got " +
                             std::to_string(s.batch));
  const int pairs = s.batch / 2;
  // the Python loops weigh all steps alike
  const auto round = [](int samples) {
    return rt::RoundOptions{.samples_per_prompt = samples, .step_weights = rt::StepWeights::kEqual};
  };
  const rt::RoundOptions one = round(1), two = round(2);
  const rt::BestAndWorstOptions both{.num_branches = 2, .threshold = 0};  // whatever their scores, both are trained
  if (s.method == "ddpo")
    return race(s, pipeline,
                rt::make<rt::DDPO>(reward, {.sampler = sampler, .objective = {.round = one}, .engine = engine}));
  if (s.method == "grpo")
    return race(s, pipeline,
                rt::make<rt::GRPO>(reward, {.sampler = sampler, .objective = {.round = two}, .engine = engine}), pairs);
  if (s.method == "pg")
    return race(
        s, pipeline,
        rt::make<rt::PolicyGradient>(reward, {.sampler = sampler, .objective = {.round = one}, .engine = engine}));
  if (s.method == "dpok")
    return race(s, pipeline,
                rt::make<rt::DPOK>(reward, {.sampler = sampler, .objective = {.round = one}, .engine = engine}));
  if (s.method == "dpo")
    return race(
        s, pipeline,
        rt::make<rt::DPO>(reward,
                          {.sampler = sampler, .objective = {.round = round(0)}, .branching = both, .engine = engine}),
        pairs);
  if (s.method == "b2-ddpo")
    return race(s, pipeline,
                rt::make<rt::B2DiffuRL>(reward, {.sampler = sampler,
                                                 .steps = {.rounds = 100},
                                                 .objective = {.round = round(0)},
                                                 .branching = both,
                                                 .engine = engine}),
                pairs);
  if (s.method == "lsrl")
    return race(s, pipeline,
                rt::make<rt::LSRL>(reward, {.sampler = sampler, .objective = {.round = one}, .engine = engine}));
  const bool raft = s.method == "raft";
  return race(s, pipeline,
              rt::make<rt::RewardWeightedTraining>(
                  reward, {.sampler = sampler,
                           .objective = {.weighting = raft ? rt::RewardWeighting::kBest : rt::RewardWeighting::kMinMax,
                                         .frozen = !raft,
                                         .round = two},
                           .engine = engine}),
              pairs);
}

}  // namespace bench
