// Measures a cell's model.
#include "measure.hpp"

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
        sampler_({.num_steps = cell.steps, .guidance = study.settings.guidance, .eta = 1}) {
    if (cell.method != Method::kUntuned)
      adapter_.emplace(rt::Lora::load(pipeline_.unet(), study.out / cell.name / "lora"));
  }

  /// Scores `seeds` images of each prompt, and adds the numbers as "set.metric".
  void add(const std::string& set, const std::vector<std::string>& prompts, int seeds, std::uint64_t first_seed,
           const std::vector<rt::EvaluationReward>& rewards) {
    const auto result = rt::evaluate(pipeline_, sampler_, rt::evaluation_pairs(prompts, seeds, first_seed), rewards);
    for (const auto* from : {&result->metrics, &result->sentinels})
      for (const auto& [name, value] : *from) numbers_[set + "." + name] = value;
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
    rt::write_json(folder / "measured.json", numbers_);
    if (cell_.method == Method::kUntuned)
      rt::write_json(folder / "report.json", {{"method", "untuned"}, {"model", study_.model.string()}});
  }

 private:
  const Study& study_;
  const Cell& cell_;
  rt::StableDiffusion pipeline_;
  std::optional<rt::Lora> adapter_;
  rt::Ddim sampler_;
  std::map<std::string, double> numbers_;
};

void measure_tasks(const Study& study, Measuring& measuring) {
  const auto task = [&](const std::string& set, const std::string& name, bool held_out, int seeds, std::size_t most) {
    auto prompts = rt::PromptSet::from_file(lsrl_prompts(study, name, held_out)).prompts();
    if (prompts.size() > most) prompts.resize(most);
    measuring.add(set, prompts, seeds, study.settings.first_held_out_seed, {measuring.reward(name, lsrl_reward(name))});
  };
  task("clip", "clip", true, study.quick ? 1 : 2, 24);
  task("parity", "parity", true, 16, 8);  // M = 16 as in the paper
  task("seen", "composition", false, study.quick ? 1 : 2, 24);
  task("unseen", "composition", true, study.quick ? 1 : 2, 24);
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
  if (study.kind == StudyKind::kLsrl) measure_tasks(study, measuring);
  else measure_held_out(study, cell, measuring);
  measuring.write();
}

}  // namespace rt_reproduce
