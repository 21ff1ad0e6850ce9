// Updates of the shipped Stable Diffusion on the device of REWARD_TUNER_TEST_DEVICE, the CPU without it: gradients are
// the CPU's up to rounding, and the same bits twice with LibTorch's deterministic algorithms.
#include <doctest/doctest.h>

#include <ATen/Context.h>

#include <cmath>
#include <string>
#include <vector>

#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/rewards/symmetry.hpp>

#include <tests/reference/captioned_toy.hpp>
#include <tests/reference/test_device.hpp>

namespace device_stable_diffusion_test {
namespace {

using namespace reward_tuner;
using reference::test_device;

/// LibTorch's deterministic algorithms, as long as it lives. On a card they want CUBLAS_WORKSPACE_CONFIG=:4096:8.
struct Deterministic {
  Deterministic() { at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false); }
  ~Deterministic() { at::globalContext().setDeterministicAlgorithms(false, false); }
  Deterministic(const Deterministic&) = delete;
};

const std::vector<std::string> kPrompts = {"a red circle", "a blue square"};

/// The gradients of an update's first optimizer step, on the CPU.
template <class Tuner>
std::vector<Tensor> gradients(at::Device device, at::ScalarType dtype, Tuner tuner) {
  auto pipeline =
      StableDiffusion::load(REWARD_TUNER_SOURCE_DIR "/examples/models/tiny-shapes", {.device = device, .dtype = dtype});
  const auto lora = Lora::attach(pipeline.unet(), {.rank = 4});
  Rng noise(9);
  {  // B is zero in a new LoRA, and so is A's gradient
    const torch::NoGradGuard no_grad;
    for (const auto& [name, value] : lora.named_parameters())
      if (name.find("lora_B") != std::string::npos)
        Tensor(value).copy_(0.02 * noise.normal(value.sizes(), value.options()));
  }
  reference::StepRecorder optimizer{lora.parameters()};
  Rng rng(4);
  const UpdateReport report = tuner.update(pipeline, optimizer, kPrompts, rng);
  REQUIRE_FALSE(report.skipped);
  std::vector<Tensor> out;
  for (const Tensor& g : optimizer.steps.at(0)) {
    CHECK(g.device().type() == device.type());
    out.push_back(g.cpu().to(at::kDouble));
  }
  return out;
}

double relative_error(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]).square().sum().item<double>();
    size += b[i].square().sum().item<double>();
  }
  return std::sqrt(difference / size);
}

/// Calls visit(name, tuner) for methods of each kind of gradient.
template <class Visit>
void each_method(Visit visit) {
  const DdimOptions sampler{.num_steps = 4, .guidance = 3, .eta = 1};
  const EngineOptions retain{.memory = Memory::kRetain};
  visit("DRTune", DRTune<SymmetryReward>(SymmetryReward(), {.sampler = sampler, .steps = {.num_trained = 2}}));
  visit("DRTune, retain", DRTune<SymmetryReward>(SymmetryReward(), {.sampler = sampler,
                                                                    .steps = {.num_trained = 2, .max_early_stop = 0},
                                                                    .engine = retain}));
  visit("DRaFT", DRaFT<SymmetryReward>(SymmetryReward(), {.sampler = sampler, .steps = {.num_trained = 2}}));
  visit("DDPO", DDPO<SymmetryReward>(SymmetryReward(), {.sampler = sampler}));
}

}  // namespace
}  // namespace device_stable_diffusion_test

TEST_CASE("updates on the device have the CPU's gradients up to rounding") {
  using namespace device_stable_diffusion_test;
  each_method([](const char* name, const auto& tuner) {
    const double error =
        relative_error(gradients(test_device(), at::kFloat, tuner), gradients(at::kCPU, at::kFloat, tuner));
    MESSAGE(name, ": relative error of the gradient ", error);
    CHECK(error < 2e-3);
  });
}

TEST_CASE("with deterministic algorithms the same seed gives the same bits twice, in every type") {
  using namespace device_stable_diffusion_test;
  const Deterministic scope;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    if (dtype == at::kHalf && test_device().is_cpu()) continue;  // emulated
    each_method([&](const char* name, const auto& tuner) {
      const auto once = gradients(test_device(), dtype, tuner), again = gradients(test_device(), dtype, tuner);
      for (std::size_t i = 0; i < once.size(); ++i)
        CHECK_MESSAGE(at::equal(once[i], again[i]), name, " in ", c10::toString(dtype), ", tensor ", i);
    });
  }
}
