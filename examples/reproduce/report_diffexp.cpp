// The page of the diffexp study.
#include <algorithm>
#include <cmath>

#include "cell_settings.hpp"
#include "comparison.hpp"
#include "diffexp_plan.hpp"
#include "report.hpp"
#include "studies.hpp"

namespace rt_reproduce {

namespace {

constexpr double kShare = 0.8;  ///< of the plain run's gain that counts as reached

void introduction(Page& page) {
  const Study& study = page.study();
  const Settings& s = study.settings;
  page.text()
      << "# DiffExp's comparisons in small\n\nThis page is written by `" << page.command()
      << "`. It repeats the ablation of \"DiffExp: Efficient Exploration in Reward Fine-tuning for Text-to-Image "
         "Diffusion Models\" (2025): dynamic guidance (a low scale in the earliest steps of training\n"
         "rollouts) and prompt weighting (one random word of each prompt weighs more), alone and together, on DDPO and "
         "on AlignProp. The paper reports about 20% fewer samples to equal reward, and that both\n"
         "parts beat either, and either beats none. Its formulas and several of its values are not public; ours are "
         "marked. The sentences follow from the numbers by the rules below; an ordering that\n"
         "does not hold is a finding. A model of 3 million parameters is tuned for "
      << whole(study.cpu_seconds) << " seconds on one core.\n\n";
  page.completeness();
  page.settings(
      {{"sampler", joined("DDIM, T = ", kDiffexpSteps, ", guidance ", s.guidance, "; eta 1 for DDPO, 0 for AlignProp")},
       {"reward", "CLIPScore by the model folder's CLIP"},
       {"prompts", joined("`", study.prompts.filename().string(), "`; DDPO: ", s.batch, " a round with ", s.samples,
                          " images each; AlignProp: ", s.batch, " images an update; held-out: `",
                          study.held_out.filename().string(), "` with ", study.held_out_seeds,
                          " seed(s) each, always without exploration")},
       {"dynamic guidance",
        joined("scale ", s.low_guidance, " while t > ", s.guidance_threshold, " T (ours), in the first ", kExploreShare,
               " of ", s.planned_updates, " planned updates (", kAlignpropUpdates,
               " times as many of AlignProp's, which cost less); runs with more updates end plainly")},
       {"prompt weighting", joined("weight uniform in 1 to ", s.word_weight, " (ours), in the same updates")}});
  page.text()
      << "Queries to threshold: reward queries after which the held-out CLIPScore (linear between evaluations) has "
         "first made "
      << kShare
      << " of the gain that the run without exploration of the same seed made at its best;\n"
         "runs that never do are listed as such and count as slower than all that do. Rule: \"A above B\" is asked of "
         "every seed; it holds if it is true in at least two thirds of the seeds that can tell; one seed alone is one "
         "comparison and proves little. Learning rate, clipping and advantage are those of the b2 study, chosen there "
         "after seeing held-out results; exploration's own were tried in smoke runs only.\n\n";
}

/// Infinite if it never happens, not a number if there is nothing to reach.
double queries_to(const std::vector<HeldOutPoint>& points, double threshold) {
  for (std::size_t i = 1; i < points.size(); ++i)
    if (points[i].value >= threshold) {
      const double rise = points[i].value - points[i - 1].value;
      const double share = rise > 0 ? std::clamp((threshold - points[i - 1].value) / rise, 0.0, 1.0) : 1.0;
      return points[i - 1].queries + share * (points[i].queries - points[i - 1].queries);
    }
  return INFINITY;
}

void thresholds(Page& page, const Comparison& c) {
  const Study& study = page.study();
  auto& text = page.text();
  std::map<std::string, SeedValues> needed;
  text << "| exploration | reward queries to threshold, each seed | of those without exploration |\n|---|---|---|\n";
  for (const auto& v : c.group().variants) {
    std::string each;
    std::vector<double> shares;
    for (int seed = 0; seed < study.seeds; ++seed) {
      const auto s = static_cast<std::uint64_t>(seed);
      const auto plain = read_held_out(study, c.cell("plain", s), "clip_score"),
                 own = read_held_out(study, c.cell(v.label, s), "clip_score");
      if (!finished(study, c.cell("plain", s)) || !finished(study, c.cell(v.label, s)) || plain.size() < 2) continue;
      const double best = std::max_element(plain.begin(), plain.end(), [](const auto& a, const auto& b) {
                            return a.value < b.value;
                          })->value;
      const double gain = best - plain[0].value;
      if (!(gain > 0)) {
        each += (each.empty() ? "" : ", ") + std::string("no gain to reach");
        continue;
      }
      const double threshold = plain[0].value + kShare * gain, queries = queries_to(own, threshold);
      needed[v.label][seed] = queries;
      each += (each.empty() ? "" : ", ") + (std::isfinite(queries) ? whole(queries) : std::string("never"));
      shares.push_back(queries / queries_to(plain, threshold));
    }
    text << "| " << v.title << " | " << (each.empty() ? "missing" : each) << " | "
         << (shares.empty()                  ? "-"
             : std::isfinite(median(shares)) ? number(median(shares), 2)
                                             : "never")
         << " |\n";
  }
  text << "\n";
  const auto faster = [&](const std::string& a, const std::string& b) {
    Votes votes;
    for (const auto& [seed, value] : needed[a])
      if (needed[b].contains(seed)) votes.add(value < needed[b].at(seed));
    return votes;
  };
  const auto say = [&](const std::string& a, const std::string& b, const std::string& paper) {
    const Votes v = faster(a, b);
    text << "- " << c.variant(a).title << " needs fewer queries than " << c.variant(b).title << " (paper: " << paper
         << "): ";
    if (v.seeds == 0) text << "too few cells to judge.\n";
    else text << "true in " << v.text() << "; this ordering " << holds(v.holds()) << ".\n";
  };
  say("both", "plain", "about 20% fewer");
  say("guidance", "plain", "either above none");
  say("words", "plain", "either above none");
  say("both", "guidance", "both above either");
  say("both", "words", "both above either");
}

}  // namespace

void write_diffexp_page(Page& page) {
  introduction(page);
  for (const auto& group : groups(page.study())) {
    Comparison c(page, group);
    page.text() << "## " << group.title << "\n\n";
    if (!c.planned()) continue;
    std::vector<Column> columns = {metric_column("CLIPScore", "clip_score", true),
                                   metric_column("shape score (second reward)", "shape_score")};
    for (auto& column : sentinel_columns()) columns.push_back(std::move(column));
    c.table(columns);
    thresholds(page, c);
    c.ordering("both", "plain", "clip_score", "Final CLIPScore", "both above none");
    page.text() << "\n";
    c.curves(group.name + "-clip_score.svg", "clip_score", "Held-out CLIPScore over reward queries: " + group.title,
             "CLIPScore");
    c.samples(group.name + "-samples.png", kDiffexpSteps, group.name == "ddpo" ? 1 : 0);
  }
  page.text() << "## Not run\n\nOther rewards (HPS, Aesthetic, PickScore), DrawBench, the transfer to an unseen reward "
                 "(the shape score stands beside each table instead), and sweeps of the scale, the threshold and the "
                 "weight's range.\n";
}

}  // namespace rt_reproduce
