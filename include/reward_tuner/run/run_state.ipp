// Definitions of run_state.hpp.
#pragma once
#include <reward_tuner/run/run_state.hpp>

#include <cstdint>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/run/run_record.hpp>
#include <reward_tuner/run/tuner_state_json.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE Checkpoint to_checkpoint(const RunState& state) {
  Checkpoint checkpoint;
  const auto add = [&](const std::string& prefix, const std::map<std::string, Tensor>& tensors) {
    for (const auto& [name, value] : tensors) checkpoint.tensors.emplace(prefix + name, value);
  };
  add("parameter.", state.parameters);
  add("optimizer.", state.optimizer);
  add("ema.", state.average);
  add("best.", state.best.tensors);
  checkpoint.tensors.emplace("rng", state.rng);
  if (state.images_before.defined()) checkpoint.tensors.emplace("images.before", state.images_before);
  if (state.best.images.defined()) checkpoint.tensors.emplace("images.best", state.best.images);
  add_tensors(state.tuner, checkpoint.tensors);
  checkpoint.state = {{"tuner", to_json(state.tuner)},
                      {"progress", to_json(state.progress)},
                      {"fingerprint", state.fingerprint},
                      {"versions", run_versions()}};
  if (state.prompts)
    checkpoint.state["prompts"] = {{"epoch", state.prompts->epoch}, {"position", state.prompts->position}};
  return checkpoint;
}

REWARD_TUNER_INLINE RunState run_state(const Checkpoint& checkpoint, bool streamed) {
  RunState state;
  const auto part = [&](const std::string& prefix) {
    std::map<std::string, Tensor> tensors;
    for (const auto& [name, value] : checkpoint.tensors)
      if (name.starts_with(prefix)) tensors.emplace(name.substr(prefix.size()), value);
    return tensors;
  };
  const auto one = [&](const std::string& name) {
    const auto found = checkpoint.tensors.find(name);
    return found == checkpoint.tensors.end() ? Tensor() : found->second;
  };
  state.parameters = part("parameter.");
  state.optimizer = part("optimizer.");
  state.average = part("ema.");
  state.best = {part("best."), one("images.best")};
  state.rng = one("rng");
  state.images_before = one("images.before");
  state.tuner = tuner_state_from_json(checkpoint.state.at("tuner"), checkpoint.tensors);
  state.progress = run_progress_from_json(checkpoint.state.at("progress"));
  if (streamed) {
    const auto& prompts = checkpoint.state.at("prompts");
    state.prompts = {prompts.at("epoch").get<std::int64_t>(), prompts.at("position").get<std::int64_t>()};
  }
  state.fingerprint = checkpoint.state.at("fingerprint");
  REWARD_TUNER_CHECK(state.fingerprint.is_object(), "[Trainer] expected an object as fingerprint, got ",
                     state.fingerprint.type_name());
  const auto& planned = state.fingerprint.at("planned_updates");
  REWARD_TUNER_CHECK(planned.is_number_integer() && planned.get<std::int64_t>() >= 1,
                     "[Trainer] expected planned_updates >= 1 in the fingerprint, got ", planned.dump());
  return state;
}

REWARD_TUNER_INLINE void check_fits(const RunState& saved, const TrainedWeights& weights, const Tensor& rng,
                                    const std::filesystem::path& path) {
  const auto check = [&](const std::map<std::string, Tensor>& tensors, const std::string& prefix) {
    for (const auto& [name, value] : weights.named) {
      const auto found = tensors.find(name);
      REWARD_TUNER_CHECK(found != tensors.end(), "[Trainer] the checkpoint '", path.string(), "' lacks the tensor ",
                         prefix, name);
      REWARD_TUNER_CHECK(found->second.sizes() == value.sizes(), "[Trainer] the checkpoint's ", name,
                         " expected shape ", value.sizes(), ", got ", found->second.sizes());
    }
  };
  check(saved.parameters, "parameter.");
  if (!saved.best.empty()) check(saved.best.tensors, "best.");
  REWARD_TUNER_CHECK(saved.rng.defined(), "[Trainer] the checkpoint '", path.string(), "' lacks the tensor rng");
  REWARD_TUNER_CHECK(saved.rng.sizes() == rng.sizes() && saved.rng.scalar_type() == at::kByte,
                     "[Trainer] the checkpoint's rng expected uint8 ", rng.sizes(), ", got ",
                     c10::toString(saved.rng.scalar_type()), " ", saved.rng.sizes());
}

}  // namespace reward_tuner
