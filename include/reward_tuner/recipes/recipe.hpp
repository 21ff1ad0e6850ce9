// The form of a recipe: a method's options as a paper has them, with what stands around the tuner.
#pragma once
#include <cstdint>
#include <optional>

#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/rewards/any_reward.hpp>

namespace reward_tuner::recipes {

/// The options of a method with further policies; they are the same type for every reward.
template <template <class...> class Method, class... More>
using OptionsOf = typename Method<AnyReward, More...>::Options;

/// A published method's numbers. It is the options that `make` takes; the rest is for the optimizer and the loop.
/// Numbers without a field are in the recipe's doc comment. Batches are the paper's, over all of its devices unless the
/// recipe says otherwise; engine.micro_batch, which changes no result, is what one of them had at a time.
/// Example: auto recipe = recipes::ddpo();
/// auto tuner = make<DDPO>(reward, recipe);
/// AdamW optimizer(lora.parameters(), recipe.adamw);
template <class TunerOptions>
struct Recipe : TunerOptions {
  AdamWOptions adamw = {};
  std::optional<LoraOptions> lora = {};      ///< unset: every weight of the UNet is trained
  int batch = 1;                             ///< prompts of an update
  std::optional<std::int64_t> updates = {};  ///< of the run; unset: the source gives no number
  std::int64_t random_shift = 0;             ///< wrap the reward in randomly_shifted(reward, random_shift)
  double saved_strength = 1;                 ///< of the LoRA in its file: Lora::save(path, saved_strength)
};

}  // namespace reward_tuner::recipes
