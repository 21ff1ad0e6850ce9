// The stop-gradient against full back-propagation through the sampler over K trained steps: time, peak tensor bytes,
// network calls and the norm of the gradient (DRTune paper, Fig. 7).
#include <benchmarks/google.hpp>
#include <reward_tuner/gradient_stop/pass_input.hpp>
#include <reward_tuner/methods/drtune.hpp>

namespace {

using namespace bench;
using Stopped = rt::DRTune<Symmetry>;                // equally spaced steps, network inputs without gradient
using Passed = rt::DRTune<Symmetry, rt::PassInput>;  // the same steps, gradients through the network's inputs too

template <class Tuner>
typename Tuner::Options tuner_options(const Settings& s, int trained, rt::Memory memory) {
  typename Tuner::Options o;
  o.sampler = s.sampler();
  o.steps.num_trained = trained;
  o.steps.max_early_stop = 0;
  o.engine.memory = memory;
  return o;
}

template <class Tuner>
void add(const Settings& s, const std::shared_ptr<Model>& model, const std::string& name, int trained,
         rt::Memory memory) {
  const auto tuner = std::make_shared<Tuner>(symmetry(), tuner_options<Tuner>(s, trained, memory));
  add_update(
      s, name + "/K:" + std::to_string(trained), [model] { model->restart(); },
      [=](benchmark::State& state) {
        rt::Rng rng(0);
        const rt::UpdateReport report = tuner->update(model->pipeline, model->optimizer(), prompts(s.batch), rng);
        state.counters["peak_tensor_bytes"] = static_cast<double>(report.peak_tensor_bytes);
        state.counters["forwards"] = static_cast<double>(report.forwards);
        state.counters["backwards"] = static_cast<double>(report.backwards);
        state.counters["gradient_norm"] = report.gradient_norm;
      });
}

void add_all(const Settings& s) {
  const auto model = std::make_shared<Model>(s);
  for (const int trained : {1, 2, 5, 10, 20, 50}) {
    if (trained > s.steps) continue;
    add<Stopped>(s, model, "stop/replay", trained, rt::Memory::kReplay);
    add<Passed>(s, model, "pass/replay", trained, rt::Memory::kReplay);
    add<Stopped>(s, model, "stop/retain", trained, rt::Memory::kRetain);
    add<Passed>(s, model, "pass/retain", trained, rt::Memory::kRetain);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_google(argc, argv, "Stop-gradient against full back-propagation over K trained steps.", add_all);
}
