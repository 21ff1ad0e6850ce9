// Memory that runs out inside an update: what is left of the update, and which switches take less.
#pragma once
#include <algorithm>
#include <cstdint>
#include <iomanip>
#include <sstream>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/engine/configured_pipeline.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/tuner/update_report.hpp>

namespace reward_tuner {

/// The engine's switches that take less memory than `o` in an update of `images` images, the strongest first.
template <DiffusionPipeline Pipeline>
std::vector<std::string> memory_switches(const EngineOptions& o, Pipeline& pipeline, std::int64_t images) {
  std::vector<std::string> out;
  const auto below = [&](const std::string& name, std::int64_t now) {
    if (now > 1) out.push_back("engine." + name + " below " + std::to_string(now));
  };
  const std::int64_t at_once = o.micro_batch > 0 ? std::min<std::int64_t>(o.micro_batch, images) : images;
  if (o.memory != Memory::kReplay) out.emplace_back("engine.memory = Memory::kReplay");
  below("micro_batch", at_once);
  below("replay_batch", o.replay_batch);
  below("decode_batch", o.decode_batch > 0 ? std::min<std::int64_t>(o.decode_batch, at_once) : at_once);
  if (ActivationCheckpointing<Pipeline> && !o.activation_checkpointing)
    out.emplace_back("engine.activation_checkpointing = true");
  if (!o.autocast && network_dtype(pipeline) == at::kFloat) out.emplace_back("engine.autocast = bfloat16");
  if (o.rollout_dtype) out.emplace_back("engine.rollout_dtype unset");
  else if (RolloutModes<Pipeline> && o.merge_adapters) out.emplace_back("engine.merge_adapters = false");
  const std::vector<std::string> own = memory_switches(pipeline);
  out.insert(out.end(), own.begin(), own.end());
  return out;
}

/// The error of an update that ran out of memory, from its report so far, its peak of tensor bytes, and `problem`, what
/// the allocator said. Optimizer steps that a round had made before stay made.
[[noreturn]] inline void fail_of_memory(const UpdateReport& report, std::int64_t peak_bytes,
                                        const std::vector<std::string>& switches, const std::string& problem) {
  std::ostringstream text;
  text << "[RewardTuner] update " << report.update << " ran out of memory with " << std::fixed << std::setprecision(1)
       << static_cast<double>(peak_bytes) / (1 << 20) << " MiB of tensors beyond those before it; ";
  if (report.optimizer_steps == 0) text << "weights and optimizer are as before it";
  else
    text << "its first " << report.optimizer_steps << " optimizer step" << (report.optimizer_steps > 1 ? "s" : "")
         << " stay made";
  text << ". Switches that take less:";
  for (const std::string& one : switches) text << (&one == &switches.front() ? " " : "; ") << one;
  if (switches.empty()) text << " none is left, but for smaller images";
  text << ". The allocator said: " << problem.substr(0, problem.find('\n'));
  throw Error(text.str());
}

}  // namespace reward_tuner
