// Every spelling that README and docs show compiles inside a function template and inside a generic lambda too: g++ 12
// has failed there on default member initializers that are fine outside.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include <reward_tuner/reward_tuner.hpp>
#include <reward_tuner/run/captioned_images.hpp>
#include <reward_tuner/run/prompt_set.hpp>

namespace documented_spellings_test {
namespace {

namespace rt = reward_tuner;

/// What the documents say, with the pipeline's and the reward's type as parameters. Compiled, not called.
template <class Pipeline, class MyReward>
void in_a_template(Pipeline& pipeline, const MyReward& reward) {
  // README and docs/models.md
  auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 8});
  auto all = rt::Lora::attach(pipeline.unet(), {.rank = 8, .targets = {"all"}});
  auto text = rt::Lora::attach(pipeline.text_encoder(), {.rank = 8, .targets = {"q_proj", "v_proj"}}, "text_encoder");
  auto plain = rt::Lora::attach(pipeline.unet());
  auto loras = rt::load_loras(pipeline, {{"style"}, {"character.safetensors", 0.7}});
  auto begun = rt::load_lora(pipeline, "style");
  rt::save_loras("both", {&lora, &text});
  rt::AdamW optimizer(lora.parameters(), {.learning_rate = 1e-3});
  auto loaded = rt::StableDiffusion::load("folder", {.negative_prompt = "blurry"});
  auto tuner = rt::make<rt::DRTune>(
      rt::SymmetryReward({.text_weight = 1.0}),
      {.sampler = {.num_steps = 20, .guidance = 5.0}, .steps = {.num_trained = 2, .max_early_stop = 8}});
  rt::PromptSet prompts = rt::PromptSet::from_file("examples/tune/prompts_train.txt");
  rt::Rng rng(0);
  const rt::UpdateReport report = tuner.update(pipeline, optimizer, prompts.draw(8, rng), rng);
  // README and docs/tour.md
  auto drtune = rt::make<rt::DRTune>(reward);
  auto draft = rt::make<rt::DRaFT>(reward);
  auto refl = rt::make<rt::ReFL>(reward);
  auto align = rt::make<rt::AlignProp>(reward);
  auto stopped = rt::make<rt::AlignProp, rt::StopInput>(reward);
  auto ddpo = rt::make<rt::DDPO>(reward);
  auto b2 = rt::make<rt::B2DiffuRL>(reward);
  auto other_sampler = rt::make<rt::DRTune, rt::Ddpm>(reward);
  auto near = rt::make<rt::DRTune, rt::KlToReference>(reward, {.regularizer = {.weight = 0.5}});
  auto mixed = rt::make<rt::B2DiffuRL, rt::KlRegularized>(reward);
  rt::RewardTuner<rt::LastSteps, MyReward, rt::StopInput> in_any_order(reward);
  // docs/methods.md
  auto images = std::make_shared<const rt::CaptionedImages>(rt::CaptionedImages::from_folder("images"));
  auto pretrained = rt::make<rt::ReFL, rt::PretrainingLoss>(
      reward, {.objective = {.scale = 1e-3, .loss = rt::RewardLoss::kHinge, .target = 2.0},
               .regularizer = {.images = images, .weight = 1.0}});
  // docs/rewards.md
  auto mean = rt::make<rt::DRTune>(rt::differentiable([](const rt::Tensor& x) { return x.mean({1, 2, 3}); }));
  auto sum = rt::weighted_sum(rt::weighted(1.0, rt::SymmetryReward()), rt::weighted(0.5, rt::BrightnessReward()));
  // options of networks, whose defaults are lists too
  rt::UNet2DConditionConfig unet{.sample_size = 16};
  rt::AutoencoderKLConfig vae{.scaling_factor = 0.5};
  static_cast<void>(report);
}

}  // namespace

TEST_CASE("documented spellings compile in a function template and in a generic lambda") {
  void (*compiled)(rt::StableDiffusion&, const rt::SymmetryReward&) = in_a_template;  // its body is compiled here
  const auto in_a_lambda = [](auto& pipeline, const auto& reward) {
    auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 8});
    auto all = rt::Lora::attach(pipeline.unet(), {.rank = 8, .targets = {"all"}});
    auto loras = rt::load_loras(pipeline, {{"style"}, {"character.safetensors", 0.7}});
    rt::AdamW optimizer(lora.parameters(), {.learning_rate = 1e-3});
    auto near = rt::make<rt::DRTune, rt::KlToReference>(reward, {.regularizer = {.weight = 0.5}});
    auto tuner = rt::make<rt::DRTune>(
        rt::SymmetryReward({.text_weight = 1.0}),
        {.sampler = {.num_steps = 20, .guidance = 5.0}, .steps = {.num_trained = 2, .max_early_stop = 8}});
  };
  compiled = in_a_lambda;
  static_cast<void>(compiled);
}

TEST_CASE("documented spellings: the targets are what the documents say") {
  const auto targets = [](auto rank) { return rt::LoraOptions{.rank = rank}.targets; };
  CHECK(targets(4) == std::vector<std::string>{"to_q", "to_k", "to_v", "to_out.0"});
}

}  // namespace documented_spellings_test
