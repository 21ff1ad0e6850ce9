// Rollouts without gradient as they are and with captured network calls (engine.capture_rollout): seconds of both, and
// how far their ends differ. On a device without a recorder both are the same, and the answer says why.
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <benchmarks/guarded.hpp>
#include <benchmarks/race.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/engine/configured_pipeline.hpp>
#include <reward_tuner/engine/rollout.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/samplers/ddim.hpp>

namespace {

using namespace bench;

struct Rollouts {
  std::vector<double> seconds;
  Tensor end;  // [B,C,h,w] in double, on the CPU
};

/// Equal rollouts, one after another.
Rollouts rollouts(const Settings& s, rt::StableDiffusion& pipeline, bool capture) {
  const rt::EngineOptions engine{.capture_rollout = capture};
  rt::ConfiguredPipeline<rt::StableDiffusion> configured(pipeline, engine);
  const auto schedule =
      rt::Ddim({.num_steps = s.steps, .guidance = s.guidance, .eta = 1.0}).schedule(pipeline.noise_schedule());
  const torch::NoGradGuard no_grad;
  const rt::RolloutSetup setup = rt::sampling_setup(schedule, configured.encode(prompts(s.batch)), s.guidance);
  const at::Device device = pipeline.latent_options().device();
  Rollouts out;
  for (int i = -s.warm_up; i < s.updates; ++i) {
    std::vector<std::uint64_t> seeds;
    for (int sample = 0; sample < s.batch; ++sample) seeds.push_back(static_cast<std::uint64_t>(sample));
    rt::SampleNoise noise(seeds);
    rt::NetworkCounts counts;
    wait_for(device);
    const Clock clock;
    const Tensor end = rt::rollout(configured, setup, noise, counts).clean;
    wait_for(device);
    if (i >= 0) out.seconds.push_back(clock.wall());
    out.end = end.cpu().to(at::kDouble);
  }
  return out;
}

int run(int argc, char** argv) {
  CLI::App app("Times rollouts with and without captured network calls, as JSON.", "bench_rollout");
  Settings s;
  s.updates = 3, s.warm_up = 1, s.steps = 20, s.guidance = 7.5;
  app.add_option("--model", s.model, "diffusers folder")->required();
  const auto positive = [&](const char* flag, int& value, const char* help) {
    app.add_option(flag, value, help)->check(CLI::PositiveNumber)->capture_default_str();
  };
  positive("--steps", s.steps, "T, sampler steps");
  positive("--batch", s.batch, "images");
  positive("--threads", s.threads, "threads of a tensor operation");
  positive("--rollouts", s.updates, "timed rollouts of either kind");
  positive("--rank", s.rank, "rank of the LoRA, which is merged");
  app.add_option("--warm-up", s.warm_up, "rollouts before those")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--guidance", s.guidance, "guidance scale")->capture_default_str();
  app.add_option("--device", s.device, "cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--dtype", s.dtype, "of the frozen weights")
      ->check(CLI::IsMember({"float32", "bfloat16", "float16"}))
      ->capture_default_str();
  app.add_option("--tolerance", s.tolerance, "exit with 3 if the ends differ by more, relative to their norm")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  prepare_process(s.threads);
  rt::StableDiffusionOptions options;
  if (const auto type = low_type(s.dtype)) options.dtype = *type;
  options.device = at::Device(s.device);
  auto pipeline = rt::StableDiffusion::load(s.model, options);
  const auto lora = attach(pipeline, s.rank);
  {
    const torch::NoGradGuard no_grad;
    rt::Rng rng(1);
    for (auto& [name, value] : lora.named_parameters())
      if (name.find("lora_B") != std::string::npos) value.copy_(0.02 * rng.normal(value.sizes()));
  }
  std::string why;
  const rt::NoteScope notes([&](const std::string& text) { why += (why.empty() ? "" : "; ") + text; });
  const Rollouts plain = rollouts(s, pipeline, false), captured = rollouts(s, pipeline, true);
  const double difference = ((captured.end - plain.end).norm() / plain.end.norm()).item<double>();
  const auto counts = pipeline.capture_counts();
  std::cout << nlohmann::json{{"batch", s.batch},
                              {"steps", s.steps},
                              {"dtype", s.dtype},
                              {"plain", plain.seconds},
                              {"captured", captured.seconds},
                              {"relative_difference", difference},
                              {"largest_difference", (captured.end - plain.end).abs().max().item<double>()},
                              {"calls",
                               {{"plain", counts.plain}, {"recorded", counts.recorded}, {"replayed", counts.replayed}}},
                              {"attention", measured_attention(pipeline)},
                              {"not_captured", why}}
                   .dump(1)
            << '\n';
  return difference <= s.tolerance ? 0 : 3;  // NaN too
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(run, argc, argv); }
