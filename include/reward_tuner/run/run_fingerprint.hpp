// What decides a run's numbers, as JSON: written to config.json, kept in checkpoints, compared on resume.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/text_digest.hpp>
#include <reward_tuner/run/evaluation.hpp>
#include <reward_tuner/run/run_record.hpp>
#include <reward_tuner/run/trained_weights.hpp>
#include <reward_tuner/run/trainer_options.hpp>

namespace reward_tuner {

/// TextDigest of all lines: tells lists of prompts apart.
inline std::string digest(const std::vector<std::string>& lines) {
  TextDigest result;
  for (const auto& line : lines) result.add(line);
  return result.text();
}

/// What tells a run's prompts apart: how many, a digest of all, and the seed of their order if they have one.
template <class Prompts>
nlohmann::json prompt_identity(const Prompts& prompts) {
  nlohmann::json identity;
  if constexpr (requires { prompts.digest(); }) identity = {{"count", prompts.size()}, {"digest", prompts.digest()}};
  else identity = {{"count", prompts.prompts().size()}, {"digest", digest(prompts.prompts())}};
  if constexpr (requires { prompts.options().seed; }) identity["seed"] = prompts.options().seed;
  return identity;
}

/// Number of updates, times of evaluations and checkpoints, limits and sinks are left out: they may change on a resume.
inline nlohmann::json run_fingerprint(const RunDescription& description, const TrainerOptions& options,
                                      double learning_rate, const nlohmann::json& prompts,
                                      const std::vector<EvaluationPair>& held_out, const TrainedWeights& weights) {
  std::vector<std::string> pairs;
  for (const auto& pair : held_out) pairs.push_back(std::to_string(pair.seed) + " " + pair.prompt);
  std::int64_t numbers = 0;
  for (const auto& item : weights.named) numbers += item.second.numel();
  return {{"method", description.method},
          {"reward", description.reward},
          {"options", description.options},
          {"batch", options.batch},
          {"seed", options.seed},
          {"learning_rate", learning_rate},
          {"warm_up_updates", options.warm_up_updates},
          {"ema_decay", options.ema_decay},
          {"images", options.images},
          {"prompts", prompts},
          {"held_out_pairs", {{"count", pairs.size()}, {"digest", digest(pairs)}}},
          {"trained", {{"tensors", weights.named.size()}, {"numbers", numbers}}}};
}

/// Throws with a list of what differs.
inline void check_fingerprint(const nlohmann::json& saved, const nlohmann::json& present,
                              const std::filesystem::path& checkpoint) {
  const auto before = saved.flatten(), now = present.flatten();
  std::string differences;
  const auto value = [](const nlohmann::json& flat, const std::string& key) {
    return flat.contains(key) ? flat.at(key).dump() : std::string("nothing");
  };
  const auto compare = [&](const std::string& key) {
    if (value(before, key) != value(now, key))
      differences += "; " + key.substr(1) + " was " + value(before, key) + ", is now " + value(now, key);
  };
  for (const auto& item : before.items()) compare(item.key());
  for (const auto& item : now.items())
    if (!before.contains(item.key())) compare(item.key());
  REWARD_TUNER_CHECK(differences.empty(), "[Trainer] '", checkpoint.string(), "' was made with other options",
                     differences, "; resume with the old ones or start a new run");
}

/// The contents of config.json: every option in force and the versions.
inline nlohmann::json run_config(const RunDescription& description, const TrainerOptions& o,
                                 const nlohmann::json& fingerprint) {
  nlohmann::json config = fingerprint;
  config["model"] = description.model;
  config["notes"] = description.notes;
  config["run"] = {{"updates", o.updates},
                   {"evaluate_every", o.evaluate_every},
                   {"evaluation_batch", o.evaluation_batch},
                   {"checkpoint_every", o.checkpoint_every},
                   {"keep_checkpoints", o.keep_checkpoints},
                   {"minutes", o.minutes},
                   {"cpu_minutes", o.cpu_minutes},
                   {"plateau_updates", o.plateau_updates},
                   {"divergence_drop", o.divergence_drop},
                   {"tensorboard", o.tensorboard},
                   {"resumed", o.resume}};
  config["versions"] = run_versions();
  return config;
}

}  // namespace reward_tuner
