// Memory that runs out at any call of the pipeline, and at any allocation, of an update: weights, optimizer and tuner
// are as before, the error names the switches that take less, and the next update is as if nothing had been.
#include <doctest/doctest.h>

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/optim/adamw_8bit.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/rewards/brightness.hpp>
#include <reward_tuner/tuner/reward_tuner.hpp>

#include <tests/reference/failing_allocator.hpp>
#include <tests/reference/same_run.hpp>
#include <tests/reference/tensor_lists.hpp>
#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>

namespace memory_shortage_test {

using namespace reward_tuner;
using reference::bit_equal;
using reference::copies;

/// A toy whose n-th call from now on finds no memory.
struct FullPipeline : reference::ToyPipeline {
  using ToyPipeline::ToyPipeline;
  std::int64_t fails = 0;
  bool bad_alloc = false;
  std::vector<std::string> switches = {};

  void count() {
    if (--fails != 0) return;
    if (bad_alloc) throw std::bad_alloc();
    C10_THROW_ERROR(OutOfMemoryError, "CUDA out of memory. Tried to allocate 2.00 GiB.\nSecond line.");
  }
  Condition encode(const std::vector<std::string>& prompts) { return count(), ToyPipeline::encode(prompts); }
  Tensor predict(const Tensor& x, const Tensor& t, const Conditioning& c) {
    return count(), ToyPipeline::predict(x, t, c);
  }
  Tensor decode(const Tensor& x) { return count(), ToyPipeline::decode(x); }
  std::vector<std::string> memory_switches() const { return switches; }
};

namespace {

std::vector<Tensor> everything(const auto& optimizer) {
  std::vector<Tensor> all = copies(optimizer.parameters());
  for (const auto& [name, tensor] : optimizer.state()) all.push_back(tensor.clone());
  return all;
}

/// What the error of an update without memory says; empty if there was memory.
std::string shortage(const std::function<void()>& update) {
  try {
    update();
  } catch (const Error& error) {
    const std::string text = error.what();
    CHECK_MESSAGE(text.find(" ran out of memory with ") != std::string::npos, text);
    return text;
  }
  return {};
}

const std::vector<std::string>& prompts() {
  static const std::vector<std::string> all{"a red circle", "a blue square", "a green ring"};
  return all;
}

/// Lets every n-th call of an update fail in turn. After each failure nothing has changed; the update after them is
/// bit-equal to one that never failed.
template <class Tuner>
void every_call(const Tuner& tuner, std::int64_t at_least) {
  FullPipeline pipeline, undisturbed;
  AdamW8bit optimizer(pipeline.parameters(), {.learning_rate = 0.01, .block = 16, .smallest = 20}),
      expected(undisturbed.parameters(), {.learning_rate = 0.01, .block = 16, .smallest = 20});
  Tuner tried = tuner, plain = tuner;
  for (int warm = 0; warm < 2; ++warm) {
    const Rng begin(static_cast<std::uint64_t>(warm));
    const std::vector<Tensor> before = everything(optimizer);
    const TunerState state = tried.state();
    std::int64_t n = 1;
    for (;; ++n) {
      pipeline.fails = n;
      pipeline.bad_alloc = n % 2 == 0;
      Rng rng(static_cast<std::uint64_t>(warm));
      const std::string said = shortage([&] { tried.update(pipeline, optimizer, prompts(), rng); });
      if (said.empty()) break;
      CHECK(said.find("weights and optimizer are as before it") != std::string::npos);
      CHECK(bit_equal(everything(optimizer), before));
      CHECK(tried.state() == state);
      for (const Tensor& p : optimizer.parameters()) CHECK_FALSE(p.grad().defined());
    }
    CHECK(n > at_least);
    Rng rng(static_cast<std::uint64_t>(warm));
    plain.update(undisturbed, expected, prompts(), rng);
    CHECK(bit_equal(everything(optimizer), everything(expected)));
  }
}

}  // namespace

TEST_CASE("memory that runs out at any call of an update that differentiates the reward leaves all as before") {
  for (const auto memory : {Memory::kReplay, Memory::kRetain})
    every_call(make<DRTune, KlToReference>(reference::ToyReward(),
                                           {.sampler = {.num_steps = 4, .guidance = 2},
                                            .steps = {.num_trained = 2},
                                            .regularizer = {.weight = 0.1},
                                            .engine = {.micro_batch = 2, .memory = memory, .decode_batch = 1}}),
               10);
}

TEST_CASE("memory that runs out at any call of a round of one optimizer step leaves all as before") {
  every_call(make<DDPO>(reference::black_box_brightness(), {.sampler = {.num_steps = 4, .guidance = 2},
                                                            .objective = {.round = {.updates_per_epoch = 1}},
                                                            .engine = {.micro_batch = 2}}),
             10);
}

TEST_CASE("a round whose second optimizer step has no memory says that the first stays made") {
  FullPipeline pipeline;
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 0.01});
  auto tuner = make<DDPO>(reference::black_box_brightness(), {.sampler = {.num_steps = 4, .guidance = 2},
                                                              .objective = {.round = {.updates_per_epoch = 3}}});
  Rng rng(1);
  pipeline.fails = 1000;
  tuner.update(pipeline, optimizer, prompts(), rng);
  pipeline.fails = 1000 - pipeline.fails;  // the last call
  const std::vector<Tensor> before = everything(optimizer);
  const std::string said = shortage([&] { tuner.update(pipeline, optimizer, prompts(), rng); });
  CHECK(said.find("[RewardTuner] update 2 ran out of memory") == 0);
  CHECK(said.find("its first 2 optimizer steps stay made") != std::string::npos);
  CHECK_FALSE(bit_equal(everything(optimizer), before));
  CHECK(tuner.state().updates == 1);
}

TEST_CASE("the error names what takes less, and nothing that is in use already") {
  FullPipeline pipeline({.dtype = at::kFloat});
  AdamW optimizer(pipeline.parameters());
  const auto said = [&](EngineOptions engine, std::vector<std::string> own) {
    auto tuner = make<DRTune>(reference::ToyReward(),
                              {.sampler = {.num_steps = 4}, .steps = {.num_trained = 2}, .engine = engine});
    Rng rng(1);
    pipeline.fails = 3;
    pipeline.switches = std::move(own);
    return shortage([&] { tuner.update(pipeline, optimizer, prompts(), rng); });
  };
  const std::string all = said({.memory = Memory::kRetain}, {"StableDiffusionOptions::x"});
  CHECK(all.find("Switches that take less: engine.memory = Memory::kReplay; engine.micro_batch below 3; "
                 "engine.decode_batch below 3; engine.autocast = bfloat16; StableDiffusionOptions::x. The allocator "
                 "said: CUDA out of memory. Tried to allocate 2.00 GiB.") != std::string::npos);
  CHECK(all.find("Second line") == std::string::npos);
  CHECK(said({.micro_batch = 1, .replay_batch = 2, .autocast = at::kBFloat16}, {})
            .find("take less: engine.replay_batch below 2. ") != std::string::npos);
  CHECK(
      said({.micro_batch = 1, .autocast = at::kBFloat16}, {}).find("take less: none is left, but for smaller images") !=
      std::string::npos);
}

TEST_CASE("autocast is no switch of a network that is of lower precision anyway") {
  struct LowPipeline : FullPipeline {
    using FullPipeline::FullPipeline;
    at::ScalarType network_dtype() const { return at::kBFloat16; }  // its latents are float
  };
  const auto names_autocast = [](auto pipeline) {
    const auto all = memory_switches(EngineOptions{}, pipeline, 3);
    return std::find(all.begin(), all.end(), "engine.autocast = bfloat16") != all.end();
  };
  CHECK(names_autocast(FullPipeline({.dtype = at::kFloat})));
  CHECK_FALSE(names_autocast(LowPipeline({.dtype = at::kFloat})));
}

TEST_CASE("AdamW names AdamW8bit where that saves a MiB, and AdamW8bit names nothing") {
  const Tensor large = at::zeros({1 << 20}).requires_grad_(), small = at::zeros({4095}).requires_grad_();
  CHECK(memory_switches(AdamW({large, small})) == std::vector<std::string>{"AdamW8bit instead of AdamW (6 MiB less)"});
  CHECK(memory_switches(AdamW(std::vector<Tensor>(400, small))).empty());
  CHECK(memory_switches(AdamW8bit({large})).empty());
  CHECK(memory_switches(AdamW8bit({large}, {.smallest = 1 << 21})).size() == 1);
}

TEST_CASE("a reward without memory is a shortage, not a fault of the reward") {
  const auto reward =
      differentiable([](const Tensor&) -> Tensor { C10_THROW_ERROR(OutOfMemoryError, "CUDA out of memory."); });
  reference::ToyPipeline pipeline;
  AdamW optimizer(pipeline.parameters());
  auto tuner = make<DRTune>(reward, {.sampler = {.num_steps = 4}, .steps = {.num_trained = 2}});
  Rng rng(1);
  CHECK_FALSE(shortage([&] { tuner.update(pipeline, optimizer, prompts(), rng); }).empty());
  const auto black = black_box([](const Tensor&) -> Tensor { throw std::bad_alloc(); });
  auto sampled = make<DDPO>(black, {.sampler = {.num_steps = 4}});
  CHECK_FALSE(shortage([&] { sampled.update(pipeline, optimizer, prompts(), rng); }).empty());
}

TEST_CASE("memory that runs out at any allocation of an update with a LoRA and a text encoder leaves all as before") {
  const reference::TinyModel model;
  auto pipeline = StableDiffusion::load(model.path()), undisturbed = StableDiffusion::load(model.path());
  const LoraOptions adapter{.rank = 2, .targets = {"to_q", "to_v"}};
  const auto lora = Lora::attach(pipeline.unet(), adapter), other = Lora::attach(undisturbed.unet(), adapter);
  AdamW optimizer(lora.parameters(), {.learning_rate = 0.01}), expected(other.parameters(), {.learning_rate = 0.01});
  const auto tuner = make<DRTune, KlToReference>(
      BrightnessReward(),
      {.sampler = {.num_steps = 2, .guidance = 2}, .steps = {.num_trained = 1}, .regularizer = {.weight = 0.1}});
  auto tried = tuner, plain = tuner;
  const std::vector<Tensor> before = everything(optimizer);
  const auto update = [](auto& t, auto& p, auto& o) {
    Rng rng(4);
    t.update(p, o, {"a red circle"}, rng);
  };
  std::int64_t n = 1, failures = 0;
  for (;; n += 1 + n / 40) {  // every one of the first, then ever fewer
    std::string said;
    {
      const reference::FailingAllocator allocator(n);
      said = shortage([&] { update(tried, pipeline, optimizer); });
    }
    if (said.empty()) break;
    ++failures;
    CHECK(bit_equal(everything(optimizer), before));
    for (const auto& module : pipeline.unet().modules())
      if (const auto layer = std::dynamic_pointer_cast<AdaptableLayer>(module))
        CHECK(layer->mode() == AdapterMode::kApart);
  }
  MESSAGE("allocations of an update: about ", n, ", of which ", failures, " failed in turn");
  CHECK(failures > 100);
  update(plain, undisturbed, expected);
  CHECK(bit_equal(everything(optimizer), everything(expected)));
}

}  // namespace memory_shortage_test
