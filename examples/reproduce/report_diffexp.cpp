// The page of the diffexp study.
#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cell_settings.hpp"
#include "claims.hpp"
#include "comparison.hpp"
#include "diffexp_plan.hpp"
#include "report.hpp"
#include "studies.hpp"

namespace rt_reproduce {

namespace {

constexpr double kLevel = 0.5;   ///< of the mean gain without exploration that is a level to reach
constexpr double kSaving = 0.2;  ///< DiffExp-paper: of the samples to equal reward

/// What the held-out curves of a group's runs say, by variant.
struct Curves {
  std::map<std::string, SeedValues> means, queries;  ///< over queries; to the level, all of a run that never is there
  std::map<std::string, int> never;                  ///< runs that never are
  std::optional<double> level;                       ///< gain to reach
};

Curves curves_of(const Study& study, const Comparison& c) {
  Curves out;
  std::map<std::string, std::map<int, std::vector<HeldOutPoint>>> points;
  for (const auto& v : c.group().variants)
    for (int seed = 0; seed < study.seeds && v.cell.method != Method::kUntuned; ++seed) {
      if (!finished(study, c.cell(v.label, seed))) continue;
      auto run = read_held_out(study, c.cell(v.label, seed), "reward");
      if (run.size() < 2) continue;
      out.means[v.label][seed] = mean_over_queries(run);
      points[v.label][seed] = std::move(run);
    }
  std::vector<double> gains;
  for (const auto& [seed, run] : points["none"]) gains.push_back(run.back().value - run.front().value);
  if (gains.empty() || !(mean(gains) > 0)) return out;
  out.level = kLevel * mean(gains);
  for (const auto& [label, runs] : points)
    for (const auto& [seed, run] : runs) {
      const auto reached = queries_to(never_falling(run), run.front().value + *out.level);
      out.queries[label][seed] = reached.value_or(run.back().queries);
      if (!reached) ++out.never[label];
    }
  return out;
}

class DiffexpPage {
 public:
  explicit DiffexpPage(Page& page) : page_(page) {
    for (const Group& group : groups(page.study())) {
      groups_.emplace_back(page, group);
      curves_.push_back(curves_of(page.study(), groups_.back()));
    }
  }

  void write() {
    head();
    claims();
    settings();
    for (std::size_t i = 0; i < groups_.size(); ++i) results(groups_[i], curves_[i]);
    page_.text()
        << "## Not run\n\nThe paper's rewards (HPS, Aesthetic, PickScore) and DrawBench, and sweeps of the low scale, "
           "the threshold and the weight's range.\n";
  }

 private:
  static std::string reward_key(const Comparison& c) { return "held_out." + c.group().variants[0].cell.reward; }

  void head() {
    const Study& study = page_.study();
    page_.text()
        << "# DiffExp's comparisons in small\n\nThis page is written by `" << page_.command()
        << "`. It repeats the ablation of \"DiffExp: Efficient Exploration in Reward Fine-tuning for Text-to-Image "
           "Diffusion Models\" (2025): dynamic guidance (a low scale in the earliest steps of training rollouts) and "
           "prompt weighting (one random word of each prompt weighs more), alone and together, on DDPO and on "
           "AlignProp. Its formulas and several of its values are not public; ours are marked. A model of 3 million "
           "parameters is tuned with "
        << study.rounds * study.settings.batch * study.settings.samples << " reward queries by DDPO and with "
        << study.rounds * kAlignpropUpdates * study.settings.direct_batch
        << " by AlignProp, equally many with and without exploration.\n\n";
    page_.completeness();
  }

  void claims() {
    std::vector<Claim> all;
    for (std::size_t i = 0; i < groups_.size(); ++i) claims_of(groups_[i], curves_[i], all);
    page_.text() << "## Claims\n\n";
    claim_table(page_, all);
    page_.text()
        << claim_rule()
        << "\n\nRewards, judges and diversity are those of images that are made after training, always without "
           "exploration. The mean over queries is the area under the curve of the evaluations during training (every "
        << page_.study().settings.evaluate_every
        << " rounds), divided by its length. Queries to the level: the level lies above a run's first evaluation by "
        << kLevel
        << " of the mean gain, first to last evaluation, of the runs without exploration; curves are pooled first so "
           "that they never fall, and are linear between evaluations. A run that never reaches the level counts with "
           "all its queries, which are too few; the tables below say how many did not. The share saved is the "
           "difference of a seed's queries, divided by the mean without exploration.\n\n";
  }

  void claims_of(const Comparison& c, const Curves& curves, std::vector<Claim>& all) const {
    const std::string in = c.group().title + ": ", trained = reward_key(c);
    const auto at = [](const std::map<std::string, SeedValues>& from, const std::string& label) {
      const auto found = from.find(label);
      return found == from.end() ? SeedValues() : found->second;
    };
    const auto above = [&](const std::string& better, const std::string& worse, const std::string& key,
                           const std::string& what, const std::string& paper) {
      all.push_back({in + c.variant(better).title + " above " + c.variant(worse).title + " in " + what,
                     paper,
                     c.differences(better, worse, key),
                     {}});
    };
    const auto sooner = [&](const std::string& better, const std::string& worse, const std::string& paper) {
      all.push_back({in + c.variant(better).title + " above " + c.variant(worse).title + " in the mean over queries",
                     paper,
                     seed_differences(at(curves.means, better), at(curves.means, worse)),
                     {}});
    };
    above("none", "untuned", trained, "the reward", "-");
    for (const auto& [better, worse, paper] : {std::array<const char*, 3>{"both", "none", "both above none"},
                                               {"guidance", "none", "either above none"},
                                               {"words", "none", "either above none"},
                                               {"both", "guidance", "both above either"},
                                               {"both", "words", "both above either"}}) {
      above(better, worse, trained, "the reward", paper);
      sooner(better, worse, paper);
    }
    for (const char* label : {"both", "guidance", "words"}) {
      const SeedValues plain = at(curves.queries, "none");
      std::vector<double> saved = seed_differences(plain, at(curves.queries, label));
      for (double& share : saved) share /= mean(seed_values(plain));
      all.push_back({in + "share of the queries to the level that " + c.variant(label).title + " saves",
                     label == std::string("both") ? "about 0.2" : "-", std::move(saved), kSaving});
    }
    above("both", "none", "held_out.shapes", "an unseen reward, the shape score", "gains persist");
    above("both", "none", "held_out.pairwise_diversity", "pairwise diversity", "more diverse");
  }

  void settings() {
    const Study& study = page_.study();
    const Settings& s = study.settings;
    page_.settings(
        {{"sampler", joined("DDIM, T = ", kDiffexpSteps, "; DDPO: guidance ", kDdpoGuidance,
                            ", eta 1; AlignProp: guidance ", kAlignpropGuidance, ", eta 0")},
         {"reward",
          "DDPO: composition, the mean confidence in the two objects that a prompt asks for, each with its "
          "color and shape (docs/rewards.md); AlignProp: CLIPScore by the model folder's CLIP"},
         {"prompts",
          joined("`", study.prompts.filename().string(), "`; held-out: `", study.held_out.filename().string(),
                 "`, other pairs of the same objects, with ", study.held_out_seeds, " images each during training and ",
                 study.measured_seeds, " after it, whose noise differs from seed to seed")},
         {"round", joined("DDPO: ", s.batch, " prompts with ", s.samples, " images each, ", s.optimizer_steps,
                          " optimizer steps; AlignProp: ", kAlignpropUpdates, " updates on ", s.direct_batch,
                          " images; ", study.rounds, " rounds")},
         {"objective of DDPO",
          joined("the first ", kDiffexpSteps - s.skip_last,
                 " steps are trained and weigh by their noise (`StepWeights::kNoise`); ratios of log-probabilities "
                 "that are means over elements, clipped at ",
                 s.ratio_clip)},
         {"advantage of DDPO",
          "`PerGroup`: less the mean of the prompt's images of the round, divided by the "
          "deviation of the whole round"},
         {"dynamic guidance", joined("scale ", s.low_guidance, " (ours) while t > ", s.guidance_threshold,
                                     " T (ours), in the first ", kExploreShare, " of the rounds")},
         {"prompt weighting", joined("weight uniform in 1 to ", s.word_weight, " (ours), in the first ", kExploreShare,
                                     " of the rounds")}});
    page_.text() << "Learning rate, average, batches, trained steps and exploration are those of "
                    "`examples/recipes/tiny`, chosen there by the reward of training prompts, with a seed that no run "
                    "here has.\n\n";
  }

  void results(Comparison& c, const Curves& curves) {
    auto& text = page_.text();
    text << "## " << c.group().title << "\n\n";
    if (!c.planned() || !c.begun()) return;
    const bool composition = reward_key(c) == "held_out.composition";
    c.table({{reward_key(c), composition ? "composition" : "CLIPScore"},
             {composition ? "held_out.clip_score" : "held_out.composition",
              composition ? "CLIPScore (not trained)" : "composition (not trained)"},
             {"held_out.shapes", "shape score (not trained)"},
             {"held_out.pairwise_diversity", "pairwise diversity"},
             {"held_out.color_entropy", "color entropy"},
             {"held_out.saturation", "saturation"},
             {"held_out.blank_share", "blank share"}});
    if (curves.level) text << "The level is a gain of " << number(*curves.level) << ".\n\n";
    else text << "There is no level: no run without exploration is done, or together they gained nothing.\n\n";
    if (!curves.means.empty())
      text << "| exploration | mean over queries | queries to the level | of runs | never there "
              "|\n|---|---|---|---|---|\n";
    for (const auto& v : c.group().variants) {
      const auto means = curves.means.find(v.label), queries = curves.queries.find(v.label);
      if (means == curves.means.end()) continue;
      text << "| " << v.title << " | " << mean_and_deviation(seed_values(means->second)) << " | ";
      if (queries == curves.queries.end()) text << "- | - | - |\n";
      else
        text << mean_and_deviation(seed_values(queries->second)) << " | " << queries->second.size() << " | "
             << (curves.never.contains(v.label) ? curves.never.at(v.label) : 0) << " |\n";
    }
    text << "\n";
    c.held_out_curves(composition ? "composition" : "CLIPScore");
    c.samples();
  }

  Page& page_;
  std::vector<Comparison> groups_;
  std::vector<Curves> curves_;
};

}  // namespace

void write_diffexp_page(Page& page) { DiffexpPage(page).write(); }

}  // namespace rt_reproduce
