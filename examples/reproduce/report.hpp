// The page of results.
#pragma once
#include "cells.hpp"

namespace rt_reproduce {

/// Writes `page` and, into `pictures`, its plots and sample grids, from the cells that are done. Cells that are not are listed on the page.
void write_report(const Study& study, const std::filesystem::path& page, const std::filesystem::path& pictures);

}  // namespace rt_reproduce
