// Tables, plots and sentences, all made from the cells' numbers.
#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <sstream>
#include <utility>

#include <reward_tuner/report/curve_plot.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>
#include <reward_tuner/step_selection/noised_tail.hpp>

#include "claims.hpp"
#include "drtune_plan.hpp"
#include "page.hpp"
#include "sample_grids.hpp"
#include "studies.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

namespace {

class DrtunePage {
 public:
  explicit DrtunePage(Page& page) : page_(page), study_(page.study()), text_(page.text()) {}

  void write() {
    introduction();
    claims();
    settings();
    table1();
    figure6();
    figure7();
    sweep_figure(
        "Fig. 8: the number K of trained steps", "fig8", "K/T", [](const Sweep& s) { return s.trained; },
        [](const Sweep& s, int K, std::uint64_t seed) {
          return sweep_cell(s.steps, K, static_cast<int>(std::lround(0.4 * s.steps)), seed);
        },
        "DRTune on symmetry, m = 0.4 T, equal CPU time for every point.");
    sweep_figure(
        "Fig. 9: the largest early stop m", "fig9", "m/T", [](const Sweep& s) { return s.early_stops; },
        [](const Sweep& s, int m, std::uint64_t seed) { return sweep_cell(s.steps, 5, m, seed); },
        "DRTune on symmetry, K = 5, equal CPU time for every point.");
  }

 private:
  // ---- cells
  std::optional<CellResult> cell(const std::string& name) const { return read_cell(study_, name); }

  SeedValues by_seed(const std::function<std::string(std::uint64_t)>& name,
                     const std::function<double(const CellResult&)>& value) const {
    return page_.by_seed(name, value);
  }
  static std::vector<double> values(const SeedValues& seeds) { return seed_values(seeds); }
  static std::string each(const SeedValues& seeds) { return each_seed(seeds); }

  // ---- the page
  void introduction() {
    text_ << "# DRTune's comparisons in small\n\n"
             "This page is written by `"
          << page_.command()
          << "`. It repeats comparisons of Wu et al. 2024, \"Deep Reward Supervisions for Tuning Text-to-Image "
             "Diffusion Models\" (DRTune). The model has 3 million parameters, draws colored shapes in 64 x 64 pixels, "
             "and is tuned for "
          << whole(study_.cpu_seconds)
          << " seconds on one core, where the paper tunes Stable Diffusion 1.5 for 2 hours on 4 A100.\n\n";
    page_.completeness();
  }

  void settings() {
    const Settings& s = study_.settings;
    const TableMethod& ours = table_methods().front();
    const int steps = Cell().steps;  // of Table 1
    page_.settings(
        {{"sampler", joined("DDIM, T = ", steps, " unless said otherwise, guidance ", s.guidance, ", no noise")},
         {"prompts", joined(study_.prompts.generic_string(), ", ", s.batch, " an update; held-out: ",
                            study_.held_out.generic_string(), " with ", study_.held_out_seeds, " seed(s) each")},
         {"memory",
          "trained steps are replayed (`Memory::kReplay`) in every method, as the paper checkpoints activations in "
          "every method"},
         {"symmetry", joined("`SymmetryReward`, spatial deviation, text weight ", s.text_weight,
                             "; judged by the paper's Eq. 6 (`symmetry_error`, lower is better)")},
         {"compression error",
          joined("`JpegErrorReward`, quality ", rt::JpegErrorOptions().quality, ", times ",
                 whole(reward_scale("jpeg_error")), ", and CLIPScore times ", s.text_weight,
                 ", the safeguard that the paper gives symmetry: in a trial without it (DRTune, one seed, 75 s) every "
                 "image went blank, which JPEG stores without error; judged by `jpeg_error`, lower is better")},
         {"CLIPScore", "`ClipScoreReward` with the model folder's CLIP; judged by `clip_score`, higher is better"},
         {"regularizer",
          study_.kl_weight > 0 ? "`KlToReference`, weight " + number(study_.kl_weight) : std::string("none")},
         {"DRTune", joined("K = ", ours.trained_steps, ", m = ", static_cast<double>(ours.early_stop) / steps, " T")},
         {"DRaFT-LV",
          joined(rt::NoisedTailOptions().num_noises, " noisings of the result beside the rollout's own last step")},
         {"ReFL-10", joined("stop drawn from the last ", s.refl_max_stop, " steps")},
         {"AlignProp", "each step trained with probability (i + 1)/(T + 1), T/2 on average"}});
    text_ << "Why CPU time: methods differ in the cost of an update by a factor of four, so the paper gives each the "
             "same time, not the same number of iterations. Wall time would hand a run less\n"
             "work whenever the machine is busy with something else; the CPU time of a process with one thread counts "
             "its own work only (`TrainerOptions::cpu_minutes`). It is not wholly free of\n"
             "neighbors, who share caches and memory, but far less touched by them.\n\n"
             "A seed decides prompts, noise, step selection and the LoRA's start. Medians are over seeds. Numbers in "
             "tables are mean ± deviation over seeds.\n\n";
  }

  // ---- the claims
  SeedValues error_of(const std::function<std::string(std::uint64_t)>& name) const {
    return by_seed(name, [](const CellResult& r) { return r.metric("symmetry_error"); });
  }

  void claims() {
    std::vector<Claim> all;
    for (const TableReward& reward : table_rewards()) table1_claims(reward, all);
    figure6_claims(all);
    figure7_claims(all);
    sweep_claims(
        "K", 0.1, [](const Sweep& s) { return s.trained; },
        [](const Sweep& s, int K, std::uint64_t seed) {
          return sweep_cell(s.steps, K, static_cast<int>(std::lround(0.4 * s.steps)), seed);
        },
        all);
    sweep_claims(
        "m", 0.4, [](const Sweep& s) { return s.early_stops; },
        [](const Sweep& s, int m, std::uint64_t seed) { return sweep_cell(s.steps, 5, m, seed); }, all);
    text_ << "## Claims\n\n";
    claim_table(page_, all);
    text_ << claim_rule() << " Rewards are held-out means of " << study_.held_out_seeds
          << " images of each prompt. Lower errors are better: their differences have the other sign, and those of the "
             "compression error are times 1000. Of DRaFT-T the untuned model's error times 0.9 is what it must come "
             "under not to fail. The share of AlignProp's updates is that of its run with the stop until the training "
             "error is where AlignProp ended; a run that never is counts with all its updates. Of Fig. 7 a batch "
             "counts as a seed. The best other of a comparison is the one with the best mean, which makes the claim a "
             "little harder.\n\n";
  }

  static std::string title_of(const std::string& label) {
    for (const auto& m : table_methods())
      if (m.label == label) return m.title;
    return label;
  }

  void table1_claims(const TableReward& reward, std::vector<Claim>& all) const {
    const double sign = reward.lower_is_better ? -1 : 1, unit = reward.name == "jpeg_error" ? 1000 : 1;
    std::map<std::string, SeedValues> results;  // higher is better
    for (const auto& [label, paper] : reward.paper)
      results[label] = by_seed([&, label = label](std::uint64_t seed) { return table_cell(reward.name, label, seed); },
                               [&](const CellResult& r) { return sign * unit * r.metric(reward.metric); });
    for (const auto& [a, paper_a] : reward.paper)
      for (const auto& [b, paper_b] : reward.paper)
        if (sign * paper_a > sign * paper_b)
          all.push_back({reward.title + ": " + title_of(a) + " better than " + title_of(b),
                         four_places(paper_a) + " to " + four_places(paper_b),
                         seed_differences(results[a], results[b]),
                         {}});
    if (reward.name != "symmetry") return;
    const std::string rival = best_of(results, std::string("drtune"));
    SeedValues third;
    for (const auto& [seed, value] : results[rival]) third[seed] = 0.3 * value;
    all.push_back({"Symmetry: DRTune at most 0.3 times the best other" + (rival.empty() ? "" : ", " + title_of(rival)),
                   "0.0551 to 0.7250",
                   seed_differences(results["drtune"], third),
                   {}});
  }

  /// The key with the highest mean but for one; none if there is no other.
  template <class Key>
  static Key best_of(const std::map<Key, SeedValues>& results, const Key& but) {
    Key best{};
    double most = -INFINITY;
    for (const auto& [key, seeds] : results)
      if (key != but && !seeds.empty() && mean(values(seeds)) > most) best = key, most = mean(values(seeds));
    return best;
  }

  void figure6_claims(std::vector<Claim>& all) const {
    const auto named = [](const char* label) {
      return [label](std::uint64_t seed) { return convergence_cell(label, seed); };
    };
    const auto limits = [&](const char* label) {
      return by_seed(named(label), [](const CellResult& r) { return 0.9 * r.before.at("symmetry_error"); });
    };
    const SeedValues plain = error_of(named("draft-T")), stopped = error_of(named("draft-T-stop"));
    all.push_back({"Fig. 6: DRaFT-T fails without the stop", "fails", seed_differences(plain, limits("draft-T")), {}});
    all.push_back({"Fig. 6: DRaFT-T does not fail with the stop",
                   "works",
                   seed_differences(limits("draft-T-stop"), stopped),
                   {}});
    all.push_back({"Fig. 6: DRaFT-T better with the stop", "-", seed_differences(plain, stopped), {}});
    all.push_back({"Fig. 6: AlignProp better with the stop",
                   "-",
                   seed_differences(error_of(named("alignprop")), error_of(named("alignprop-stop"))),
                   {}});
    std::vector<double> saved;
    for (int seed = 0; seed < study_.seeds; ++seed) {
      const auto s = static_cast<std::uint64_t>(seed);
      if (!cell(convergence_cell("alignprop", s)) || !cell(convergence_cell("alignprop-stop", s))) continue;
      const auto a = trailing_mean(read_training(study_, convergence_cell("alignprop", s), "symmetry_error")),
                 b = trailing_mean(read_training(study_, convergence_cell("alignprop-stop", s), "symmetry_error"));
      if (a.empty() || b.empty()) continue;
      const auto reached = std::find_if(b.begin(), b.end(), [&](double value) { return value <= a.back(); });
      const auto needed = reached == b.end() ? b.size() : static_cast<std::size_t>(reached - b.begin()) + 1;
      saved.push_back(1 - static_cast<double>(needed) / static_cast<double>(a.size()));
    }
    all.push_back({"Fig. 6: share of AlignProp's updates that the stop saves", "about 0.5", std::move(saved), 0.5});
  }

  void figure7_claims(std::vector<Claim>& all) const {
    for (const int steps : {20, 50}) {
      const auto rows = read_norms(study_, steps);
      const auto ten = std::find_if(rows.begin(), rows.end(), [](const NormRow& row) { return row.trained == 10; });
      if (ten == rows.end() || rows.back().trained <= 10) continue;
      const NormRow& last = rows.back();
      const auto beyond = [](const std::vector<double>& end, const std::vector<double>& begin, double sign) {
        std::vector<double> out;
        for (std::size_t i = 0; i < std::min(end.size(), begin.size()); ++i)
          out.push_back(sign * (end[i] / begin[i] - kExplodes));
        return out;
      };
      const std::string of = "Fig. 7, T = " + std::to_string(steps) +
                             ": from K = 10 to K = " + std::to_string(last.trained) + " the gradient's norm grows by ",
                        factor = "a factor of " + number(kExplodes, 1);
      all.push_back(
          {of + "more than " + factor + " without the stop", "explodes", beyond(last.passing, ten->passing, 1), {}});
      all.push_back(
          {of + "less than " + factor + " with the stop", "stays flat", beyond(last.stopped, ten->stopped, -1), {}});
    }
  }

  static constexpr double kExplodes = 3;  ///< growth of a norm from which on it explodes (ours)

  void sweep_claims(const std::string& symbol, double paper_best,
                    const std::function<std::vector<int>(const Sweep&)>& points,
                    const std::function<std::string(const Sweep&, int, std::uint64_t)>& name,
                    std::vector<Claim>& all) const {
    for (const auto& sweep : sweeps(study_)) {
      const std::vector<int> measured = points(sweep);
      const int ours = *std::min_element(measured.begin(), measured.end(), [&](int a, int b) {
        return std::abs(a - paper_best * sweep.steps) < std::abs(b - paper_best * sweep.steps);
      });
      std::map<int, SeedValues> results;  // errors with their sign turned
      for (const int point : measured)
        results[point] = by_seed([&, point](std::uint64_t seed) { return name(sweep, point, seed); },
                                 [](const CellResult& r) { return -r.metric("symmetry_error"); });
      std::map<int, SeedValues> others = results;
      others.erase(ours);
      std::erase_if(others, [](const auto& entry) { return entry.second.empty(); });
      const int best = others.empty() ? ours : best_of(others, ours);
      all.push_back({"Fig. " + std::string(symbol == "K" ? "8" : "9") + ", T = " + std::to_string(sweep.steps) + ": " +
                         symbol + " = " + std::to_string(ours) + " better than the best other" +
                         (others.empty() ? "" : ", " + symbol + " = " + std::to_string(best)),
                     symbol + " = " + number(paper_best, 1) + " T is the best",
                     others.empty() ? std::vector<double>() : seed_differences(results.at(ours), results.at(best)),
                     {}});
    }
  }

  // ---- Table 1
  void table1() {
    text_ << "## Table 1: methods at equal time\n\n";
    for (const auto& reward : table_rewards()) table1_of(reward);
  }

  void table1_of(const TableReward& reward) {
    std::map<std::string, std::map<int, double>> results;  // label -> seed -> number
    std::optional<CellResult> base;
    std::ostringstream rows;
    for (const auto& m : table_methods()) {
      std::vector<double> updates, forwards, blank, diversity, shapes, text;
      for (int seed = 0; seed < study_.seeds; ++seed) {
        const auto result = cell(table_cell(reward.name, m.label, static_cast<std::uint64_t>(seed)));
        if (!result) continue;
        base = result;
        results[m.label][seed] = result->metric(reward.metric);
        updates.push_back(static_cast<double>(result->updates));
        forwards.push_back(static_cast<double>(result->forwards + 2 * result->backwards) /
                           static_cast<double>(std::max<std::int64_t>(1, result->updates)));
        blank.push_back(result->sentinels_after.at("blank_share"));
        diversity.push_back(result->sentinels_after.at("pairwise_diversity"));
        text.push_back(result->metric("clip_score"));
        if (result->after.contains("shape_score")) shapes.push_back(result->metric("shape_score"));
      }
      std::string paper = "-";
      for (const auto& [label, value] : reward.paper)
        if (label == m.label) paper = four_places(value);
      if (updates.empty()) {
        rows << "| " << m.title << " | missing | | | | | | | | " << paper << " |\n";
        continue;
      }
      rows << "| " << m.title << " | " << mean_and_deviation(values(results[m.label])) << " | "
           << each(results[m.label]) << " | " << whole(median(updates)) << " | " << number(median(forwards)) << " | "
           << mean_and_deviation(blank, 2) << " | " << mean_and_deviation(diversity) << " | "
           << mean_and_deviation(shapes) << " | " << mean_and_deviation(text) << " | " << paper << " |\n";
    }
    text_ << "### " << reward.title << " (" << (reward.lower_is_better ? "lower" : "higher") << " is better)\n\n";
    if (!base) {
      text_ << "No cell is done.\n\n";
      return;
    }
    text_ << "| method | `" << reward.metric
          << "` | seeds | updates | cost of an update | blank share | pairwise diversity | shape score | CLIPScore | "
             "paper |\n|---|---|---|---|---|---|---|---|---|---|\n| untuned | "
          << number(base->before.at(reward.metric)) << " | | | | "
          << number(base->sentinels_before.at("blank_share"), 2) << " | "
          << number(base->sentinels_before.at("pairwise_diversity")) << " | "
          << (base->before.contains("shape_score") ? number(base->before.at("shape_score")) : "") << " | "
          << number(base->before.at("clip_score")) << " | |\n"
          << rows.str()
          << "\nThe cost of an update is in network calls, a backward counted as two. Blank share, pairwise diversity, "
             "shape score and CLIPScore betray a reward had by destroying images.\n\n";
    const std::string file = "samples-" + reward.name + ".png";
    std::vector<GridRow> grid;
    for (const auto& m : table_methods()) grid.push_back({m.title, table_cell(reward.name, m.label, 0)});
    if (write_sample_grid(study_, grid, {.num_steps = Cell().steps, .guidance = study_.settings.guidance, .eta = 0},
                          page_.images() / file))
      page_.image(file, reward.title + ": the same prompts and noise, untuned and tuned by each method (seed 0)");
  }

  /// Whether any cell that --only leaves is among `names`; else the section says that it was left out.
  bool planned(const std::vector<std::string>& names) {
    for (const auto& c : cells(study_))
      if (std::find(names.begin(), names.end(), c.name) != names.end()) return true;
    text_ << "Left out of this study.\n\n";
    return false;
  }

  // ---- Fig. 6
  struct Line {
    std::string label, title, color;
  };

  void figure6() {
    text_
        << "## Fig. 6: convergence with and without stopping the gradient at the network's input\n\nOn symmetry, T = "
           "20; DRaFT-T trains all steps. Curves: `symmetry_error` of the training batches, running mean over "
        << kWindow
        << " updates (shortened from 10 after the first results, since the slowest runs make 9), mean over seeds.\n\n";
    if (!planned({convergence_cell("draft-T", 0), convergence_cell("draft-T-stop", 0),
                  convergence_cell("alignprop-stop", 0)}))
      return;
    const std::vector<Line> variants = {{"alignprop", "AlignProp", "#e69f00"},
                                        {"alignprop-stop", "AlignProp + stop", "#0072b2"},
                                        {"draft-T", "DRaFT-T", "#d55e00"},
                                        {"draft-T-stop", "DRaFT-T + stop", "#009e73"}};
    rt::CurvePlot over_updates{.title = "Training symmetry error over updates",
                               .x_label = "update",
                               .y_label = "symmetry error",
                               .series = {}};
    rt::CurvePlot over_time{.title = "Training symmetry error over CPU time",
                            .x_label = "CPU seconds",
                            .y_label = "symmetry error",
                            .series = {}};
    std::map<std::string, std::map<int, std::vector<double>>> curves;
    std::ostringstream rows;
    for (const auto& v : variants) {
      std::vector<double> updates, seconds, final_error;
      for (int seed = 0; seed < study_.seeds; ++seed) {
        const auto name = convergence_cell(v.label, static_cast<std::uint64_t>(seed));
        const auto result = cell(name);
        if (!result) continue;
        curves[v.label][seed] = trailing_mean(read_training(study_, name, "symmetry_error"));
        updates.push_back(static_cast<double>(result->updates));
        seconds.push_back(result->cpu_seconds / static_cast<double>(std::max<std::int64_t>(1, result->updates)));
        final_error.push_back(result->metric("symmetry_error"));
      }
      if (updates.empty()) {
        rows << "| " << v.title << " | missing | | |\n";
        continue;
      }
      rows << "| " << v.title << " | " << mean_and_deviation(final_error) << " | " << whole(median(updates)) << " | "
           << number(median(seconds)) << " |\n";
      auto line = mean_curve(curves[v.label]);
      rt::CurveSeries a;
      a.name = v.title;
      a.color = v.color;
      a.y = line;
      rt::CurveSeries b = a;
      for (std::size_t i = 0; i < line.size(); ++i)
        a.x.push_back(static_cast<double>(i + 1)), b.x.push_back(static_cast<double>(i + 1) * mean(seconds));
      if (std::any_of(line.begin(), line.end(), [](double y) { return std::isfinite(y); }))
        over_updates.series.push_back(a), over_time.series.push_back(b);
    }
    text_ << "| method | held-out `symmetry_error` | updates | CPU seconds an update |\n|---|---|---|---|\n"
          << rows.str() << "\n";
    page_.plot("fig6-updates.svg", over_updates);
    page_.plot("fig6-time.svg", over_time);
  }

  static constexpr int kWindow = 5;

  /// Mean of each value and up to kWindow - 1 before it.
  static std::vector<double> trailing_mean(const std::vector<double>& values) {
    std::vector<double> out;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t from = i + 1 >= kWindow ? i + 1 - kWindow : 0;
      double sum = 0, count = 0;
      for (std::size_t j = from; j <= i; ++j)
        if (std::isfinite(values[j])) sum += values[j], ++count;
      out.push_back(count > 0 ? sum / count : std::nan(""));
    }
    return out;
  }

  /// Mean over seeds, as far as all of them go.
  static std::vector<double> mean_curve(const std::map<int, std::vector<double>>& seeds) {
    std::size_t length = seeds.begin()->second.size();
    for (const auto& [seed, values] : seeds) length = std::min(length, values.size());
    std::vector<double> out;
    for (std::size_t i = 0; i < length; ++i) {
      std::vector<double> column;
      for (const auto& [seed, values] : seeds) column.push_back(values[i]);
      out.push_back(mean(column));
    }
    return out;
  }

  // ---- Fig. 7
  void figure7() {
    text_ << "## Fig. 7: the gradient's norm\n\nNorm of the gradient of the LoRA's parameters at its start, before "
             "clipping, for the last K steps trained on the symmetry reward: the same weights, prompts and noise for "
             "every K. "
             "Medians over batches of "
          << study_.settings.batch << ".\n\n";
    if (!planned({norm_cell(20), norm_cell(50)})) return;
    rt::CurvePlot curves{.title = "Gradient norm of the LoRA",
                         .x_label = "K, trained last steps",
                         .y_label = "log10 of the norm",
                         .series = {}};
    std::string findings;
    for (const int steps : {20, 50}) {
      const auto rows = read_norms(study_, steps);
      if (rows.empty()) {
        if (study_.only.empty() && !norm_depths(study_, steps).empty()) text_ << "T = " << steps << ": missing.\n\n";
        continue;
      }
      text_ << "| K of T = " << steps
            << " | gradient passes the input | stopped at the input | ratio |\n|---|---|---|---|\n";
      rt::CurveSeries passing, stopped;
      passing.name = "T = " + std::to_string(steps) + ", passes";
      stopped.name = "T = " + std::to_string(steps) + ", stopped";
      std::map<int, double> pass, stop;
      for (const auto& row : rows) {
        const double p = pass[row.trained] = median(row.passing), s = stop[row.trained] = median(row.stopped);
        text_ << "| " << row.trained << " | " << number(p) << " | " << number(s) << " | " << number(p / s, 2) << " |\n";
        for (auto* series : {&passing, &stopped}) series->x.push_back(row.trained);
        passing.y.push_back(std::log10(p));
        stopped.y.push_back(std::log10(s));
      }
      text_ << "\n";
      curves.series.push_back(passing);
      curves.series.push_back(stopped);
      const int last = rows.back().trained;
      if (!pass.contains(10) || last <= 10) continue;
      const double grows = pass[last] / pass[10], flat = stop[last] / stop[10];
      findings += "- T = " + std::to_string(steps) + ": from K = 10 to K = " + std::to_string(last) +
                  " the norm grows by a factor of " + number(grows, 2) + " if the gradient passes the input and of " +
                  number(flat, 2) + " if it is stopped. At K = " + std::to_string(last) +
                  " the norm without the stop is " + number(pass[last] / stop[last], 2) + " times that with it.\n";
    }
    text_ << findings << "\n";
    page_.plot("fig7.svg", curves);
  }

  // ---- Fig. 8 and 9
  void sweep_figure(const std::string& heading, const std::string& file, const std::string& axis,
                    const std::function<std::vector<int>(const Sweep&)>& points,
                    const std::function<std::string(const Sweep&, int, std::uint64_t)>& name, const std::string& how) {
    text_ << "## " << heading << "\n\n" << how << "\n\n";
    std::vector<std::string> names;  // of its own: a cell of Table 1 alone is no sweep
    for (const auto& sweep : sweeps(study_))
      for (const int point : points(sweep))
        if (auto own = name(sweep, point, 0); own != table_cell("symmetry", "drtune", 0))
          names.push_back(std::move(own));
    if (!planned(names)) return;
    const std::string symbol = axis.substr(0, 1);
    rt::CurvePlot curves{.title = heading, .x_label = axis, .y_label = "held-out symmetry error", .series = {}};
    for (const auto& sweep : sweeps(study_)) {
      text_ << "| " << symbol << " of T = " << sweep.steps << " | " << axis
            << " | `symmetry_error` | seeds | updates | blank share |\n|---|---|---|---|---|---|\n";
      rt::CurveSeries line;
      line.name = "T = " + std::to_string(sweep.steps);
      for (const int point : points(sweep)) {
        const auto of = [&](std::uint64_t seed) { return name(sweep, point, seed); };
        const auto errors = by_seed(of, [](const CellResult& r) { return r.metric("symmetry_error"); });
        const double ratio = static_cast<double>(point) / sweep.steps;
        if (errors.empty()) {
          text_ << "| " << point << " | " << number(ratio, 2) << " | missing | | | |\n";
          continue;
        }
        line.x.push_back(ratio);
        line.y.push_back(mean(values(errors)));
        text_ << "| " << point << " | " << number(ratio, 2) << " | " << mean_and_deviation(values(errors)) << " | "
              << each(errors) << " | "
              << whole(median(values(by_seed(of, [](const CellResult& r) { return static_cast<double>(r.updates); }))))
              << " | "
              << mean_and_deviation(
                     values(by_seed(of, [](const CellResult& r) { return r.sentinels_after.at("blank_share"); })), 2)
              << " |\n";
      }
      text_ << "\n";
      if (line.x.size() > 1) curves.series.push_back(line);
    }
    page_.plot(file + ".svg", curves);
  }

  Page& page_;
  const Study& study_;
  std::ostringstream& text_;
};

}  // namespace

void write_drtune_page(Page& page) { DrtunePage(page).write(); }

}  // namespace rt_reproduce
