// Measures a cell's model.
#include "measure.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/run/evaluation.hpp>
#include <reward_tuner/run/prompt_set.hpp>
#include <reward_tuner/samplers/ddim.hpp>

#include "inception_reward.hpp"
#include "lsrl_plan.hpp"
#include "lsrl_tasks.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

namespace {

class Measuring {
 public:
  Measuring(const Study& study, const Cell& cell)
      : study_(study),
        cell_(cell),
        pipeline_(rt::StableDiffusion::load(study.model)),
        sampler_({.num_steps = cell.steps, .guidance = guidance_scale(study, cell), .eta = cell.eta}) {
    if (cell.method != Method::kUntuned)
      adapter_.emplace(rt::Lora::load(pipeline_.unet(), study.out / cell.name / "lora"));
  }

  /// Scores `seeds` images of each prompt, and adds the numbers as "set.metric": to the mean if the set comes again.
  void add(const std::string& set, const std::vector<std::string>& prompts, int seeds, std::uint64_t first_seed,
           const std::vector<rt::EvaluationReward>& rewards) {
    const auto result = rt::evaluate(pipeline_, sampler_, rt::evaluation_pairs(prompts, seeds, first_seed), rewards);
    for (const auto* from : {&result->metrics, &result->sentinels})
      for (const auto& [name, value] : *from) {
        Mean& number = numbers_[set + "." + name];
        number.total += value, ++number.count;
      }
  }

  /// A reward as rt-tune names it.
  rt::EvaluationReward reward(const std::string& name, const std::string& spelling) {
    rt_shared::TuneSettings settings;
    settings.rewards = {spelling};
    rt::AnyReward reward = rt_shared::make_reward(settings).reward;
    if (reward.needs_clip()) reward.bind_clip(pipeline_.clip());
    return {name, reward};
  }

  std::shared_ptr<const rt::ClipModel> clip() { return pipeline_.clip(); }

  void write() const {
    const auto folder = study_.out / cell_.name;
    std::filesystem::create_directories(folder);
    std::map<std::string, double> means;
    for (const auto& [name, number] : numbers_) means[name] = number.total / number.count;
    rt::write_json(folder / "measured.json", means);
    if (cell_.method == Method::kUntuned)
      rt::write_json(folder / "report.json", {{"method", "untuned"}, {"model", study_.model.string()}});
  }

 private:
  struct Mean {
    double total = 0;
    int count = 0;
  };

  const Study& study_;
  const Cell& cell_;
  rt::StableDiffusion pipeline_;
  std::optional<rt::Lora> adapter_;
  rt::Ddim sampler_;
  std::map<std::string, Mean> numbers_;
};

/// Of a task, with --quick.
constexpr std::size_t kQuickPrompts = 8;

void measure_tasks(const Study& study, const Cell& cell, Measuring& measuring) {
  const auto prompts = [&](const char* task, bool held_out) {
    auto all = rt::PromptSet::from_file(lsrl_prompts(study, task, held_out)).prompts();
    if (study.quick && all.size() > kQuickPrompts) all.resize(kQuickPrompts);
    return all;
  };
  const auto clip = measuring.reward("clip_score", "clip_score"), shapes = measuring.reward("shapes", "shapes"),
             composition = measuring.reward("composition", "composition"),
             parity = measuring.reward("parity", "parity");
  const int images = study.measured_seeds, groups = std::max(1, images / 2);
  const std::uint64_t noise = study.settings.first_held_out_seed * 2;
  const std::uint64_t first = noise + cell.seed * static_cast<std::uint64_t>(images);
  measuring.add("seen", prompts("composition", false), 1, first, {composition});
  measuring.add("unseen", prompts("composition", true), images, first, {composition, shapes, clip});
  const auto size = static_cast<std::uint64_t>(study.settings.parity_samples);
  for (int group = 0; group < groups; ++group)  // in one go they would be one group
    measuring.add("parity", prompts("parity", true), study.settings.parity_samples,
                  noise + (cell.seed * static_cast<std::uint64_t>(groups) + static_cast<std::uint64_t>(group)) * size,
                  {parity});
}

void measure_held_out(const Study& study, const Cell& cell, Measuring& measuring) {
  const auto seeds = static_cast<std::uint64_t>(study.measured_seeds);
  measuring.add("held_out", rt::PromptSet::from_file(study.held_out).prompts(), study.measured_seeds,
                study.settings.first_held_out_seed * 2 + cell.seed * seeds,
                {measuring.reward("composition", "composition"),
                 measuring.reward("shapes", "shapes"),
                 measuring.reward("clip_score", "clip_score"),
                 {"inception_score", rt::AnyReward(InceptionReward(measuring.clip()))}});
}

}  // namespace

void measure(const Study& study, const Cell& cell) {
  Measuring measuring(study, cell);
  if (study.kind == StudyKind::kLsrl) measure_tasks(study, cell, measuring);
  else measure_held_out(study, cell, measuring);
  measuring.write();
}

}  // namespace rt_reproduce
