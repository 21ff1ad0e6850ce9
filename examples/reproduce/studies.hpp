// The studies: their cells and sizes, from their plans.
#pragma once
#include <vector>

#include <nlohmann/json.hpp>

#include "study.hpp"

namespace rt_reproduce {

/// The sizes of `--quick` (minutes on two cores) and of the full study.
Study make_study(StudyKind kind, bool quick);

/// All cells in the order they are run: every experiment once with the first seed, then the further seeds.
std::vector<Cell> cells(const Study& study);
/// The comparisons of a study; none for drtune, whose figures share cells.
std::vector<Group> groups(const Study& study);
/// What is equal in all cells, as JSON. Kept in DIR/study.json; a folder with other settings is refused.
nlohmann::json study_settings(const Study& study);

}  // namespace rt_reproduce
