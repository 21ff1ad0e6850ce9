// Definitions of rank_agreement.hpp.
#pragma once
#include <reward_tuner/run/rank_agreement.hpp>

#include <cstddef>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/ranks/parcel.hpp>
#include <reward_tuner/run/run_fingerprint.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE void check_same_run(const Ranks& ranks, const nlohmann::json& fingerprint,
                                        const TrainedWeights& weights) {
  if (ranks.alone()) return;
  Parcel own;
  own.add_text(fingerprint.dump());
  for (const auto& [name, value] : weights.named) {
    const Tensor numbers = value.detach().to(at::kDouble);
    own.add_text(name);
    own.add_number(numbers.sum().item<double>());
    own.add_number(numbers.square().sum().item<double>());
  }
  const auto all = ranks.gather("the run", own);
  for (std::size_t i = 1; i < all.size(); ++i) {
    Parcel first = all[0], other = all[i];
    const std::string expected = first.text(), got = other.text();
    REWARD_TUNER_CHECK(expected == got, "[Trainer] all ranks expected the options of rank 0, got others on rank ", i,
                       fingerprint_differences(nlohmann::json::parse(expected), nlohmann::json::parse(got)));
    while (!first.at_end())  // equal options: as many tensors
      REWARD_TUNER_CHECK(
          first.text() == other.text() && first.number() == other.number() && first.number() == other.number(),
          "[Trainer] all ranks expected the weights of rank 0 to begin with, got others on rank ", i);
  }
}

REWARD_TUNER_INLINE void check_same_checkpoint(const Ranks& ranks, std::int64_t update,
                                               const std::filesystem::path& folder) {
  Parcel own;
  own.add_integer(update);
  for (Parcel& one : ranks.gather("checkpoints", own)) {
    const std::int64_t theirs = one.integer();
    REWARD_TUNER_CHECK(theirs == update,
                       "[Trainer] all ranks expected one checkpoint to resume from, got those of the updates ", update,
                       " and ", theirs, " in '", folder.string(), "': does every rank see the same folder?");
  }
}

}  // namespace reward_tuner
