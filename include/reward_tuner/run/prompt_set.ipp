// Definitions of prompt_set.hpp.
#pragma once
#include <reward_tuner/run/prompt_set.hpp>

#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE PromptSet::PromptSet(std::vector<std::string> prompts) : prompts_(std::move(prompts)) {
  REWARD_TUNER_CHECK(!prompts_.empty(), "[PromptSet] expected at least one prompt, got none");
}

REWARD_TUNER_INLINE PromptSet PromptSet::from_file(const std::filesystem::path& file,
                                                   const PromptFileOptions& options) {
  return PromptSet(read_prompts(file, options));
}

REWARD_TUNER_INLINE std::vector<std::string> PromptSet::draw(int count, Rng& rng) const {
  REWARD_TUNER_CHECK(count >= 1, "[PromptSet] draw expected a count >= 1, got ", count);
  std::vector<std::string> out;
  while (static_cast<int>(out.size()) < count) {
    const Tensor order = rng.permutation(static_cast<std::int64_t>(prompts_.size()));
    for (std::int64_t i = 0; i < order.numel() && static_cast<int>(out.size()) < count; ++i)
      out.push_back(prompts_[static_cast<std::size_t>(order.data_ptr<std::int64_t>()[i])]);
  }
  return out;
}

}  // namespace reward_tuner
