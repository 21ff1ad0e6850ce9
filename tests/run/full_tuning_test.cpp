// Full tuning in a run: its peak of every update; with 8-bit moments near AdamW's weights, resumed bit for bit, and
// refused by another optimizer.
#include <doctest/doctest.h>

#include <ATen/ops/equal.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/optim/adamw_8bit.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/run/trained_weights.hpp>
#include <reward_tuner/run/trainer.hpp>

#include <tests/reference/same_run.hpp>
#include <tests/reference/small_run.hpp>
#include <tests/reference/tensor_lists.hpp>

namespace full_tuning_test {
namespace {

using namespace reward_tuner;

constexpr AdamWOptions kAdamW{.learning_rate = 1e-3, .beta2 = 0.99};
constexpr AdamW8bitOptions kAdamW8bit{.learning_rate = 1e-3, .beta2 = 0.99, .smallest = 64};

/// Tunes the whole network in a folder; returns its weights.
template <class Optim, class Options>
std::vector<Tensor> tune(const std::filesystem::path& model, const std::filesystem::path& folder,
                         Options optimizer_options, std::int64_t updates, bool resume = false) {
  auto pipeline = StableDiffusion::load(model);
  Optim optimizer(pipeline.train_unet(/*keep_reference=*/false), optimizer_options);
  auto tuner = make<DRTune>(
      SymmetryReward(), {.sampler = {.num_steps = 4, .guidance = 2}, .steps = {.num_trained = 2, .max_early_stop = 0}});
  auto options = reference::small_run_options(updates, 0, 4);
  options.planned_updates = 8;
  options.ema_decay = 0;
  options.learning_rate.warm_up = 0;
  options.tensorboard = false;
  options.resume = resume;
  const std::vector<std::string> prompts{"a red circle", "a blue square"};
  Trainer trainer(tuner, pipeline, optimizer, PromptSet(prompts),
                  {folder, trained_unet(pipeline), evaluation_pairs(prompts, 1, 100)}, options);
  trainer.run();
  return reference::copies(pipeline.unet().parameters());
}

}  // namespace

TEST_CASE("every update of a run of full tuning has one peak, and leaves no gradients beside evaluations") {
  const reference::TinyModel model;
  const reference::TemporaryFolder runs;
  auto pipeline = StableDiffusion::load(model.path());
  AdamW optimizer(pipeline.train_unet(), kAdamW);
  auto tuner = make<DRTune>(
      SymmetryReward(), {.sampler = {.num_steps = 4, .guidance = 2}, .steps = {.num_trained = 2, .max_early_stop = 0}});
  auto options = reference::small_run_options(3, 1, 0);
  options.ema_decay = 0.9;
  options.learning_rate.warm_up = 0;
  std::vector<std::int64_t> peaks;
  const auto gradients = [&] {
    std::int64_t count = 0;
    for (const Tensor& p : optimizer.parameters()) count += p.grad().defined() ? 1 : 0;
    return count;
  };
  options.on_update = [&](const UpdateReport& report) {
    peaks.push_back(report.peak_tensor_bytes);
    CHECK(gradients() == 0);
  };
  const std::vector<std::string> prompts{"a red circle", "a blue square"};
  Trainer trainer(tuner, pipeline, optimizer, PromptSet(prompts),
                  {runs / "run", trained_unet(pipeline), evaluation_pairs(prompts, 1, 100)}, options);
  trainer.run();
  REQUIRE(peaks.size() == 3);
  CHECK(peaks[1] == peaks[2]);
  CHECK(std::abs(static_cast<double>(peaks[0]) / static_cast<double>(peaks[1]) - 1) < 0.01);
}

TEST_CASE("full tuning with 8-bit moments stays near AdamW, and a resumed run is the uninterrupted one bit for bit") {
  const reference::TinyModel model;
  const reference::TemporaryFolder runs;
  const auto start = reference::copies(StableDiffusion::load(model.path()).unet().parameters());
  const auto exact = tune<AdamW>(model.path(), runs / "exact", kAdamW, 8);
  const auto whole = tune<AdamW8bit>(model.path(), runs / "whole", kAdamW8bit, 8);
  double way = 0, apart = 0;
  for (std::size_t i = 0; i < start.size(); ++i) {
    way += (exact[i] - start[i]).square().sum().item<double>();
    apart += (whole[i] - exact[i]).square().sum().item<double>();
  }
  MESSAGE("distance to AdamW's weights in parts of their way: ", std::sqrt(apart / way));
  CHECK(std::sqrt(apart / way) < 0.1);
  CHECK(apart > 0);

  tune<AdamW8bit>(model.path(), runs / "parts", kAdamW8bit, 4);
  const auto resumed = tune<AdamW8bit>(model.path(), runs / "parts", kAdamW8bit, 8, /*resume=*/true);
  CHECK(reference::bit_equal(resumed, whole));
  const auto a = CheckpointFolder(runs / "whole" / "checkpoints").load(8),
             b = CheckpointFolder(runs / "parts" / "checkpoints").load(8);
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (const auto& entry : a.tensors) CHECK_MESSAGE(at::equal(entry.second, b.tensors.at(entry.first)), entry.first);
  CHECK(reference::bytes(runs / "whole" / "metrics.jsonl") == reference::bytes(runs / "parts" / "metrics.jsonl"));

  CHECK_THROWS_WITH_AS(tune<AdamW>(model.path(), runs / "parts", kAdamW, 12, true), doctest::Contains("optimizer"),
                       Error);
  auto other = kAdamW8bit;
  other.block = 128;
  CHECK_THROWS_WITH_AS(tune<AdamW8bit>(model.path(), runs / "parts", other, 12, true), doctest::Contains("block"),
                       Error);
}

}  // namespace full_tuning_test
