// The plan of the diffexp study: DiffExp's two halves on DDPO and on AlignProp.
#pragma once
#include <vector>

#include "study.hpp"

namespace rt_reproduce {

Study make_diffexp_study(bool quick);
std::vector<Group> diffexp_groups();
/// T of all cells.
inline constexpr int kDiffexpSteps = 10;
/// Guidance scales as in the recipes: 3 leaves composition, 0.87 untuned, little to rise.
inline constexpr double kDdpoGuidance = 1.5, kAlignpropGuidance = 3;
/// Updates of AlignProp to a round of DDPO, of 8 images each: 75 in a run, about as many as its recipe makes.
inline constexpr int kAlignpropUpdates = 3;

}  // namespace rt_reproduce
