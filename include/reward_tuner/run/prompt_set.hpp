// The prompts of a run: read once, drawn at random.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <reward_tuner/run/prompt_file.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// A list of prompts. Drawing is with replacement between batches and without inside a batch as long as the list lasts.
class PromptSet {
 public:
  explicit PromptSet(std::vector<std::string> prompts);

  /// Reads a prompt file of any format (run/prompt_file.hpp). Errors: see PromptReader; no prompt in it.
  static PromptSet from_file(const std::filesystem::path& file, const PromptFileOptions& options = {});

  /// `count` prompts in random order.
  std::vector<std::string> draw(int count, Rng& rng) const;

  std::size_t size() const { return prompts_.size(); }
  const std::vector<std::string>& prompts() const { return prompts_; }

 private:
  std::vector<std::string> prompts_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/prompt_set.ipp>
#endif
