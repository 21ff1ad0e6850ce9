// The prompts of a run: read once, drawn at random.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

namespace detail {

/// The prompt on a line of a prompt file: trimmed; empty for lines that hold none (blank ones and those that begin with
/// #).
std::string_view prompt_of_line(std::string_view line);

}  // namespace detail

/// A list of prompts. Drawing is with replacement between batches and without inside a batch as long as the list lasts.
class PromptSet {
 public:
  explicit PromptSet(std::vector<std::string> prompts, const std::string& where = "the list");

  /// One prompt per line, UTF-8; blank lines and lines that begin with # are skipped.
  static PromptSet from_file(const std::filesystem::path& file);

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
