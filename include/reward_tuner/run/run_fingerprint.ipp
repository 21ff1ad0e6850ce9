// Definitions of run_fingerprint.hpp.
#pragma once
#include <reward_tuner/run/run_fingerprint.hpp>

#include <cstdint>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/text_digest.hpp>
#include <reward_tuner/run/judges.hpp>
#include <reward_tuner/run/run_record.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::string digest(const std::vector<std::string>& lines) {
  TextDigest result;
  for (const auto& line : lines) result.add(line);
  return result.text();
}

REWARD_TUNER_INLINE nlohmann::json run_fingerprint(const RunDescription& description, const TrainerOptions& options,
                                                   double learning_rate, const nlohmann::json& prompts,
                                                   const std::vector<EvaluationPair>& held_out,
                                                   const TrainedWeights& weights) {
  std::vector<std::string> pairs;
  for (const auto& pair : held_out) pairs.push_back(std::to_string(pair.seed) + " " + pair.prompt);
  std::int64_t numbers = 0;
  for (const auto& item : weights.named) numbers += item.second.numel();
  nlohmann::json trained{{"tensors", weights.named.size()}, {"numbers", numbers}};
  trained.update(weights.options);
  return {{"method", description.method},
          {"reward", description.reward},
          {"options", description.options},
          {"planned_updates", options.planned_updates > 0 ? options.planned_updates : options.updates},
          {"batch", options.batch},
          {"seed", options.seed},
          {"learning_rate", learning_rate},
          {"ema_decay", options.ema_decay},
          {"images", options.images},
          {"keep_best", options.keep_best},
          {"prompts", prompts},
          {"held_out_pairs", {{"count", pairs.size()}, {"digest", digest(pairs)}}},
          {"trained", trained}};
}

REWARD_TUNER_INLINE std::string fingerprint_differences(const nlohmann::json& saved, const nlohmann::json& present) {
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
  return differences;
}

REWARD_TUNER_INLINE void check_fingerprint(const nlohmann::json& saved, const nlohmann::json& present,
                                           const std::filesystem::path& checkpoint) {
  const std::string differences = fingerprint_differences(saved, present);
  REWARD_TUNER_CHECK(differences.empty(), "[Trainer] '", checkpoint.string(), "' was made with other options",
                     differences, "; resume with the old ones or start a new run");
}

REWARD_TUNER_INLINE nlohmann::json run_config(const RunDescription& description, const TrainerOptions& o,
                                              const nlohmann::json& fingerprint) {
  nlohmann::json config = fingerprint, judges = nlohmann::json::array();
  for (const Judge& judge : o.judges) judges.push_back(judge.name);
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
                   {"judges", judges},
                   {"judges_fall_evaluations", o.judges_fall_evaluations},
                   {"max_idle_in_a_row", o.max_idle_in_a_row},
                   {"tensorboard", o.tensorboard},
                   {"peak_tflops", o.peak_tflops},
                   {"trace", o.trace.string()},
                   {"resumed", o.resume}};
  config["versions"] = run_versions();
  return config;
}

}  // namespace reward_tuner
