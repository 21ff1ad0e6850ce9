// The page of the lsrl study.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/regularizers/pretraining_loss.hpp>
#include <reward_tuner/shapes/hue_parity.hpp>

#include "claims.hpp"
#include "comparison.hpp"
#include "lsrl_plan.hpp"
#include "report.hpp"
#include "studies.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

namespace {

constexpr double kShare = 0.8;  ///< of a task's gain alone that it keeps jointly

constexpr const char* kClip = "unseen.clip_score";
constexpr const char* kSpread = "parity.statistical_parity";
constexpr const char* kSeen = "seen.composition";
constexpr const char* kUnseen = "unseen.composition";

/// A task with what it is judged by.
struct Task {
  std::string label, title, key;
  std::string jointly;  ///< the paper's scores, jointly of alone
  double paper;         ///< and the share of the gain that they make
};
const std::vector<Task>& tasks() {
  static const std::vector<Task> all = {
      {"clip", "CLIPScore", kClip, "ImageReward 0.701 of 0.783", (0.701 - 0.273) / (0.783 - 0.273)},
      {"parity", "evenness", kSpread, "parity 0.499, alone 0.479", (0.567 - 0.499) / (0.567 - 0.479)},
      {"composition", "composition", kUnseen, "detection 0.182 of 0.226", 0.66}};
  return all;
}

class LsrlPage {
 public:
  explicit LsrlPage(Page& page) : page_(page), c_(page, groups(page.study())[0]) {}

  void write() {
    head();
    claims();
    shares();
    settings();
    results();
    page_.text() << "## Not run\n\nReFL, human preference, ImageReward itself, a distribution over skin tones, hacking "
                    "over the course of a run, and the paper's scale of prompts.\n";
  }

 private:
  /// Better is higher: statistical parity with its sign turned.
  std::vector<double> differences(const std::string& better, const std::string& worse, const std::string& key) const {
    return key == kSpread ? c_.differences(worse, better, key) : c_.differences(better, worse, key);
  }

  void head() {
    const Study& study = page_.study();
    const Settings& s = study.settings;
    page_.text()
        << "# Large-scale RL's comparisons in small\n\nThis page is written by `" << page_.command()
        << "`. It repeats comparisons of Zhang et al. 2024, \"Large-scale Reinforcement Learning for Diffusion "
           "Models\": a distribution reward (statistical parity), a composition reward on seen and unseen "
           "combinations, joint training of several tasks against each alone, the pre-training loss, and "
           "other methods on each task. A model of 3 million parameters is tuned with "
        << study.rounds * s.batch * s.samples
        << " reward queries a task, the same number in every cell, where the paper uses 128 A100.\n\n";
    page_.completeness();
  }

  /// The paper's difference as a part of the task's gain here as it is of the paper's gain.
  std::optional<double> scaled(const Task& task, double difference, double gain) const {
    const PairedDifference here = paired_difference(differences(task.label, "untuned", task.key));
    return here.mean > 0 ? std::optional(difference / gain * here.mean) : std::nullopt;
  }

  void claims() {
    const Task &clip = tasks()[0], &parity = tasks()[1], &composition = tasks()[2];
    std::vector<Claim> all;
    const auto claim = [&](const char* better, const char* worse, const char* key, const std::string& text,
                           const std::string& paper, const std::optional<double>& effect = {}) {
      all.push_back({text, paper, differences(better, worse, key), effect});
    };
    claim("clip", "untuned", kClip, "training on CLIPScore raises it", "ImageReward 0.170 to 0.845");
    claim("parity", "untuned", kSpread, "training on parity makes images more even", "parity 0.556 to 0.453");
    claim("parity-groups", "untuned", kSpread, "the same with one reward a group, as in the paper",
          "parity 0.556 to 0.453");
    claim("composition", "untuned", kSeen, "training on composition raises it on seen pairs",
          "detection 0.102 to 0.231");
    claim("composition", "untuned", kUnseen, "and on unseen pairs", "the gain carries over");
    for (const Task& task : tasks()) {
      auto [jointly, alone] = gains(task);
      for (std::size_t i = 0; i < alone.size(); ++i) jointly[i] -= kShare * alone[i];
      all.push_back({"joint training gains at least " + number(kShare, 1) + " of what " + task.title + " gains alone",
                     task.jointly,
                     std::move(jointly),
                     {},
                     std::move(alone)});
    }
    claim("untuned", "clip", kSpread, "tax: CLIPScore alone makes images less even", "parity 0.567 to 0.659",
          scaled(parity, 0.659 - 0.567, 0.567 - 0.479));
    claim("untuned", "parity", kClip, "tax: parity alone costs CLIPScore", "ImageReward 0.273 to 0.093",
          scaled(clip, 0.273 - 0.093, 0.783 - 0.273));
    claim("joint", "clip", kSpread, "joint training is more even than CLIPScore alone", "parity 0.499 to 0.659",
          scaled(parity, 0.659 - 0.499, 0.567 - 0.479));
    claim("joint", "parity", kClip, "joint training has more CLIPScore than parity alone", "ImageReward 0.701 to 0.093",
          scaled(clip, 0.701 - 0.093, 0.783 - 0.273));
    claim("untuned", "clip-bare", "unseen.shapes", "hacking: CLIPScore without the pre-training loss costs shape score",
          "hacks");
    claim("clip", "clip-bare", "unseen.shapes", "the loss keeps shape score, CLIPScore alone", "hacks less");
    claim("untuned", "composition-bare", "unseen.shapes",
          "hacking: composition without the pre-training loss costs shape score", "hacks");
    claim("composition", "composition-bare", "unseen.shapes", "the loss keeps shape score, composition alone",
          "hacks less");
    claim("joint", "joint-bare", "unseen.shapes", "the loss keeps shape score, joint", "hacks less");
    claim("clip-bare", "clip", kClip, "the loss costs CLIPScore, CLIPScore alone", "-");
    claim("composition-bare", "composition", kUnseen, "the loss costs composition, composition alone", "-");
    claim("clip", "raft-clip", kClip, "large-scale RL above RAFT in CLIPScore", "ImageReward 0.845 to 0.338",
          scaled(clip, 0.845 - 0.338, 0.845 - 0.170));
    claim("clip", "weighted-clip", kClip, "above reward-weighted training in CLIPScore", "ImageReward 0.845 to 0.438",
          scaled(clip, 0.845 - 0.438, 0.845 - 0.170));
    claim("clip", "draft-clip", kClip, "above DRaFT-LV in CLIPScore", "ImageReward 0.845 to 0.818",
          scaled(clip, 0.845 - 0.818, 0.845 - 0.170));
    claim("clip", "draft-clip", "unseen.shapes", "above DRaFT-LV, both on CLIPScore, in the shape score",
          "people prefer it");
    claim("parity", "raft-parity", kSpread, "more even than RAFT", "parity 0.453 to 0.464",
          scaled(parity, 0.464 - 0.453, 0.556 - 0.453));
    claim("parity", "weighted-parity", kSpread, "more even than reward-weighted training", "parity 0.453 to 0.562",
          scaled(parity, 0.562 - 0.453, 0.556 - 0.453));
    claim("composition", "raft-composition", kUnseen, "above RAFT in composition", "detection 0.231 to 0.094",
          scaled(composition, 0.231 - 0.094, 0.231 - 0.102));
    claim("composition", "weighted-composition", kUnseen, "above reward-weighted training in composition",
          "detection 0.231 to 0.136", scaled(composition, 0.231 - 0.136, 0.231 - 0.102));
    page_.text() << "## Claims\n\n";
    claim_table(page_, all);
    page_.text() << claim_rule()
                 << " Statistical parity is lower where images are more even: its differences have the other sign. The "
                    "rows of joint training are of gains over the untuned model, joint gain - "
                 << number(kShare, 1)
                 << " x gain alone of a seed, and cannot be told unless the interval of the gain alone lies above 0. "
                    "The paper says at least 80% of scores; of its gains they are 84, 77 and 66%. The paper's effect "
                    "is scaled: it is as large a part of the task's gain here as there.\n\n";
  }

  /// Gains over the untuned model of every seed that has all three: jointly, alone.
  std::pair<std::vector<double>, std::vector<double>> gains(const Task& task) const {
    const double sign = task.key == kSpread ? -1 : 1;
    const SeedValues joint = c_.values("joint", task.key), alone = c_.values(task.label, task.key),
                     untuned = c_.values("untuned", task.key);
    std::pair<std::vector<double>, std::vector<double>> out;
    for (const auto& [seed, value] : joint) {
      if (!alone.contains(seed) || !untuned.contains(seed)) continue;
      out.first.push_back(sign * (value - untuned.at(seed)));
      out.second.push_back(sign * (alone.at(seed) - untuned.at(seed)));
    }
    return out;
  }

  void shares() {
    auto& text = page_.text();
    text << "## What tasks keep of their gain in joint training\n\n| task | gain alone | gain jointly | share | 95% "
            "interval | paper |\n|---|---|---|---|---|---|\n";
    for (const Task& task : tasks()) {
      const auto [jointly, alone] = gains(task);
      const GainRatio r = gain_ratio(jointly, alone);
      text << "| " << task.title << " | " << mean_and_deviation(alone) << " | " << mean_and_deviation(jointly) << " | "
           << (r.told ? number(r.ratio, 2) : "cannot tell") << " | "
           << (r.told ? number(r.low, 2) + " to " + number(r.high, 2) : "-") << " | " << number(task.paper, 2)
           << " |\n";
    }
    text << "\nA share is the ratio of the mean gains, with Fieller's interval: the shares that the paired t-test does "
            "not tell from it. There is none unless the gain alone is told from 0.\n\n";
  }

  void settings() {
    const Study& study = page_.study();
    const Settings& s = study.settings;
    page_.settings(
        {{"sampler", joined("DDIM with eta 1, T = ", kLsrlSteps, ", guidance ", s.guidance)},
         {"method",
          joined("`LSRL` in `MultiTask`: ", kLsrlTrainedSteps, " random ones of the first ", kLsrlSteps - s.skip_last,
                 " steps, which weigh by their noise (`StepWeights::kNoise`), one optimizer step for each "
                 "over the whole batch; advantages over the batch; ratios of log-probabilities that are "
                 "means over elements, clipped at ",
                 s.ratio_clip)},
         {"round",
          joined(s.batch * s.samples, " images of each task: ", s.samples, " of a prompt, of parity ", s.parity_samples,
                 " as in the paper; ", study.rounds, " rounds; in joint training a round has all three tasks")},
         {"tasks", joined("CLIPScore (in place of the paper's ImageReward) and composition on `",
                          study.prompts.filename().string(), "`; hue parity in ", rt::shapes::HueParityOptions().bins,
                          " bins on `prompts_parity.txt`, which leaves the color open")},
         {"parity reward", "what an image adds to its group's (leave-one-out, ours), in one cell the group's"},
         {"pre-training loss",
          joined(s.pretraining_images, " drawn images with true captions, ", rt::PretrainingLossOptions().batch,
                 " an update, an optimizer step of its own; in all cells of large-scale RL but those named")},
         {"RAFT", joined("the best of ", kRaftImages, " images of a prompt, of parity the best two of ",
                         s.parity_samples, ", at ", kRaftNoisings, " noise levels, learning rate ", kRaftLearningRate)},
         {"reward-weighted", joined("images of the untuned model, weights exp(reward / ", kWeightedTemperature, "), ",
                                    kWeightedNoisings, " noise levels, learning rate ", kWeightedLearningRate, ", ",
                                    kWeightedPretraining, " of the pre-training loss beside it, as in the paper")},
         {"DRaFT-LV", joined("four updates of ", s.direct_batch, " images to a round")},
         {"measured",
          joined("after training, noise of its own in every seed: CLIPScore, composition and shape score on ",
                 study.measured_seeds, " image(s) of each prompt of `", study.held_out.filename().string(),
                 "` (unseen pairs), composition on one of each training pair too (seen); parity on ",
                 std::max(1, study.measured_seeds / 2), " group(s) of ", s.parity_samples,
                 " of each prompt of `prompts_parity_heldout.txt`, none of which is trained")}});
    page_.text() << "Learning rates, average, batches and trained steps are those of `examples/recipes/tiny`, chosen "
                    "there by the reward of training prompts with a seed that no run here has. The prompts of the "
                    "parity task were chosen after looking at samples: the grammar always names a color, and these "
                    "draw an object without one.\n\n";
  }

  void results() {
    page_.text() << "## " << c_.group().title << "\n\n";
    if (!c_.planned() || !c_.begun()) return;
    c_.table({{kClip, "CLIPScore"},
              {kSpread, "statistical parity (lower is better)"},
              {kSeen, "composition, seen pairs"},
              {kUnseen, "composition, unseen pairs"},
              {"unseen.shapes", "shape score (not trained)"}});
    page_.text() << "Sentinels, of the images of unseen pairs and of parity:\n\n";
    c_.table({{"unseen.edge_density", "edge density"},
              {"unseen.color_entropy", "color entropy"},
              {"unseen.saturation", "saturation"},
              {"unseen.pairwise_diversity", "pairwise diversity"},
              {"unseen.blank_share", "blank share"},
              {"parity.unclassified", "parity: images without a hue"}});
    c_.samples();
  }

  Page& page_;
  Comparison c_;
};

}  // namespace

void write_lsrl_page(Page& page) { LsrlPage(page).write(); }

}  // namespace rt_reproduce
