// The settings that determine a run's results, as JSON: written to config.json, kept in checkpoints, compared on
// resume.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/run/evaluation.hpp>
#include <reward_tuner/run/trained_weights.hpp>
#include <reward_tuner/run/trainer_options.hpp>

namespace reward_tuner {

/// TextDigest of all lines: identifies a list of prompts.
std::string digest(const std::vector<std::string>& lines);

/// Identifies a run's prompts: their number, a digest of all, and the seed of their order if they have one.
template <class Prompts>
nlohmann::json prompt_identity(const Prompts& prompts) {
  nlohmann::json identity;
  if constexpr (requires { prompts.digest(); }) identity = {{"count", prompts.size()}, {"digest", prompts.digest()}};
  else identity = {{"count", prompts.prompts().size()}, {"digest", digest(prompts.prompts())}};
  if constexpr (requires { prompts.options().seed; }) identity["seed"] = prompts.options().seed;
  return identity;
}

/// What the run is beside its tuner and optimizer, whose options the Trainer adds. Number of updates, times of
/// evaluations and checkpoints, limits and sinks are left out: they may change on a resume.
nlohmann::json run_fingerprint(const RunDescription& description, const TrainerOptions& options, double learning_rate,
                               const nlohmann::json& prompts, const std::vector<EvaluationPair>& held_out,
                               const TrainedWeights& weights);

/// "; steps was 20, is now 10" for everything that differs; empty if nothing does.
std::string fingerprint_differences(const nlohmann::json& saved, const nlohmann::json& present);

/// Throws with a list of what differs.
void check_fingerprint(const nlohmann::json& saved, const nlohmann::json& present,
                       const std::filesystem::path& checkpoint);

/// The contents of config.json: every option in force and the versions.
nlohmann::json run_config(const RunDescription& description, const TrainerOptions& o,
                          const nlohmann::json& fingerprint);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/run_fingerprint.ipp>
#endif
