// How groups of variants are shown and compared.
#include "comparison.hpp"

#include <algorithm>
#include <cmath>

#include "sample_grids.hpp"
#include "studies.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

bool Comparison::planned() {
  for (const auto& c : cells(page_.study()))
    if (c.name.starts_with(group_.name + "/")) return true;
  page_.text() << "Left out of this study.\n\n";
  return false;
}

bool Comparison::begun() {
  for (const auto& v : group_.variants)
    for (int seed = 0; seed < page_.study().seeds; ++seed)
      if (finished(page_.study(), cell(v.label, seed))) return true;
  page_.text() << "No cell is done.\n\n";
  return false;
}

const Variant& Comparison::variant(const std::string& label) const {
  return *std::find_if(group_.variants.begin(), group_.variants.end(),
                       [&](const Variant& v) { return v.label == label; });
}

SeedValues Comparison::values(const std::string& label, const std::string& key) const {
  SeedValues out;
  if (key == kTraining && variant(label).cell.method == Method::kUntuned) return out;
  for (int seed = 0; seed < page_.study().seeds; ++seed) {
    const auto name = cell(label, seed);
    const auto measured = read_measured(page_.study(), name);
    if (!measured) continue;
    if (key == kTraining) out[seed] = mean(read_training(page_.study(), name, ""));
    else if (measured->contains(key)) out[seed] = measured->at(key);
  }
  return out;
}

std::optional<double> Comparison::mean_of(const std::string& label, const std::string& key) const {
  const SeedValues all = values(label, key);
  return all.empty() ? std::nullopt : std::optional(mean(seed_values(all)));
}

void Comparison::table(const std::vector<Measure>& measures) {
  auto& text = page_.text();
  text << "| method | cells |";
  for (const Measure& m : measures) text << " " << m.title << " |";
  text << " reward queries | CPU seconds of a run |\n|---|---|";
  for (std::size_t i = 0; i < measures.size() + 2; ++i) text << "---|";
  text << "\n";
  for (const auto& v : group_.variants) {
    int done = 0;
    std::vector<double> queries, seconds;
    for (int seed = 0; seed < page_.study().seeds; ++seed) {
      const auto name = cell(v.label, seed);
      if (!finished(page_.study(), name)) continue;
      ++done;
      if (v.cell.method == Method::kUntuned) continue;
      const CellResult r = *read_cell(page_.study(), name);
      queries.push_back(static_cast<double>(r.queries)), seconds.push_back(r.cpu_seconds);
    }
    text << "| " << v.title << " | " << done << " |";
    for (const Measure& m : measures) text << " " << mean_and_deviation(seed_values(values(v.label, m.key))) << " |";
    text << (queries.empty() ? " | |" : " " + whole(median(queries)) + " | " + whole(median(seconds)) + " |") << "\n";
  }
  text << "\n";
}

template <class Read>
auto Comparison::runs(const Variant& variant, Read read) const {
  std::vector<decltype(read(std::string()))> out;
  for (int seed = 0; seed < page_.study().seeds && variant.cell.method != Method::kUntuned; ++seed)
    if (const auto name = cell(variant.label, seed); finished(page_.study(), name)) out.push_back(read(name));
  return out;
}

void Comparison::training_curves(const std::string& y_label) {
  rt::CurvePlot plot{.title = "Reward of training images: " + group_.title,
                     .x_label = "reward queries",
                     .y_label = y_label + ", mean of three rounds",
                     .series = {}};
  const int queries = page_.study().settings.batch * page_.study().settings.samples;
  for (const auto& v : group_.variants) {
    const auto all = runs(v, [&](const std::string& name) { return read_training(page_.study(), name, ""); });
    if (all.empty()) continue;
    rt::CurveSeries line;
    line.name = v.title;
    for (std::size_t i = 0; i + 3 <= all[0].size(); ++i) {
      double sum = 0;
      for (const auto& run : all)
        for (std::size_t j = i; j < i + 3; ++j) sum += run[j];
      line.x.push_back(queries * static_cast<double>(i + 2));
      line.y.push_back(sum / static_cast<double>(3 * all.size()));
    }
    plot.series.push_back(std::move(line));
  }
  page_.plot(group_.name + "-training.svg", plot);
}

void Comparison::held_out_curves(const std::string& y_label) {
  rt::CurvePlot plot{.title = "Reward of held-out images: " + group_.title,
                     .x_label = "reward queries",
                     .y_label = y_label,
                     .series = {}};
  for (const auto& v : group_.variants) {
    const auto all = runs(v, [&](const std::string& name) { return read_held_out(page_.study(), name, "reward"); });
    if (all.empty()) continue;
    std::size_t length = all[0].size();
    for (const auto& run : all) length = std::min(length, run.size());
    rt::CurveSeries line;
    line.name = v.title;
    for (std::size_t i = 0; i < length; ++i) {
      double value = 0;
      for (const auto& run : all) value += run[i].value / static_cast<double>(all.size());
      line.x.push_back(all[0][i].queries), line.y.push_back(value);
    }
    if (std::any_of(line.y.begin(), line.y.end(), [](double y) { return std::isfinite(y); }))
      plot.series.push_back(std::move(line));
  }
  page_.plot(group_.name + "-held_out.svg", plot);
}

void Comparison::samples() {
  std::vector<GridRow> rows;
  for (const auto& v : group_.variants) rows.push_back({v.title, cell(v.label, 0)});
  const Cell& any = group_.variants[0].cell;
  const std::string file = group_.name + "-samples.png";
  const rt::DdimOptions sampler{.num_steps = any.steps, .guidance = guidance_scale(page_.study(), any), .eta = any.eta};
  if (write_sample_grid(page_.study(), rows, sampler, page_.images() / file))
    page_.image(file, group_.title + ": untuned and tuned (seed 0)");
}

}  // namespace rt_reproduce
