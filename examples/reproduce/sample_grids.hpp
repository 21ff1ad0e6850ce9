// Images of the tuned models.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <reward_tuner/samplers/ddim.hpp>

#include "study.hpp"

namespace rt_reproduce {

struct GridRow {
  std::string title;
  std::string cell;  ///< its name; left out of the grid if it is not done
};

/// Writes `file` with a row of the untuned model and one of each finished cell: the same held-out prompts and noise in
/// each column. False if no cell is done.
bool write_sample_grid(const Study& study, const std::vector<GridRow>& cells, const reward_tuner::DdimOptions& sampler,
                       const std::filesystem::path& file);

}  // namespace rt_reproduce
