// lsrl on several tasks of one model.
#include <exception>

#include <reward_tuner/objectives/clipped_ratio.hpp>
#include <reward_tuner/tuner/multi_task.hpp>

#include "sampled_method.hpp"

namespace rt_shared {
namespace {

const RegisteredUnit tasks_unit(MethodUnit::kTasks, [](TuneSession& s) {
  std::vector<rt::Task<LogProbTuner<rt::ClippedRatio>, AnyPrompts>> tasks;
  for (const TuneTask& task : s.tasks) {
    try {
      tasks.push_back(rt::task(
          task.name,
          log_prob_tuner<rt::ClippedRatio>(s, task.settings, task.reward.reward,
                                           {.clip = task.settings.clip_range, .clip_nats = task.settings.clip_nats}),
          task.prompts, task.settings.batch));
    } catch (const std::exception& problem) {
      refuse_task(s.settings.tasks, task.name, problem);
    }
  }
  rt::MultiTaskOptions options{.pretraining = pretraining_options(s, s.settings)};
  if (s.settings.clip_gradient) options.gradient_clip = *s.settings.clip_gradient;
  return train(rt::multi_task(std::move(options), std::move(tasks)), s);
});

}  // namespace
}  // namespace rt_shared
