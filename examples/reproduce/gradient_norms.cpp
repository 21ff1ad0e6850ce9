#include "gradient_norms.hpp"

#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/gradient_stop/stop_input.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/run/interrupt_guard.hpp>

#include "drtune_plan.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

namespace {

/// An optimizer that leaves the weights alone.
class NoStep {
 public:
  explicit NoStep(std::vector<rt::Tensor> parameters) : parameters_(std::move(parameters)) {}
  void step() {}
  void zero_grad() {
    for (auto& p : parameters_) p.mutable_grad() = rt::Tensor();
  }
  const std::vector<rt::Tensor>& parameters() const { return parameters_; }

 private:
  std::vector<rt::Tensor> parameters_;
};

/// One batch's norm. Prompts and noise come from `seed` alone. Not a number where the gradient overflowed.
template <class Tuner>
double norm(Tuner tuner, rt_shared::TuneSession& s, std::uint64_t seed) {
  rt::Rng rng(seed);
  NoStep optimizer(s.weights.tensors());
  const auto report = tuner.update(s.pipeline, optimizer, s.prompts.draw(s.trainer.batch, rng), rng);
  return report.skipped ? std::numeric_limits<double>::quiet_NaN() : report.gradient_norm;
}

template <class... Stop>
double draft_norm(rt_shared::TuneSession& s, int trained, std::uint64_t seed) {
  return norm(rt::make<rt::DRaFT, rt::Ddim, Stop...>(
                  s.reward.reward, {.sampler = {.num_steps = s.settings.steps, .guidance = s.settings.guidance},
                                    .steps = {.num_trained = trained},
                                    .engine = {.gradient_clip = s.settings.clip_gradient}}),
              s, seed);
}

}  // namespace

rt::RunEnd measure_gradient_norms(const Study& study, rt_shared::TuneSession& s) {
  nlohmann::json rows = nlohmann::json::array();
  const auto part = s.settings.out / "part.json";  // what an interrupted measurement had
  if (std::filesystem::exists(part)) rows = rt::read_json(part);
  const auto depths = norm_depths(study, s.settings.steps);
  for (std::size_t i = rows.size(); i < depths.size(); ++i) {
    std::vector<double> passing, stopped;
    for (int batch = 0; batch < study.norm_batches; ++batch) {
      if (rt::InterruptGuard::interrupted()) return rt::RunEnd::kInterrupted;
      const auto seed = static_cast<std::uint64_t>(batch);
      passing.push_back(draft_norm<>(s, depths[i], seed));
      stopped.push_back(draft_norm<rt::StopInput>(s, depths[i], seed));
    }
    rows.push_back({{"trained", depths[i]}, {"passing", passing}, {"stopped", stopped}});
    rt::write_json(part, rows);
  }
  rt::write_json(s.settings.out / "report.json", {{"steps", s.settings.steps}, {"norms", rows}});
  return rt::RunEnd::kCompleted;
}

}  // namespace rt_reproduce
