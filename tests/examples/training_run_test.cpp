// The pretraining loop: a killed run continues bit for bit, and the average is what it says.
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <stdexcept>

#include <examples/pretrain/training_run.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/initialize.hpp>
#include <reward_tuner/models/layers.hpp>

namespace training_run_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::pretrain;

struct Folder {
  Folder() : path(std::filesystem::temp_directory_path() / "reward_tuner_training_run_test") {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

std::shared_ptr<Linear> network() {
  auto made = std::make_shared<Linear>(3, 2);
  Rng rng(4);
  initialize(*made, rng);
  return made;
}

Tensor regression_loss(const Linear& linear, Rng& rng) {
  const Tensor x = rng.normal({8, 3});
  return (linear.forward(x) - x.slice(1, 0, 2)).square().mean();
}

TEST_CASE("TrainingRun: a run that dies continues bit for bit from its checkpoint") {
  const TrainingOptions options{
      .steps = 30, .warm_up = 5, .learning_rate = 0.05, .average = 0.9, .seed = 7, .seconds_per_checkpoint = 0};
  Tensor straight, resumed;
  {
    const Folder folder;
    const auto linear = network();
    TrainingRun run("toy", folder.path, {{"net", linear}}, options);
    double first = 0;
    run.train([&](Rng& rng) {
      const Tensor loss = regression_loss(*linear, rng);
      if (first == 0) first = loss.item<double>();
      return loss;
    });
    run.use_average();
    straight = linear->weight.detach().clone();
    CHECK(run.report().loss < 0.7 * first);  // the mean over all steps
    CHECK(run.report().steps == 30);
  }
  {
    const Folder folder;
    const auto linear = network();
    int calls = 0;
    TrainingRun run("toy", folder.path, {{"net", linear}}, options);
    CHECK_THROWS_AS(run.train([&](Rng& rng) {
      if (++calls == 13) throw std::runtime_error("killed");
      return regression_loss(*linear, rng);
    }),
                    std::runtime_error);
    const auto again = network();
    TrainingRun second("toy", folder.path, {{"net", again}}, options);
    CHECK(second.report().steps == 12);
    int rest = 0;
    second.train([&](Rng& rng) { return ++rest, regression_loss(*again, rng); });
    CHECK(rest == 18);
    second.use_average();
    resumed = again->weight.detach().clone();
    TrainingRun finished("toy", folder.path, {{"net", again}}, options);
    finished.train([&](Rng&) -> Tensor { throw std::runtime_error("a finished stage must not train"); });
  }
  CHECK(at::equal(straight, resumed));
}

TEST_CASE("TrainingRun: with_average shows the average and puts the trained weights back") {
  const Folder folder;
  const auto linear = network();
  TrainingRun run("toy", folder.path, {{"net", linear}},
                  {.steps = 20, .warm_up = 1, .learning_rate = 0.1, .average = 0.99});
  run.train([&](Rng& rng) { return regression_loss(*linear, rng); });
  const Tensor trained = linear->weight.detach().clone();
  run.with_average([&] { CHECK_FALSE(at::equal(linear->weight, trained)); });
  CHECK(at::equal(linear->weight, trained));
}

TEST_CASE("TrainingRun: a loss that is not finite stops the run by name") {
  const Folder folder;
  const auto linear = network();
  TrainingRun run("toy", folder.path, {{"net", linear}}, {.steps = 3});
  CHECK_THROWS_AS(run.train([&](Rng&) { return linear->weight.sum() / 0; }), Error);
}

}  // namespace
}  // namespace training_run_test
