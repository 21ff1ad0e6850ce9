// The plan of the b2 study: B2-DiffuRL's two parts around four policy gradients.
#pragma once
#include <vector>

#include "study.hpp"

namespace rt_reproduce {

Study make_b2_study(bool quick);
std::vector<Group> b2_groups();
/// T of all cells.
inline constexpr int kB2Steps = 10;

}  // namespace rt_reproduce
