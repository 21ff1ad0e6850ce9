// The page of the b2 study.
#include "b2_plan.hpp"
#include "cell_settings.hpp"
#include "claims.hpp"
#include "comparison.hpp"
#include "report.hpp"
#include "studies.hpp"

namespace rt_reproduce {

namespace {

/// B2-paper, Table 2: CLIPScore and inception score of the untuned model, DDPO and B2-DiffuRL.
constexpr double kUntunedClip = 0.3515, kDdpoClip = 0.3698, kB2Clip = 0.3748;
constexpr double kUntunedInception = 1.318, kDdpoInception = 1.289, kB2Inception = 1.313;
constexpr double kShareOfRise = (kB2Clip - kDdpoClip) / (kDdpoClip - kUntunedClip);

constexpr const char* kReward = "held_out.composition";
constexpr const char* kInception = "held_out.inception_score";

class B2Page {
 public:
  explicit B2Page(Page& page) : page_(page) {
    for (const Group& group : groups(page.study())) groups_.emplace_back(page, group);
  }

  void write() {
    head();
    claims();
    settings();
    for (Comparison& group : groups_) results(group);
    page_.text() << "## Not run\n\nBERTScore as the reward (it wants a large vision-language model), the paper's three "
                    "prompt templates, the papers' guidance in a second arm, T = 20, training times in hours, and the "
                    "share of roots whose branches disagree by depth.\n";
  }

 private:
  void head() {
    page_.text()
        << "# B2-DiffuRL's comparisons in small\n\nThis page is written by `" << page_.command()
        << "`. It repeats comparisons of Hu et al. 2025, \"Towards Better Alignment: Training Diffusion Models with "
           "Reinforcement Learning Against Sparse Rewards\" (B2-DiffuRL): backward\n"
           "progressive training (BPT, a window of last steps that grows) and branch-based sampling (BS, of images "
           "that fork from one rollout the best and the worst are trained) around DDPO,\n"
           "then both around the plain policy gradient (PG), DPOK and online DPO. The paper tunes Stable Diffusion 1.4 "
           "with 25,600 reward queries; here a model of 3 million parameters is tuned with "
        << page_.study().rounds * page_.study().settings.batch * page_.study().settings.samples
        << ", the same number in every cell.\n\n";
    page_.completeness();
  }

  void claims() {
    const Comparison& g = groups_[0];
    const auto untuned = g.mean_of("untuned", kReward), ddpo = g.mean_of("ddpo", kReward),
               inception = g.mean_of("untuned", kInception);
    const std::optional<double> rise = untuned && ddpo ? std::optional(*ddpo - *untuned) : std::nullopt;
    const std::optional<double> share = rise ? std::optional(kShareOfRise * *rise) : std::nullopt;
    const auto inception_effect = [&](double difference) {
      return inception ? std::optional(difference / kUntunedInception * *inception) : std::nullopt;
    };
    std::vector<Claim> all;
    const auto claim = [&](const Comparison& group, const std::string& better, const std::string& worse,
                           const char* key, const std::string& text, const std::string& paper,
                           const std::optional<double>& effect) {
      all.push_back({text, paper, group.differences(better, worse, key), effect});
    };
    claim(g, "ddpo", "untuned", kReward, "DDPO above untuned in the reward", "0.3698 to 0.3515", {});
    claim(g, "b2", "ddpo", kReward, "B2-DiffuRL above DDPO in the reward", "0.3748 to 0.3698", share);
    claim(g, "b2", "ddpo", kTraining, "the same on training prompts, mean of the run", "Fig. 5", {});
    claim(g, "bpt", "ddpo", kReward, "BPT above DDPO in the reward", "Fig. 5", share);
    claim(g, "bpt", "ddpo", kTraining, "the same on training prompts, mean of the run", "Fig. 5", {});
    claim(g, "b2", "bpt", kReward, "BPT + BS above BPT in the reward", "Fig. 5", share);
    claim(g, "bs", "ddpo", kReward, "BS alone above DDPO in the reward", "not in the paper", {});
    claim(g, "b2", "bs", kReward, "BPT + BS above BS in the reward", "not in the paper", {});
    claim(g, "untuned", "b2", kInception, "untuned above B2-DiffuRL in the inception score", "1.318 to 1.313",
          inception_effect(kUntunedInception - kB2Inception));
    claim(g, "b2", "ddpo", kInception, "B2-DiffuRL above DDPO in the inception score", "1.313 to 1.289",
          inception_effect(kB2Inception - kDdpoInception));
    for (std::size_t i = 1; i < groups_.size(); ++i) {
      const std::string label = groups_[i].group().name, title = groups_[i].group().title;
      claim(groups_[i], label + "-b2", label, kReward, title + " with B2 above " + title + " in the reward", "App. D.1",
            share);
      claim(groups_[i], label + "-b2", label, kInception, title + " with B2 above " + title + " in the inception score",
            "App. D.1", inception_effect(kB2Inception - kDdpoInception));
    }
    page_.text() << "## Claims\n\n";
    claim_table(page_, all);
    page_.text() << claim_rule()
                 << " The paper's effect is scaled: of rewards by DDPO's rise here and there (B2-DiffuRL "
                    "adds "
                 << whole(100 * kShareOfRise)
                 << "% of it; where the paper has a curve alone that share stands for it), "
                    "of inception scores by those of the untuned models.\n\n";
  }

  void settings() {
    const Study& study = page_.study();
    const Settings& s = study.settings;
    const rt_shared::TuneSettings dpok;
    page_.settings(
        {{"sampler", joined("DDIM with eta 1, T = ", kB2Steps, ", guidance ", s.guidance)},
         {"reward",
          "composition, the mean confidence in the two objects that a prompt asks for, each with its color and "
          "shape (docs/rewards.md)"},
         {"prompts", joined("`", study.prompts.filename().string(), "`; held-out: `",
                            study.held_out.filename().string(), "`, other pairs of the same objects, with ",
                            study.measured_seeds, " images each, whose noise differs from seed to seed")},
         {"round", joined(s.batch, " prompts with ", s.samples, " images each, with BS of one rollout; ",
                          s.optimizer_steps, " optimizer steps; ", study.rounds, " rounds")},
         {"objective", joined("steps weigh by their noise (`StepWeights::kNoise`); ratios of log-probabilities that "
                              "are means over elements, clipped at ",
                              s.ratio_clip)},
         {"advantage",
          "`PerGroup`: less the mean of the prompt's images of the round, divided by the deviation of the whole round"},
         {"BPT", joined("the window grows from the last ", s.window_start, " steps (the code's share of T) to all ",
                        kB2Steps, " over the run")},
         {"BS", joined(s.samples, " branches, threshold ", kBranchThreshold,
                       " deviations; forks where the window begins, without BPT at the first step")},
         {"DPO", joined("pairs are the best and the worst of ", s.samples,
                        " images from one start latent, with B2 of branches at the window, without a threshold; beta ",
                        kPreferenceBeta, " on means over elements")},
         {"DPOK", joined("reward weight ", dpok.dpok_reward_weight, ", divergence weight ", dpok.dpok_kl_weight,
                         ", no learned value (App. D.1)")}});
    page_.text()
        << "Learning rate, average, batch and branches are those of `examples/recipes/tiny`, chosen there with "
           "another seed. Inception score: of a cell's held-out images, with the raw image vectors of the CLIP "
           "(see `metrics/inception_score.hpp`); comparable within this page only.\n\n";
  }

  void results(Comparison& c) {
    page_.text() << "## " << c.group().title << "\n\n";
    if (!c.planned() || !c.begun()) return;
    c.table({{kReward, "composition"},
             {kInception, "inception score"},
             {kTraining, "composition, mean of training"},
             {"held_out.shapes", "shape score (not trained)"},
             {"held_out.clip_score", "CLIPScore (not trained)"},
             {"held_out.pairwise_diversity", "pairwise diversity"},
             {"held_out.blank_share", "blank share"}});
    c.training_curves("composition");
    c.samples();
  }

  Page& page_;
  std::vector<Comparison> groups_;
};

}  // namespace

void write_b2_page(Page& page) { B2Page(page).write(); }

}  // namespace rt_reproduce
