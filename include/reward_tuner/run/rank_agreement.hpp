// Whether several ranks have one run before them: else their numbers would differ without a word.
#pragma once
#include <cstdint>
#include <filesystem>

#include <nlohmann/json.hpp>

#include <reward_tuner/ranks/ranks.hpp>
#include <reward_tuner/run/trained_weights.hpp>

namespace reward_tuner {

/// Every rank calls it. Errors: a rank whose options differ from those of the first (which are listed), or whose
/// weights do.
void check_same_run(const Ranks& ranks, const nlohmann::json& fingerprint, const TrainedWeights& weights);

/// Every rank calls it; when it returns, all have read their checkpoint. Errors: ranks that found different ones in
/// `folder`.
void check_same_checkpoint(const Ranks& ranks, std::int64_t update, const std::filesystem::path& folder);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/rank_agreement.ipp>
#endif
