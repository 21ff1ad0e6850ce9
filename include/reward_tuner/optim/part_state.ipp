// Definitions of part_state.hpp.
#pragma once
#include <reward_tuner/optim/part_state.hpp>

#include <algorithm>
#include <charconv>
#include <system_error>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

/// The name of a state's tensor, "<index>.<what>".
struct StateName {
  std::size_t index = 0;
  std::string what;  // begins with the dot
};
inline StateName state_name(const std::string& name, std::size_t count) {
  StateName out;
  const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), out.index);
  out.what = std::string(end, name.data() + name.size());
  REWARD_TUNER_CHECK(problem == std::errc() && out.what.starts_with('.'),
                     "[Optimizer] a tensor of a state expected a name as 3.first, got ", name);
  REWARD_TUNER_CHECK(out.index < count, "[Optimizer] a tensor of a state expected an index below ", count, ", got ",
                     name);
  return out;
}

}  // namespace detail

REWARD_TUNER_INLINE std::map<std::string, Tensor> state_of_whole(const std::map<std::string, Tensor>& state,
                                                                 const std::vector<std::size_t>& own) {
  std::map<std::string, Tensor> out;
  for (const auto& [name, tensor] : state) {
    const auto [i, what] = detail::state_name(name, own.size());
    out.emplace(std::to_string(own[i]) + what, tensor);
  }
  return out;
}

REWARD_TUNER_INLINE std::map<std::string, Tensor> state_of_part(const std::map<std::string, Tensor>& state,
                                                                const std::vector<std::size_t>& own,
                                                                std::size_t count) {
  std::map<std::string, Tensor> out;
  for (const auto& [name, tensor] : state) {
    const auto [i, what] = detail::state_name(name, count);
    const auto at = std::lower_bound(own.begin(), own.end(), i);
    if (at != own.end() && *at == i) out.emplace(std::to_string(at - own.begin()) + what, tensor);
  }
  return out;
}

}  // namespace reward_tuner
