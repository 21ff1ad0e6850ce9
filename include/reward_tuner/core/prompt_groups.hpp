// Which images of a round belong together.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace reward_tuner {

/// The group of each image: equal for equal prompts wherever they stand in the list, numbered 0, 1, ... in the order of
/// their first appearance. prompts: N -> [N]
inline std::vector<std::int64_t> prompt_groups(const std::vector<std::string>& prompts) {
  std::map<std::string, std::int64_t> numbers;
  std::vector<std::int64_t> groups;
  groups.reserve(prompts.size());
  for (const std::string& prompt : prompts)
    groups.push_back(numbers.emplace(prompt, static_cast<std::int64_t>(numbers.size())).first->second);
  return groups;
}

}  // namespace reward_tuner
