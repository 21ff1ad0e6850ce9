// An update in progress: its inputs, its measurements so far, and its optimizer steps.
#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/engine/condition_gradient.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/optim/gradient_scale.hpp>
#include <reward_tuner/optim/optimizer_concept.hpp>
#include <reward_tuner/optim/optimizer_step.hpp>
#include <reward_tuner/ranks/gradient_sum.hpp>
#include <reward_tuner/ranks/ranks.hpp>
#include <reward_tuner/tensor/memory_meter.hpp>
#include <reward_tuner/tensor/rng.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>
#include <reward_tuner/tuner/own_loss.hpp>
#include <reward_tuner/tuner/update_report.hpp>

namespace reward_tuner {

/// Time and memory of an update, or of a part of it.
class UpdateMeter {
 public:
  void write(UpdateReport& report) const {
    report.peak_tensor_bytes = std::max(report.peak_tensor_bytes, memory_.peak_bytes());
    report.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    report.times.add(clock_.seconds());
  }
  const MemoryMeter& memory() const { return memory_; }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  MemoryMeter memory_;
  StageClock clock_;
};

/// Adds network calls to a report.
inline void add_counts(UpdateReport& report, const NetworkCounts& counts) {
  report.forwards += counts.forwards;
  report.backwards += counts.backwards;
  report.forward_samples += counts.forward_samples;
  report.backward_samples += counts.backward_samples;
  report.retained += counts.retained;
}

/// The arguments of a surrogate's train().
template <DiffusionPipeline Pipeline, Optimizer Optim>
struct RunningUpdate {
  Pipeline& pipeline;
  Optim& optimizer;
  Rng& rng;
  GradientScale& scale;       ///< of the gradients of the optimizer's parameters
  int scale_growth;           ///< EngineOptions::gradient_scale_growth
  const MemoryMeter& memory;  ///< of this update
  const Ranks& ranks;         ///< all of them make this update
  UpdateReport report;        ///< a skip_reason ends the update
  NetworkCounts counts = {};  ///< calls that are not in the report yet
  UpdateReport own = {};      ///< the regularizer's own loss, added up over the optimizer steps
};

/// The sum of an optimizer step's gradients over the ranks: of what is trained, and of what `condition` collects.
template <DiffusionPipeline Pipeline, Optimizer Optim>
GradientSum gradient_sum(RunningUpdate<Pipeline, Optim>& update, ConditionGradient<Pipeline>& condition) {
  std::vector<Tensor> summed = update.optimizer.parameters();
  for (Tensor& leaf : condition.leaves()) summed.push_back(std::move(leaf));
  return {update.ranks, std::move(summed)};
}

/// Adds the gradients of the regularizer's own loss, unless it alternates.
template <class Regularizer, DiffusionPipeline Pipeline, Optimizer Optim>
void add_own_loss(const Regularizer& regularizer, RunningUpdate<Pipeline, Optim>& update) {
  if (!RegularizerTraits<Regularizer>::alternates(regularizer))
    accumulate_own_loss(regularizer, update.pipeline, update.rng, update.counts, update.own);
}

/// A guarded_step on gradients that the scale enlarged, which learns from it. Returns the norm before clipping.
template <Optimizer Optim>
double scaled_step(Optim& optimizer, double gradient_clip, GradientScale& scale, int scale_growth) {
  const double norm = guarded_step(optimizer, gradient_clip, scale.factor());
  if (std::isfinite(norm)) scale.stepped(scale_growth);
  else scale.overflowed();
  return norm;
}

/// One optimizer step. False, with the reason in the report, if the gradient is not finite: the update ends there.
template <DiffusionPipeline Pipeline, Optimizer Optim>
bool optimizer_step(RunningUpdate<Pipeline, Optim>& update, double gradient_clip) {
  UpdateReport& report = update.report;
  const double norm = scaled_step(update.optimizer, gradient_clip, update.scale, update.scale_growth);
  if (!std::isfinite(norm)) {
    report.gradient_norm = norm;
    report.skip_reason = "the gradient of the parameters is not finite";
    if (report.optimizer_steps > 0)
      report.skip_reason += " at optimizer step " + std::to_string(report.optimizer_steps + 1) +
                            " of the round; the ones before were made";
    return false;
  }
  // a running mean
  report.gradient_norm += (norm - report.gradient_norm) / static_cast<double>(++report.optimizer_steps);
  return true;
}

/// The optimizer step of a regularizer's own loss, whose gradients are there. Left out, with `failure` as a warning, if
/// they are not finite.
template <Optimizer Optim>
void own_optimizer_step(Optim& optimizer, double gradient_clip, GradientScale& scale, int scale_growth,
                        const std::string& failure, UpdateReport& report) {
  const double norm = scaled_step(optimizer, gradient_clip, scale, scale_growth);
  report.regularizer_gradient_norm = largest(report.regularizer_gradient_norm, norm);
  if (std::isfinite(norm)) ++report.optimizer_steps;
  else add_sentence(report.warning, failure);
}

}  // namespace reward_tuner
