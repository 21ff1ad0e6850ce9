// Staying near the reference: value, pull, and limits.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>

#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>

namespace kl_to_reference_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

/// Largest distance of a weight from the reference after some updates.
double drift(double weight, double scale, double* last_regularizer = nullptr) {
  ToyPipeline pipeline, fresh;
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 5e-3});
  DRTune<ToyReward, KlToReference> tuner(ToyReward(), {.sampler = {.num_steps = 5, .guidance = 3.0},
                                                       .steps = {.num_trained = 2},
                                                       .objective = {.scale = scale},
                                                       .regularizer = {.weight = weight}});
  Rng rng(1);
  for (int i = 0; i < 25; ++i) {
    const auto report = tuner.update(pipeline, optimizer, {"a", "b"}, rng);
    if (i == 0) CHECK(report.regularizer == 0.0);  // nothing has moved yet
    if (last_regularizer) *last_regularizer = report.regularizer;
  }
  double distance = 0;
  for (std::size_t i = 0; i < fresh.parameters().size(); ++i)
    distance += (pipeline.parameters()[i] - fresh.parameters()[i]).square().sum().item<double>();
  return std::sqrt(distance);
}

}  // namespace
}  // namespace kl_to_reference_test

TEST_CASE("a strong regularizer keeps the network near its reference") {
  using namespace kl_to_reference_test;
  double free_value = 0, held_value = 0;
  const double free = drift(1e-9, 1.0, &free_value), held = drift(1e3, 1.0, &held_value);
  MESSAGE("distance with weight 1e-9: ", free, ", with 1e3: ", held, "; loss per unit of weight ", free_value / 1e-9,
          " and ", held_value / 1e3);
  CHECK(held < 0.5 * free);
  CHECK(held_value / 1e3 < 0.1 * free_value / 1e-9);
  CHECK(held_value > 0);
}

TEST_CASE("KlToReference rejects a weight that is negative or not finite") {
  using namespace reward_tuner;
  CHECK_THROWS_WITH_AS(KlToReference({.weight = -0.5}), "[KlToReference] weight must be finite and >= 0, got -0.5",
                       Error);
  CHECK_THROWS_AS(KlToReference({.weight = std::numeric_limits<double>::infinity()}), Error);
  CHECK(KlToReference().weight() == 1.0);
}
