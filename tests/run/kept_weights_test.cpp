// Weights put aside, saved and brought back.
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>

#include <stdexcept>

#include <reward_tuner/run/kept_weights.hpp>

TEST_CASE("kept weights are copies, are what is saved, and leave the trained ones as they are, after an error too") {
  using namespace reward_tuner;
  const Tensor parameter = at::ones({2}).requires_grad_();
  double saved = 0;
  bool fails = false;
  const TrainedWeights weights{.named = {{"w", parameter}}, .save = [&](const std::filesystem::path&) {
                                 saved = parameter.sum().item<double>();
                                 if (fails) throw std::runtime_error("no room");
                               }};
  const auto move_to = [&](double value) {
    const torch::NoGradGuard no_grad;
    Tensor(parameter).fill_(value);
  };
  KeptWeights kept;
  CHECK(kept.empty());
  kept.keep(weights, at::full({1, 3, 2, 2}, 0.5));
  move_to(4);
  CHECK(kept.tensors.at("w").sum().item<double>() == 2);
  CHECK_FALSE(kept.tensors.at("w").requires_grad());
  kept.save(weights, "anywhere");
  CHECK(saved == 2);
  CHECK(parameter.sum().item<double>() == 8);
  fails = true;
  saved = 0;
  CHECK_THROWS_WITH(kept.save(weights, "anywhere"), "no room");
  CHECK(saved == 2);
  CHECK(parameter.sum().item<double>() == 8);

  KeptWeights back;
  const KeptWeights stored{{{"w", at::full({2}, 3.0, at::kDouble)}}, at::zeros({1, 3, 2, 2})};
  back.keep(stored, weights);
  CHECK((back.tensors.at("w").scalar_type() == at::kFloat));  // as the trained tensor
  stored.tensors.at("w").zero_();
  CHECK(back.tensors.at("w").sum().item<double>() == 6);
  CHECK(back.images.defined());
}
