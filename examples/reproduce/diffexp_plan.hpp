// The plan of the diffexp study: DiffExp's two halves on DDPO and on AlignProp.
#pragma once
#include <vector>

#include "study.hpp"

namespace rt_reproduce {

Study make_diffexp_study(bool quick);
std::vector<Group> diffexp_groups();
/// T of all cells.
inline constexpr int kDiffexpSteps = 4;
/// Updates of AlignProp that cost as much as one of DDPO, about.
inline constexpr int kAlignpropUpdates = 4;

}  // namespace rt_reproduce
