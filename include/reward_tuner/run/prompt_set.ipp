// Definitions of prompt_set.hpp.
#pragma once
#include <reward_tuner/run/prompt_set.hpp>

#include <fstream>
#include <utility>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

REWARD_TUNER_INLINE std::string_view prompt_of_line(std::string_view line) {
  const auto begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos || line[begin] == '#') return {};
  return line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace detail

REWARD_TUNER_INLINE PromptSet::PromptSet(std::vector<std::string> prompts, const std::string& where)
    : prompts_(std::move(prompts)) {
  REWARD_TUNER_CHECK(!prompts_.empty(), "[PromptSet] expected at least one prompt, got none in ", where);
}

REWARD_TUNER_INLINE PromptSet PromptSet::from_file(const std::filesystem::path& file) {
  std::ifstream in(file);
  REWARD_TUNER_CHECK(in.good(), "[PromptSet] cannot read the prompt file ", file.string());
  std::vector<std::string> prompts;
  for (std::string line; std::getline(in, line);)
    if (const std::string_view prompt = detail::prompt_of_line(line); !prompt.empty()) prompts.emplace_back(prompt);
  return PromptSet(std::move(prompts), file.string());
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
