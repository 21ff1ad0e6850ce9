// Every recipe makes its method's tuner in one line. tests/programs/recipes_test.cpp compares the numbers with those in
// the files of rt-tune.
#include <doctest/doctest.h>

#include <memory>
#include <type_traits>

#include <reward_tuner/recipes/b2_diffurl.hpp>
#include <reward_tuner/recipes/ddpo.hpp>
#include <reward_tuner/recipes/diffexp.hpp>
#include <reward_tuner/recipes/dpok.hpp>
#include <reward_tuner/recipes/drtune.hpp>
#include <reward_tuner/recipes/lsrl.hpp>
#include <reward_tuner/rewards/brightness.hpp>
#include <reward_tuner/rewards/callable.hpp>

namespace recipes_test {
namespace {

using namespace reward_tuner;

auto detail_of_images() {
  return black_box([](const Tensor& images) { return images.flatten(1).std(1); });
}

}  // namespace
}  // namespace recipes_test

TEST_CASE("a recipe makes its method's tuner in one line, for any reward") {
  using namespace recipes_test;
  const BrightnessReward reward;
  CHECK(make<DRTune, Ddpm>(reward, recipes::drtune_sd15()).options().steps.max_early_stop == 20);
  CHECK(make<DRTune, Ddpm>(reward, recipes::drtune_sd21()).options().sampler.num_steps == 50);
  CHECK(make<DRTune, DpmSolver>(reward, recipes::drtune_fdxl()).options().sampler.num_steps == 25);
  CHECK(make<DRaFT, Ddpm>(reward, recipes::draft_sd15()).options().steps.num_trained == 10);
  CHECK(make<DRaFTLV, Ddpm>(reward, recipes::draft_lv_sd15()).options().steps.num_noises == 2);
  CHECK(make<ReFL, Ddpm>(reward, recipes::refl_sd15()).options().steps.max_stop == 10);
  CHECK(make<AlignProp, Ddpm>(reward, recipes::alignprop_sd15()).options().engine.gradient_clip == 0.1);
  CHECK(make<AlignProp, DiffExp>(reward, recipes::diffexp_alignprop()).options().objective.target == 10);
  CHECK(make<ReFL, PretrainingLoss>(reward, recipes::refl()).options().objective.scale == 1e-3);
  CHECK(make<DRaFTLV>(reward, recipes::draft_lv_sd2()).options().sampler.guidance == 7);
  const auto black = detail_of_images();
  CHECK(make<DDPO>(black, recipes::ddpo()).options().objective.clip_nats == 1.64);
  CHECK(make<DDPO>(reward, recipes::ddpo()).options().objective.round.updates_per_epoch == 2);
  CHECK(make<DPOK>(black, recipes::dpok()).options().objective.value.enabled == true);
  CHECK(make<B2DiffuRL>(black, recipes::b2_diffurl()).options().steps.initial == 14);
  CHECK(make<B2DiffuRL, Reinforce>(black, recipes::b2_pg()).options().branching.num_branches == 3);
  CHECK(make<B2DiffuRL, KlRegularized>(black, recipes::b2_dpok()).options().objective.value.enabled == false);
  CHECK(make<B2DiffuRL, Preference>(black, recipes::b2_dpo()).options().advantage.rounds == 8);
  CHECK(make<DDPO, DiffExp>(black, recipes::diffexp_ddpo()).options().exploration.span.share == 0.75);
  CHECK(make<LSRL>(black, recipes::lsrl()).options().objective.round.step_per_timestep);
  CHECK(make<RewardWeightedTraining, PretrainingLoss>(black, recipes::raft()).options().objective.best == 1);
  CHECK(make<RewardWeightedTraining, PretrainingLoss>(black, recipes::reward_weighted()).options().regularizer.weight ==
        0.5);
}

TEST_CASE("a recipe is a method's options, to which the user adds what is his own") {
  using namespace recipes_test;
  static_assert(std::is_base_of_v<DDPO<BrightnessReward>::Options, decltype(recipes::ddpo())>);
  static_assert(std::is_same_v<DDPO<BrightnessReward>::Options, DDPO<decltype(detail_of_images())>::Options>);
  auto recipe = recipes::ddpo();
  recipe.sampler.num_steps = 10;
  CHECK(make<DDPO>(BrightnessReward(), recipe).options().sampler.num_steps == 10);
  CHECK(recipe.adamw.learning_rate == 3e-4);
  CHECK(recipe.lora->rank == 4);
  CHECK_FALSE(recipes::lsrl().lora.has_value());  // every weight of the UNet
  CHECK_FALSE(recipes::drtune_sd15().updates.has_value());
}
