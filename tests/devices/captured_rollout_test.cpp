// Rollouts of the shipped Stable Diffusion with captured network calls on the device of REWARD_TUNER_TEST_DEVICE: the
// plain rollout's latents, over weights that change, in every type. Without CUDA graphs (the CPU, or a build without
// REWARDTUNER_CUDA) a sentence says that nothing is captured, and both run plainly.
#include <doctest/doctest.h>

#include <torch/types.h>

#include <string>
#include <vector>

#include <reward_tuner/core/note.hpp>
#include <reward_tuner/engine/configured_pipeline.hpp>
#include <reward_tuner/engine/rollout.hpp>
#include <reward_tuner/layers/graph_recorder.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/samplers/ddim.hpp>

#include <tests/reference/test_device.hpp>

TEST_CASE("captured rollouts on the device are the plain ones, over changing weights, prompts and sizes") {
  using namespace reward_tuner;
  const at::Device device = reference::test_device();
  const bool captures = graph_recorder().record && graph_recorder().device == device.type();
  std::vector<std::string> said;
  const NoteScope notes([&](const std::string& text) { said.push_back(text); });
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    if (dtype != at::kFloat && device.is_cpu()) continue;  // where both run plainly, once is enough
    CAPTURE(std::string(c10::toString(dtype)));
    auto pipeline = StableDiffusion::load(REWARD_TUNER_SOURCE_DIR "/examples/models/tiny-shapes",
                                          {.device = device, .dtype = dtype});
    const auto lora = Lora::attach(pipeline.unet(), {.rank = 4});
    const torch::NoGradGuard no_grad;
    Rng rng(9);
    std::int64_t recorded = 0;
    for (int round = 0; round < (device.is_cpu() ? 1 : 3); ++round) {
      for (const auto& [name, value] : lora.named_parameters()) {
        const Tensor change = 0.02 * rng.normal(value.sizes());
        Tensor(value).add_(change.to(device));
      }
      for (const auto& prompts : {std::vector<std::string>{"a red circle", "a blue square"}, {"a green star"}})
        for (const double guidance : {1.0, 4.0}) {
          const auto run = [&](bool capture) {
            const EngineOptions engine{.capture_rollout = capture};
            ConfiguredPipeline<StableDiffusion> configured(pipeline, engine);
            const auto schedule = Ddim({.num_steps = 6, .eta = 1.0}).schedule(pipeline.noise_schedule());
            SampleNoise noise(std::vector<std::uint64_t>(prompts.size(), 5));
            NetworkCounts counts;
            return rollout(configured, sampling_setup(schedule, configured.encode(prompts), guidance), noise, counts)
                .clean.cpu()
                .to(at::kDouble);
          };
          const Tensor plain = run(false), captured = run(true);
          const double error = ((captured - plain).norm() / plain.norm()).item<double>();
          CHECK(error <= (dtype == at::kFloat ? 1e-4 : 2e-2));  // 0 where the libraries take the same kernels
          CHECK_MESSAGE(captured.isfinite().all().item<bool>(), "not finite");
        }
      const CaptureCounts counts = pipeline.capture_counts();
      if (round == 0) recorded = counts.recorded;
      CHECK(counts.recorded >= (captures ? 3 : 0));  // of 1, 2 and 4 rows
      CHECK(counts.recorded <= (captures ? 4 : 0));
      CHECK(counts.recorded == recorded);
      CHECK(counts.plain == recorded);
      CHECK(counts.replayed == (captures ? (round + 1) * 4 * 6 - counts.plain : 0));
    }
  }
  CHECK(said.size() == (captures ? 0 : 1));
  for (const std::string& text : said) MESSAGE(text);
}
