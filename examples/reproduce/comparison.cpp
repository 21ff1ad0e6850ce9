// How groups of variants are shown and judged.
#include "comparison.hpp"

#include <algorithm>
#include <cmath>

#include "sample_grids.hpp"
#include "studies.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

Column metric_column(std::string title, std::string metric, bool seeds) {
  return {std::move(title),
          [metric = std::move(metric)](const CellResult& r, bool after) -> std::optional<double> {
            const auto& from = after ? r.after : r.before;
            const auto found = from.find(metric);
            return found == from.end() ? std::nullopt : std::optional(found->second);
          },
          seeds};
}

Column sentinel_column(std::string title, std::string sentinel) {
  return {std::move(title), [sentinel = std::move(sentinel)](const CellResult& r, bool after) -> std::optional<double> {
            const auto& from = after ? r.sentinels_after : r.sentinels_before;
            const auto found = from.find(sentinel);
            return found == from.end() ? std::nullopt : std::optional(found->second);
          }};
}

std::vector<Column> sentinel_columns() {
  return {sentinel_column("edge density", "edge_density"), sentinel_column("color entropy", "color_entropy"),
          sentinel_column("saturation", "saturation"), sentinel_column("pairwise diversity", "pairwise_diversity"),
          sentinel_column("blank share", "blank_share")};
}

bool Comparison::planned() {
  for (const auto& c : cells(page_.study()))
    if (c.name.starts_with(group_.name + "/")) return true;
  page_.text() << "Left out of this study.\n\n";
  return false;
}

const Variant& Comparison::variant(const std::string& label) const {
  return *std::find_if(group_.variants.begin(), group_.variants.end(),
                       [&](const Variant& v) { return v.label == label; });
}

void Comparison::table(const std::vector<Column>& columns) {
  auto& text = page_.text();
  std::string rule = "|---|";
  text << "| method |";
  for (const auto& c : columns) {
    text << " " << c.title << " |" << (c.seeds ? " seeds |" : "");
    rule += c.seeds ? "---|---|" : "---|";
  }
  text << " updates | reward queries |\n" << rule << "---|---|\n";
  std::optional<CellResult> any;
  for (const auto& v : group_.variants)
    for (int seed = 0; seed < page_.study().seeds && !any; ++seed)
      any = read_cell(page_.study(), variant_cell(group_, v, static_cast<std::uint64_t>(seed)));
  if (any) {
    text << "| untuned |";
    for (const auto& c : columns) {
      const auto value = c.value(*any, false);
      text << " " << (value ? number(*value) : "-") << " |" << (c.seeds ? " |" : "");
    }
    text << " | |\n";
  }
  for (const auto& v : group_.variants) {
    std::vector<CellResult> results;
    for (int seed = 0; seed < page_.study().seeds; ++seed)
      if (const auto r = read_cell(page_.study(), variant_cell(group_, v, static_cast<std::uint64_t>(seed))))
        results.push_back(*r);
    text << "| " << v.title << " |";
    for (const auto& c : columns) {
      std::vector<double> values;
      std::string each;
      for (const auto& r : results)
        if (const auto value = c.value(r, true))
          values.push_back(*value), each += (each.empty() ? "" : ", ") + number(*value);
      text << " " << (results.empty() ? "missing" : mean_and_deviation(values)) << " |"
           << (c.seeds ? " " + each + " |" : "");
    }
    std::vector<double> updates, queries;
    for (const auto& r : results)
      updates.push_back(static_cast<double>(r.updates)), queries.push_back(static_cast<double>(r.queries));
    text << (results.empty() ? " | |" : " " + whole(median(updates)) + " | " + whole(median(queries)) + " |") << "\n";
  }
  text << "\n";
}

void Comparison::curves(const std::string& file, const std::string& metric, const std::string& title,
                        const std::string& y_label) {
  rt::CurvePlot plot{.title = title, .x_label = "reward queries", .y_label = y_label, .series = {}};
  for (const auto& v : group_.variants) {
    std::vector<std::vector<HeldOutPoint>> runs;
    for (int seed = 0; seed < page_.study().seeds; ++seed) {
      const auto name = variant_cell(group_, v, static_cast<std::uint64_t>(seed));
      if (finished(page_.study(), name)) runs.push_back(read_held_out(page_.study(), name, metric));
    }
    if (runs.empty()) continue;
    std::size_t length = runs[0].size();
    for (const auto& run : runs) length = std::min(length, run.size());
    rt::CurveSeries line;
    line.name = v.title;
    for (std::size_t i = 0; i < length; ++i) {
      double queries = 0, value = 0;
      for (const auto& run : runs)
        queries += run[i].queries / static_cast<double>(runs.size()),
            value += run[i].value / static_cast<double>(runs.size());
      line.x.push_back(queries), line.y.push_back(value);
    }
    if (std::any_of(line.y.begin(), line.y.end(), [](double y) { return std::isfinite(y); }))
      plot.series.push_back(std::move(line));
  }
  page_.plot(file, plot);
}

void Comparison::samples(const std::string& file, int steps, double eta) {
  std::vector<GridRow> rows;
  for (const auto& v : group_.variants) rows.push_back({v.title, variant_cell(group_, v, 0)});
  if (write_sample_grid(page_.study(), rows, steps, eta, page_.images() / file))
    page_.image(file, group_.title + ": untuned and tuned (seed 0)");
}

Votes Comparison::votes(const std::string& better, const std::string& worse, const std::string& metric) const {
  Votes votes;
  for (int seed = 0; seed < page_.study().seeds; ++seed) {
    const auto s = static_cast<std::uint64_t>(seed);
    const auto a = better == "untuned" ? std::nullopt : read_cell(page_.study(), cell(better, s));
    const auto b = worse == "untuned" ? std::nullopt : read_cell(page_.study(), cell(worse, s));
    if (worse == "untuned" && a) votes.add(a->after.at(metric) > a->before.at(metric));
    else if (better == "untuned" && b) votes.add(b->before.at(metric) > b->after.at(metric));
    else if (a && b) votes.add(a->after.at(metric) > b->after.at(metric));
  }
  return votes;
}

void Comparison::ordering(const std::string& better, const std::string& worse, const std::string& metric,
                          const std::string& metric_title, const std::string& paper) {
  const auto title = [&](const std::string& label) {
    return label == "untuned" ? std::string("untuned") : variant(label).title;
  };
  const Votes v = votes(better, worse, metric);
  page_.text() << "- " << metric_title << " of " << title(better) << " above that of " << title(worse)
               << " (paper: " << paper << "): ";
  if (v.seeds == 0) page_.text() << "too few cells to judge.\n";
  else page_.text() << "true in " << v.text() << "; this ordering " << holds(v.holds()) << ".\n";
}

}  // namespace rt_reproduce
