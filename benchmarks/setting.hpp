// What all benchmark programs share: options, the model with a LoRA on it, and what the JSON says about machine and
// commit.
#pragma once
#include <torch/types.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <benchmarks/machine.hpp>
#include <benchmarks/process.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace bench {

namespace rt = reward_tuner;
using rt::Tensor;

struct Settings {
  std::filesystem::path model;
  int steps = 50, batch = 8, threads = 1;
  std::int64_t rank = 4;
  double guidance = 7.5;
  int repetitions = 3;

  /// Adds the options that every program has. The model may also be named by the environment variable
  /// REWARDTUNER_BENCH_MODEL.
  void add_to(CLI::App& app) {
    const char* named = std::getenv("REWARDTUNER_BENCH_MODEL");
    model = named ? std::filesystem::path(named)
                  : std::filesystem::path(REWARD_TUNER_SOURCE_DIR) / "examples/models/tiny-shapes";
    app.add_option("--model", model,
                   "diffusers folder; without it $REWARDTUNER_BENCH_MODEL, or else examples/models/tiny-shapes");
    app.add_option("--steps", steps, "T, sampler steps")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--batch", batch, "prompts an update")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--threads", threads, "threads of a tensor operation")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--rank", rank, "rank of the LoRA")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--guidance", guidance, "guidance scale")->capture_default_str();
  }
  rt::DdimOptions sampler() const { return {.num_steps = steps, .guidance = guidance, .eta = 1.0}; }
};

inline std::vector<std::string> prompts(int batch) {
  static const std::array<const char*, 8> all = {"a red circle",  "a blue square",    "a green triangle",
                                                 "a yellow star", "a red square",     "a blue circle",
                                                 "a green star",  "a yellow triangle"};
  std::vector<std::string> out;
  for (int i = 0; i < batch; ++i) out.emplace_back(all[static_cast<std::size_t>(i) % all.size()]);
  return out;
}

/// The loss of the DRTune paper (Eq. 6) on the images as they are, negated: cheap, so that the model's cost is what
/// is seen.
inline auto symmetry() {
  return rt::differentiable([](const Tensor& images) { return -rt::literal_symmetry_error(images); });
}
using Symmetry = decltype(symmetry());

/// A pipeline with an attached LoRA whose B is not zero, so that gradients reach A and B alike; `restart()` puts those
/// weights back.
class Model {
 public:
  explicit Model(const Settings& s)
      : pipeline(rt::StableDiffusion::load(s.model)),
        lora(rt::Lora::attach(pipeline.unet(), options(s.rank))),
        optimizer_(lora.parameters()) {
    const torch::NoGradGuard no_grad;
    rt::Rng rng(1);
    for (auto& [name, value] : lora.named_parameters()) {
      if (name.find("lora_B") != std::string::npos) value.copy_(0.02 * rng.normal(value.sizes(), value.options()));
      start_.push_back(value.clone());
    }
  }

  void restart() {
    const torch::NoGradGuard no_grad;
    const auto parameters = lora.parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      Tensor p = parameters[i];
      p.copy_(start_[i]);
      p.mutable_grad().reset();
    }
    optimizer_ = rt::AdamW(parameters, optimizer_options());
  }
  rt::AdamW& optimizer() { return optimizer_; }
  /// All gradients as one vector, in double.
  Tensor gradient() const {
    std::vector<Tensor> parts;
    for (const Tensor& p : lora.parameters())
      if (p.grad().defined()) parts.push_back(p.grad().to(at::kDouble).flatten());
    return at::cat(parts);
  }
  static rt::AdamWOptions optimizer_options() { return {.learning_rate = 2e-5, .weight_decay = 1e-4}; }

  rt::StableDiffusion pipeline;
  rt::Lora lora;

 private:
  static rt::LoraOptions options(std::int64_t rank) {
    rt::LoraOptions out;
    out.rank = rank;
    return out;
  }
  rt::AdamW optimizer_;
  std::vector<Tensor> start_;
};

inline double cosine(const Tensor& a, const Tensor& b) { return (a.dot(b) / (a.norm() * b.norm())).item<double>(); }

/// What the JSON says beside the numbers.
inline std::map<std::string, std::string> context(const Settings& s) {
  auto folder = s.model.lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  auto out = machine();
  out.insert({{"threads", std::to_string(s.threads)},
              {"dtype", "float32"},
              {"model", folder.filename().string()},
              {"steps", std::to_string(s.steps)},
              {"batch", std::to_string(s.batch)},
              {"guidance", std::to_string(s.guidance).substr(0, 4)},
              {"rank", std::to_string(s.rank)}});
  return out;
}

}  // namespace bench
