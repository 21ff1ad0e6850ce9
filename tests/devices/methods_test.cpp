// Whole updates on a second device: every tensor is there, and the numbers are the CPU's. On the device of
// tests/reference/host_device.hpp they are so to the bit, and the loops over steps never wait for it; on that of
// REWARD_TUNER_TEST_DEVICE, which rounds on its own, up to rounding in double.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/exploration/diffexp.hpp>
#include <reward_tuner/methods/alignprop.hpp>
#include <reward_tuner/methods/b2_diffurl.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/dpo.hpp>
#include <reward_tuner/methods/dpok.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/draft_lv.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/methods/grpo.hpp>
#include <reward_tuner/methods/lsrl.hpp>
#include <reward_tuner/methods/policy_gradient.hpp>
#include <reward_tuner/methods/refl.hpp>
#include <reward_tuner/methods/reward_weighted.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/samplers/ddpm.hpp>

#include <tests/reference/captioned_toy.hpp>
#include <tests/reference/host_device.hpp>
#include <tests/reference/test_device.hpp>
#include <tests/reference/text_toy.hpp>
#include <tests/reference/toy_reward.hpp>

namespace devices_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

/// The device of this run, and whether it is a real one.
const at::Device kDevice = test_device().is_cpu() ? HostDevice::device() : test_device();
const bool kReal = !kDevice.is_privateuseone();

const std::vector<std::string> kPrompts = {"a red circle", "a star", "two squares"};

struct Result {
  std::vector<Tensor> weights;  // on the CPU
  UpdateReport report;
  std::map<std::string, int> waits;  // of the last update
};

/// Two updates of a toy whose text encoder trains.
template <class Tuner>
Result run(const std::function<Tuner()>& make, at::Device device) {
  TextToy pipeline(true, {.dtype = kReal ? at::kDouble : at::kFloat, .device = device});
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
  Rng rng(5);
  Tuner tuner = make();
  Result out;
  for (int i = 0; i < 2; ++i) {
    HostDevice::forget();
    out.report = tuner.update(pipeline, optimizer, kPrompts, rng);
    out.waits = HostDevice::waits();
  }
  for (const Tensor& p : pipeline.parameters()) {
    CHECK(p.device().type() == device.type());
    out.weights.push_back(p.detach().cpu());
  }
  return out;
}

/// To the bit, or up to rounding on a real device.
bool same(double a, double b) { return a == b || (kReal && std::abs(a - b) <= 1e-9 * (std::abs(a) + 1e-3)); }
bool same(const Tensor& a, const Tensor& b) { return kReal ? at::allclose(a, b, 1e-6, 1e-7) : at::equal(a, b); }

int sum(const std::map<std::string, int>& waits) {
  int all = 0;
  for (const auto& [name, count] : waits) all += count;
  return all;
}
std::string text(const std::map<std::string, int>& waits) {
  std::string all;
  for (const auto& [name, count] : waits) all += name + " " + std::to_string(count) + ", ";
  return all;
}

/// `make(T)`: a tuner of T sampler steps whose optimizer steps do not depend on T.
template <class Make>
void check(const std::string& name, Make make) {
  using Tuner = decltype(make(4));
  const auto of = [&](int steps) { return std::function<Tuner()>([&make, steps] { return make(steps); }); };
  const Result here = run<Tuner>(of(4), at::kCPU), there = run<Tuner>(of(4), kDevice);
  REQUIRE_MESSAGE(here.report.optimizer_steps > 0, name);
  CHECK_MESSAGE(same(here.report.reward, there.report.reward), name);
  CHECK_MESSAGE(same(here.report.loss, there.report.loss), name);
  CHECK_MESSAGE(same(here.report.gradient_norm, there.report.gradient_norm), name);
  for (std::size_t i = 0; i < here.weights.size(); ++i)
    CHECK_MESSAGE(same(here.weights[i], there.weights[i]), name, ", tensor ", i);
  if (kReal) return;  // it does not count
  const Result longer = run<Tuner>(of(8), kDevice);
  CHECK(sum(here.waits) == 0);
  MESSAGE(name, ": the device is waited for ", sum(there.waits), " times an update (", text(there.waits), ")");
  CHECK_MESSAGE(sum(longer.waits) == sum(there.waits), name, ", of twice the steps: ", text(longer.waits));
}

}  // namespace
}  // namespace devices_test

TEST_CASE("methods that follow the reward's gradient run on any device and wait for it once, not at every step") {
  using namespace devices_test;
  for (const Memory memory : {Memory::kReplay, Memory::kRetain}) {
    check("DRTune", [&](int T) {
      return DRTune<ToyReward, KlToReference>(
          ToyReward(),
          {.sampler = {.num_steps = T, .guidance = 3}, .steps = {.num_trained = T / 2}, .engine = {.memory = memory}});
    });
    check("DRTune, Ddpm", [&](int T) {
      return DRTune<ToyReward, Ddpm>(
          ToyReward(),
          {.sampler = {.num_steps = T, .guidance = 3}, .steps = {.num_trained = T / 2}, .engine = {.memory = memory}});
    });
    check("DRaFT", [&](int T) {
      return DRaFT<ToyReward>(ToyReward(), {.sampler = {.num_steps = T, .guidance = 3, .eta = 0.5},
                                            .steps = {.num_trained = T / 2},
                                            .engine = {.memory = memory}});
    });
    check("DRaFT-LV", [&](int T) {
      return DRaFTLV<ToyReward>(ToyReward(), {.sampler = {.num_steps = T}, .engine = {.memory = memory}});
    });
    check("ReFL", [&](int T) {
      return ReFL<ToyReward>(ToyReward(),
                             {.sampler = {.num_steps = T}, .steps = {.max_stop = 3}, .engine = {.memory = memory}});
    });
    check("AlignProp", [&](int T) {
      return AlignProp<ToyReward>(ToyReward(), {.sampler = {.num_steps = T}, .engine = {.memory = memory}});
    });
  }
  check("DRTune, clipped", [](int T) {
    return DRTune<ToyReward>(
        ToyReward(), {.sampler = {.num_steps = T, .clipping = CleanClipping{.kind = CleanClipping::Kind::kDynamic}},
                      .steps = {.num_trained = T / 2}});
  });
  check("DRTune, steps together", [](int T) {
    return DRTune<ToyReward>(ToyReward(), {.sampler = {.num_steps = T},
                                           .steps = {.num_trained = T / 2, .max_early_stop = 0},
                                           .engine = {.replay_batch = 2}});
  });
  check("DRTune, DiffExp", [](int T) {
    return DRTune<ToyReward, DiffExp>(ToyReward(), {.sampler = {.num_steps = T, .guidance = 3},
                                                    .steps = {.num_trained = T / 2},
                                                    .exploration = {.span = {.updates = 9}}});
  });
}

TEST_CASE("methods that learn from samples do so too") {
  using namespace devices_test;
  check("DDPO", [](int T) { return DDPO<ToyReward>(ToyReward(), {.sampler = {.num_steps = T, .guidance = 3}}); });
  check("DDPO, Ddpm and rows", [](int T) {
    return DDPO<ToyReward, Ddpm, KlToReference>(ToyReward(),
                                                {.sampler = {.num_steps = T}, .objective = {.round = {.rows = 2}}});
  });
  check("PolicyGradient", [](int T) { return PolicyGradient<ToyReward>(ToyReward(), {.sampler = {.num_steps = T}}); });
  check("GRPO", [](int T) { return GRPO<ToyReward>(ToyReward(), {.sampler = {.num_steps = T}}); });
  check("DPO", [](int T) { return DPO<ToyReward>(ToyReward(), {.sampler = {.num_steps = T}}); });
  check("DPOK", [](int T) { return DPOK<ToyReward>(ToyReward(), {.sampler = {.num_steps = T}}); });
  check("LSRL", [](int T) {
    return LSRL<ToyReward>(ToyReward(), {.sampler = {.num_steps = T},
                                         .steps = {.num_trained = 2},
                                         .regularizer = {.images = captioned_images(), .batch = 2}});
  });
  check("reward-weighted",
        [](int T) { return RewardWeightedTraining<ToyReward>(ToyReward(), {.sampler = {.num_steps = T}}); });
}
