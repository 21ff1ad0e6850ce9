// The pages of results.
#pragma once
#include "page.hpp"

namespace rt_reproduce {

/// Writes `page` and, into `images`, its plots and sample grids, from the cells that are done. Cells that are not are
/// listed on the page.
void write_report(const Study& study, const std::filesystem::path& page, const std::filesystem::path& images);

/// What a study says, one translation unit each.
void write_drtune_page(Page& page);
void write_b2_page(Page& page);
void write_diffexp_page(Page& page);
void write_lsrl_page(Page& page);

}  // namespace rt_reproduce
