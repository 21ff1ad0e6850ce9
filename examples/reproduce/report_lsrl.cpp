// The page of the lsrl study.
#include <reward_tuner/regularizers/pretraining_loss.hpp>
#include <reward_tuner/shapes/hue_parity.hpp>

#include "comparison.hpp"
#include "lsrl_plan.hpp"
#include "report.hpp"
#include "studies.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

namespace {

struct Measure {
  std::string key, title;
  double sign;  ///< -1: lower is better
};
const std::vector<Measure> kMeasures = {{"clip.clip_score", "CLIPScore", 1},
                                        {"parity.statistical_parity", "statistical parity (lower is better)", -1},
                                        {"seen.composition", "composition, seen pairs", 1},
                                        {"unseen.composition", "composition, unseen pairs", 1}};

void introduction(Page& page) {
  const Study& study = page.study();
  const Settings& s = study.settings;
  page.text() << "# Large-scale RL's comparisons in small\n\nThis page is written by `" << page.command()
              << "`. It repeats comparisons of Zhang et al. 2024, \"Large-scale Reinforcement Learning for Diffusion "
                 "Models\": a distribution reward (statistical parity), a composition reward on seen and unseen\n"
                 "combinations, joint training of several tasks against each alone, and the pre-training loss. The "
                 "sentences follow from the numbers by the rule below; an ordering that does not hold is a\n"
                 "finding. A model of 3 million parameters is tuned for "
              << whole(study.cpu_seconds) << " seconds a task on one core, where the paper uses 128 A100.\n\n";
  page.completeness();
  page.settings(
      {{"sampler", joined("DDIM with eta 1, T = ", kLsrlSteps, ", guidance ", s.guidance)},
       {"method", joined("`LSRL` in `MultiTask`: ", kLsrlTrainedSteps,
                         " random steps, one optimizer step for each over the whole batch, advantages over the batch; "
                         "ratios of log-probabilities that are means over elements, clipped at ",
                         s.ratio_clip)},
       {"batch", joined(s.batch * s.samples, " images of each task an update; parity: ", s.parity_samples,
                        " of a prompt (paper: 16), the others: ", s.samples)},
       {"tasks", joined("CLIPScore (in place of the paper's ImageReward) on prompts_train.txt; hue parity in ",
                        rt::shapes::HueParityOptions().bins,
                        " bins on prompts_parity.txt, which leaves the color open; composition on "
                        "prompts_pairs_train.txt")},
       {"pre-training loss",
        joined(s.pretraining_images, " drawn images with true captions, ", rt::PretrainingLossOptions().batch,
               " an update, an optimizer step of its own; in all cells but those named")},
       {"budget of the joint cells", "three times that of the others, so that every task gets what it gets alone"}});
  page.text()
      << "Measured after training, the same prompts and noise for all: CLIPScore on prompts_heldout.txt, parity over "
         "16 images of each prompt, composition on training pairs (seen) and on\n"
         "prompts_pairs_heldout.txt (unseen). Rule: an ordering is asked of every seed; it holds if it is true in at "
         "least two thirds of them; one seed alone is one comparison and proves little. The prompts of the parity task "
         "were chosen after looking at samples (the grammar always names a color; these draw an object without one); "
         "other settings were tried in smoke runs only. Numbers are mean ± deviation over seeds.\n\n";
}

class LsrlPage {
 public:
  explicit LsrlPage(Page& page) : page_(page), c_(page, groups(page.study())[0]) {}

  void write() {
    introduction(page_);
    if (!c_.planned()) return;
    table("## Each task's metric after training", kMeasures);
    page_.text() << "Paper: statistical parity 0.453 (RL), 0.464 (RAFT), 0.556 (untuned); detection 0.231 (RL), 0.102 "
                    "(untuned). Jointly 0.701 of 0.783 (ImageReward), 0.182 of 0.226 (detection) and 0.479 against "
                    "0.499 (parity).\n"
                    "Alignment tax: training on ImageReward alone moves parity from 0.567 to 0.659, training on parity "
                    "alone moves ImageReward from 0.273 to 0.093.\n\n";
    above("parity", "untuned", "parity.statistical_parity", "the parity reward makes images more even; 0.453 to 0.556");
    above("parity-loo", "untuned", "parity.statistical_parity", "not asked, leave-one-out is ours");
    above("composition", "untuned", "seen.composition", "detection 0.231 to 0.102");
    above("composition", "untuned", "unseen.composition", "the gain carries over to unseen combinations");
    above("clip", "untuned", "clip.clip_score", "ImageReward rises");
    for (const char* key : {"clip.clip_score", "seen.composition"}) retained(key);
    page_.text() << "- Alignment tax:\n";
    above("untuned", "clip", "parity.statistical_parity",
          "preference training alone makes images less even, 0.567 to 0.659");
    above("untuned", "parity", "clip.clip_score", "parity training alone costs preference, 0.273 to 0.093");
    above("joint", "clip", "parity.statistical_parity", "joint training keeps what one task alone loses");
    above("joint", "parity", "clip.clip_score", "joint training keeps what one task alone loses");
    page_.text() << "\n";
    table("## Sentinels (of the CLIPScore task's images)",
          {{"clip.edge_density", "edge density", 0},
           {"clip.color_entropy", "color entropy", 0},
           {"clip.saturation", "saturation", 0},
           {"clip.pairwise_diversity", "pairwise diversity", 0},
           {"clip.blank_share", "blank share", 0},
           {"parity.unclassified", "parity: images without a hue", 0}});
    page_.text() << "Without the pre-training loss the paper sees more reward hacking. Here that is asked of the "
                    "metrics that are not trained:\n\n";
    above("composition", "composition-bare", "clip.clip_score", "with the loss less is lost elsewhere");
    above("joint", "joint-bare", "unseen.composition", "with the loss unseen combinations gain more");
    page_.text() << "\n";
    c_.samples("tasks-samples.png", kLsrlSteps, 1);
    page_.text()
        << "## Not run\n\nRAFT and reward-weighted training as baselines, ReFL and DRaFT beside it, human preference, "
           "ImageReward itself, a distribution over skin tones, and the paper's scale of prompts.\n";
  }

 private:
  std::optional<double> value(const std::string& label, int seed, const std::string& key) const {
    const auto numbers =
        read_measured(page_.study(), c_.cell(label, label == "untuned" ? 0 : static_cast<std::uint64_t>(seed)));
    return numbers && numbers->contains(key) ? std::optional(numbers->at(key)) : std::nullopt;
  }

  void table(const std::string& heading, const std::vector<Measure>& measures) {
    auto& text = page_.text();
    text << heading << "\n\n| trained on |";
    std::string rule = "|---|";
    for (const auto& m : measures) text << " " << m.title << " |", rule += "---|";
    text << "\n" << rule << "\n";
    for (const auto& v : c_.group().variants) {
      text << "| " << v.title << " |";
      for (const auto& m : measures) {
        std::vector<double> values;
        for (int seed = 0; seed < (v.label == "untuned" ? 1 : page_.study().seeds); ++seed)
          if (const auto x = value(v.label, seed, m.key)) values.push_back(*x);
        text << " " << (values.empty() ? "missing" : mean_and_deviation(values)) << " |";
      }
      text << "\n";
    }
    text << "\n";
  }

  void above(const std::string& better, const std::string& worse, const std::string& key, const std::string& paper) {
    const auto& m = measure(key);
    Votes votes;
    for (int seed = 0; seed < page_.study().seeds; ++seed)
      if (const auto a = value(better, seed, key), b = value(worse, seed, key); a && b)
        votes.add(m.sign * (*a - *b) > 0);
    page_.text() << "- " << m.title << ": " << c_.variant(better).title << " better than " << c_.variant(worse).title
                 << " (paper: " << paper << "): ";
    if (votes.seeds == 0) page_.text() << "too few cells to judge.\n";
    else page_.text() << "true in " << votes.text() << "; this " << holds(votes.holds()) << ".\n";
  }

  /// The paper's claim on scores: jointly at least 80% of what the task alone reaches.
  void retained(const std::string& key) {
    const std::string alone = key.substr(0, 4) == "clip" ? "clip" : "composition";
    Votes votes;
    std::vector<double> shares;
    for (int seed = 0; seed < page_.study().seeds; ++seed)
      if (const auto a = value("joint", seed, key), b = value(alone, seed, key); a && b)
        shares.push_back(*a / *b), votes.add(*a >= 0.8 * *b);
    page_.text() << "- " << measure(key).title << ": jointly at least 80% of the score reached alone: ";
    if (votes.seeds == 0) page_.text() << "too few cells to judge.\n";
    else
      page_.text() << "true in " << votes.text() << " (median share " << number(median(shares), 2) << "); this "
                   << holds(votes.holds()) << ". A high untuned score makes it easy.\n";
  }

  static const Measure& measure(const std::string& key) {
    for (const auto& m : kMeasures)
      if (m.key == key) return m;
    return kMeasures[0];
  }

  Page& page_;
  Comparison c_;
};

}  // namespace

void write_lsrl_page(Page& page) { LsrlPage(page).write(); }

}  // namespace rt_reproduce
