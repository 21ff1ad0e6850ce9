// What the units of bench_race share: its settings, its reward, and the loop that is timed.
#pragma once
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <benchmarks/process.hpp>
#include <nlohmann/json.hpp>
#include <reward_tuner/core/byte_size.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/tensor/rng.hpp>
#include <reward_tuner/tuner/update_report.hpp>

namespace bench {

namespace rt = reward_tuner;
using rt::Tensor;

struct Settings {
  std::filesystem::path model, json, check;
  std::string method = "drtune", memory = "replay";
  int steps = 50, trained = 5, batch = 8, rank = 4, threads = 1, updates = 5, warm_up = 2, side = 0, replay_batch = 1,
      decode_batch = 0;
  double guidance = 7.5, tolerance = 0;
  bool best = false, activation_checkpointing = false, capture = false, apart = false, vae_tiling = false;
  std::string device = "cpu", dtype = "float32", rollout_dtype = "same", autocast = "off", layout = "own",
              attention = "own";
};

inline std::optional<at::ScalarType> low_type(const std::string& name) {
  if (name == "bfloat16") return at::kBFloat16;
  if (name == "float16") return at::kHalf;
  return std::nullopt;
}

inline rt::Memory memory(const std::string& name) {
  if (name == "replay") return rt::Memory::kReplay;
  if (name == "retain") return rt::Memory::kRetain;
  return rt::Memory::budget(rt::parse_byte_size(name).value());  // checked where it was read
}

inline rt::EngineOptions engine_options(const Settings& s) {
  if (s.best)  // the fastest settings on a CPU with bfloat16 arithmetic, docs/engine.md
    return {.memory = rt::Memory::kRetain, .rollout_dtype = at::kBFloat16, .autocast = at::kBFloat16};
  return {.memory = memory(s.memory),
          .replay_batch = s.replay_batch,
          .decode_batch = s.decode_batch,
          .merge_adapters = !s.apart,
          .rollout_dtype = low_type(s.rollout_dtype),
          .capture_rollout = s.capture,
          .autocast = low_type(s.autocast),
          .activation_checkpointing = s.activation_checkpointing};
}

/// The paper's loss, negated, on images in [-1,1] as Python loops have them: the small number under its fraction then
/// means the same.
inline auto symmetry() {
  return rt::differentiable([](const Tensor& images) { return -rt::literal_symmetry_error(2 * images - 1); });
}
using Symmetry = decltype(symmetry());

inline std::vector<std::string> prompts(int batch) {
  static const std::vector<std::string> all = {"a photo of a cat", "a photo of a dog",   "a painting of a horse",
                                               "a red fox",        "a blue bird",        "two round frogs",
                                               "a yellow star",    "a snake on a square"};
  std::vector<std::string> out;
  for (int i = 0; i < batch; ++i) out.push_back(all[static_cast<std::size_t>(i) % all.size()]);
  return out;
}

inline rt::Lora attach(rt::StableDiffusion& pipeline, std::int64_t rank) {
  return rt::Lora::attach(pipeline.unet(), {.rank = rank});
}

/// Until the device has done everything that it was given.
inline void wait_for(at::Device device) {
  if (device.is_cpu()) return;
  const c10::impl::VirtualGuardImpl guard(device.type());
  guard.synchronizeDevice(device.has_index() ? device.index() : guard.getDevice().index());
}

/// The attention kernels that the pipeline measured: what was called, what was chosen, and microseconds of each.
inline nlohmann::json measured_attention(const rt::StableDiffusion& pipeline) {
  nlohmann::json out = nlohmann::json::array();
  if (!pipeline.attention_choice()) return out;
  for (const auto& [form, measured] : pipeline.attention_choice()->measured()) {
    nlohmann::json microseconds;
    for (const auto& [kernel, seconds] : measured.seconds)
      microseconds[std::string(rt::attention_kernel_name(kernel))] = 1e6 * seconds;
    out.push_back({{"type", c10::toString(form.type)},
                   {"rows", form.rows},
                   {"queries", form.queries},
                   {"keys", form.keys},
                   {"width", form.width},
                   {"kernel", rt::attention_kernel_name(measured.kernel)},
                   {"microseconds", microseconds}});
  }
  return out;
}

/// Warm-up and timed updates of `roots` prompts each, 0: the batch's.
template <class Tuner>
nlohmann::json race(const Settings& s, rt::StableDiffusion& pipeline, Tuner tuner, int roots = 0) {
  const auto lora = attach(pipeline, s.rank);
  rt::AdamW optimizer(lora.parameters(), {.learning_rate = 2e-5, .weight_decay = 1e-4});
  rt::Rng rng(0);
  nlohmann::json updates = nlohmann::json::array(), losses = nlohmann::json::array();
  std::int64_t peak = 0;
  rt::UpdateReport report;
  for (int i = -s.warm_up; i < s.updates; ++i) {
    const bench::Clock clock;
    report = tuner.update(pipeline, optimizer, prompts(roots > 0 ? roots : s.batch), rng);
    wait_for(pipeline.latent_options().device());
    if (report.skipped)
      throw std::runtime_error("an update was skipped, whose time says nothing: " + report.skip_reason);
    if (report.kept == 0 || report.optimizer_steps == 0)
      throw std::runtime_error("an update trained on nothing, so that its time says nothing: " + report.idle_reason);
    if (i >= 0) updates.push_back({{"wall", clock.wall()}, {"cpu", clock.cpu()}, {"flops", report.flops.total()}});
    losses.push_back(report.loss);
    peak = std::max(peak, report.peak_tensor_bytes);
  }
  return {{"updates", updates},
          {"peak_tensor_bytes", peak},
          {"network", {{"forwards", report.forwards}, {"backwards", report.backwards}, {"retained", report.retained}}},
          {"images", report.images},
          {"attention", measured_attention(pipeline)},
          {"losses", losses}};
}

/// Of the methods that learn from samples (race_sampled.cpp), by name; null for a name that is none of them.
nlohmann::json race_sampled(const Settings& s, rt::StableDiffusion& pipeline);

/// Names of the methods that follow the reward's gradient, and of those that learn from samples.
inline const std::vector<std::string> kDirect = {"drtune", "draft", "draft-lv", "refl", "alignprop"};
inline const std::vector<std::string> kSampled = {"ddpo",    "grpo", "pg",   "dpok",           "dpo",
                                                  "b2-ddpo", "lsrl", "raft", "reward-weighted"};

}  // namespace bench
