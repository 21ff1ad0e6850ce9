// rt-tune tune --method lsrl --tasks FILE: several tasks on one model.
#include <reward_tuner/methods/lsrl.hpp>
#include <reward_tuner/tuner/multi_task.hpp>

#include "sampled_method.hpp"

namespace rt_tune {

TuneResult tune_tasks(TuneSession& s) {
  using Tuner = LogProbTuner<rt::LSRL>;
  std::vector<rt::Task<Tuner, AnyPrompts>> tasks;
  for (const TuneTask& task : s.tasks) {
    try {
      tasks.push_back(
          rt::task(task.name,
                   log_prob_tuner<Tuner>(task.settings, s.method, task.reward.reward, {.clip = *s.settings.clip_range}),
                   task.prompts, task.settings.batch));
    } catch (const std::exception& problem) {
      detail::refuse_task(s.settings.tasks, task.name, problem);
    }
  }
  rt::MultiTaskOptions options{.gradient_clip = s.settings.clip_gradient};
  if (s.settings.regularizer == "pretraining") options.pretraining = pretraining_options(s.settings);
  return train(rt::multi_task(std::move(options), std::move(tasks)), s);
}

}  // namespace rt_tune
