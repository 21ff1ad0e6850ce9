// The state of an optimizer over a part of a list of tensors, under the names that the whole list gives it.
#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Tensors named "<i>.<anything>", i counting in the part, as "<own[i]>.<anything>".
/// Errors: a name of another form, an index too large.
std::map<std::string, Tensor> state_of_whole(const std::map<std::string, Tensor>& state,
                                             const std::vector<std::size_t>& own);

/// The other way: those tensors of the state of a list of `count` that are the part's. own: ascending
/// Errors: as above.
std::map<std::string, Tensor> state_of_part(const std::map<std::string, Tensor>& state,
                                            const std::vector<std::size_t>& own, std::size_t count);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/optim/part_state.ipp>
#endif
