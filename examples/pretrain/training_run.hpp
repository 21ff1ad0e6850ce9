// One training stage: AdamW with warm-up and cosine decay, weight averaging, a log, and checkpoints from which a killed
// run continues.
#pragma once
#include <ATen/ops/tensor.h>
#include <torch/autograd.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner::pretrain {

struct TrainingOptions {
  std::int64_t steps = 1000;      ///< length of the stage and of its cosine decay
  std::int64_t warm_up = 100;     ///< steps over which the learning rate rises from 0
  double learning_rate = 1.5e-3;  ///< its peak; it ends at 1% of this
  double beta2 = 0.99;            ///< decay of AdamW's second moment
  double weight_decay = 0.0;      ///< decoupled
  double gradient_norm = 1.0;     ///< gradients are scaled down to this norm
  /// decay of the exponential average of the weights, 0 for none; the average is what the stage leaves behind
  double average = 0.0;
  std::uint64_t seed = 0;  ///< of the stage's random stream
  double seconds_per_checkpoint = 60;
  std::int64_t log_every = 50;  ///< steps per line of the log
};

/// What a finished stage says about itself.
struct StageReport {
  std::int64_t steps = 0;
  double seconds = 0;  ///< wall clock of all its parts
  double loss = 0;     ///< mean over the last line of the log
};

/// A trained network with its report.
template <class Network>
struct Trained {
  Network network;
  StageReport report;
};

/// Trains some networks together. The state lives in `<folder>/<name>.safetensors`, the log in `<folder>/<name>.csv`.
class TrainingRun {
 public:
  using Networks = std::map<std::string, std::shared_ptr<torch::nn::Module>>;

  TrainingRun(std::string name, std::filesystem::path folder, Networks networks, TrainingOptions options)
      : name_(std::move(name)),
        folder_(std::move(folder)),
        networks_(std::move(networks)),
        options_(options),
        rng_(options.seed),
        optimizer_(
            parameters_of(networks_),
            {.learning_rate = options.learning_rate, .beta2 = options.beta2, .weight_decay = options.weight_decay}) {
    REWARD_TUNER_CHECK(options_.gradient_norm > 0 && std::isfinite(options_.gradient_norm),
                       "[Pretrain] gradient_norm expected a finite number above 0, got ", options_.gradient_norm);
    REWARD_TUNER_CHECK(options_.average >= 0 && options_.average < 1,
                       "[Pretrain] average expected a number in [0, 1), got ", options_.average);
    REWARD_TUNER_CHECK(options_.seconds_per_checkpoint >= 0 && std::isfinite(options_.seconds_per_checkpoint),
                       "[Pretrain] seconds_per_checkpoint expected a finite number >= 0, got ",
                       options_.seconds_per_checkpoint);
    REWARD_TUNER_CHECK(options_.steps >= 1 && options_.warm_up >= 0 && options_.log_every >= 1,
                       "[Pretrain] expected steps >= 1, warm_up >= 0 and log_every >= 1, got ", options_.steps, ", ",
                       options_.warm_up, " and ", options_.log_every);
    for (const auto& [key, weight] : weights())
      if (options_.average > 0) average_[key] = weight.clone();
    if (std::filesystem::exists(file())) resume();
  }

  /// Runs `loss(rng)` to the last step; does nothing when the stage is finished already. Every call of `loss` answers
  /// one batch's scalar. `watch(step)` is called at every line of the log.
  void train(const std::function<Tensor(Rng&)>& loss, const std::function<void(std::int64_t)>& watch = {}) {
    double saved_at = seconds_, logged_at = seconds_, sum = 0;
    std::int64_t summed = 0;
    const auto start = std::chrono::steady_clock::now();
    const double before = seconds_;
    while (step_ < options_.steps) {
      optimizer_.scale_learning_rate(rate_factor());
      const Tensor value = loss(rng_);
      value.backward();
      clip_gradients();
      optimizer_.step();
      optimizer_.zero_grad();
      sum += value.item<double>();
      REWARD_TUNER_CHECK(std::isfinite(sum), "[Pretrain] ", name_, " expected a finite loss at step ", step_, ", got ",
                         sum);
      ++summed;
      ++step_;
      update_average();
      seconds_ = before + std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      if (step_ % options_.log_every == 0 || step_ == options_.steps) {
        last_loss_ = sum / static_cast<double>(summed);
        const double pace = (seconds_ - logged_at) / static_cast<double>(summed);
        std::printf("%s %lld/%lld loss %.5f, %.3f s a step, %.1f min left\n", name_.c_str(),
                    static_cast<long long>(step_), static_cast<long long>(options_.steps), last_loss_, pace,
                    pace * static_cast<double>(options_.steps - step_) / 60);
        std::fflush(stdout);
        std::ofstream(folder_ / (name_ + ".csv"), std::ios::app)
            << step_ << ',' << last_loss_ << ',' << seconds_ << '\n';
        logged_at = seconds_, sum = 0, summed = 0;
        if (watch) watch(step_);
      }
      if (seconds_ - saved_at > options_.seconds_per_checkpoint || step_ == options_.steps) save(), saved_at = seconds_;
    }
  }

  /// Runs `body` with the averaged weights in place of the trained ones.
  void with_average(const std::function<void()>& body) {
    std::map<std::string, Tensor> trained;
    for (const auto& [key, weight] : weights()) trained[key] = weight.clone();
    use_average();
    body();
    const torch::NoGradGuard no_grad;
    for (auto& [key, weight] : weights()) weight.copy_(trained.at(key));
  }
  /// Copies the average into the networks; without averaging nothing changes.
  void use_average() {
    const torch::NoGradGuard no_grad;
    for (auto& [key, weight] : weights())
      if (options_.average > 0) weight.copy_(average_.at(key));
  }

  StageReport report() const { return {step_, seconds_, last_loss_}; }

 private:
  static std::vector<Tensor> parameters_of(const Networks& networks) {
    std::vector<Tensor> all;
    for (const auto& [name, network] : networks)
      for (const auto& parameter : network->parameters()) all.push_back(parameter);
    return all;
  }
  std::map<std::string, Tensor> weights() const {
    std::map<std::string, Tensor> all;
    for (const auto& [name, network] : networks_)
      for (auto& [key, weight] : state_dict(*network)) all.emplace(name + "." + key, weight);
    return all;
  }
  std::filesystem::path file() const { return folder_ / (name_ + ".safetensors"); }

  double rate_factor() const {
    const double rise = std::min(
        1.0, static_cast<double>(step_ + 1) / static_cast<double>(std::max<std::int64_t>(1, options_.warm_up)));
    const double fall =
        0.5 * (1 + std::cos(std::numbers::pi * static_cast<double>(step_) / static_cast<double>(options_.steps)));
    return rise * (0.01 + 0.99 * fall);
  }
  void clip_gradients() {
    double squared = 0;
    for (const Tensor& p : optimizer_.parameters())
      if (p.grad().defined()) squared += p.grad().square().sum().item<double>();
    const double norm = std::sqrt(squared);
    if (norm <= options_.gradient_norm) return;
    for (const Tensor& p : optimizer_.parameters())
      if (p.grad().defined()) p.grad().mul_(options_.gradient_norm / norm);
  }
  void update_average() {
    if (options_.average <= 0) return;
    const auto age = static_cast<double>(step_);
    const double decay = std::min(options_.average, (1 + age) / (10 + age));  // young averages forget faster
    for (const auto& [key, weight] : weights()) average_.at(key).lerp_(weight, 1 - decay);
  }

  void save() const {
    std::map<std::string, Tensor> state;
    for (const auto& [key, weight] : weights()) state["weights." + key] = weight;
    for (const auto& [key, weight] : average_) state["average." + key] = weight;
    for (const auto& [key, tensor] : optimizer_.state()) state["optimizer." + key] = tensor;
    state["rng"] = rng_.state();
    state["progress"] = at::tensor({static_cast<double>(step_), seconds_, last_loss_}, at::kDouble);
    save_safetensors(file(), state);
  }
  void resume() {
    const auto saved = SafetensorsFile::open(file());
    const torch::NoGradGuard no_grad;
    for (auto& [key, weight] : weights()) weight.copy_(saved.tensor("weights." + key));
    for (auto& [key, weight] : average_) weight.copy_(saved.tensor("average." + key));
    std::map<std::string, Tensor> state;
    for (const auto& [key, tensor] : optimizer_.state()) state[key] = saved.tensor("optimizer." + key);
    optimizer_.load_state(state);
    rng_.set_state(saved.tensor("rng").clone());
    const Tensor progress = saved.tensor("progress");
    step_ = progress[0].item<std::int64_t>(), seconds_ = progress[1].item<double>(),
    last_loss_ = progress[2].item<double>();
    std::printf("%s continues at step %lld of %lld\n", name_.c_str(), static_cast<long long>(step_),
                static_cast<long long>(options_.steps));
    std::fflush(stdout);
  }

  std::string name_;
  std::filesystem::path folder_;
  Networks networks_;
  TrainingOptions options_;
  Rng rng_;
  AdamW optimizer_;
  std::map<std::string, Tensor> average_;
  std::int64_t step_ = 0;
  double seconds_ = 0, last_loss_ = 0;
};

/// int64 [count] random rows of a set of `rows`.
inline Tensor random_rows(Rng& rng, std::int64_t rows, std::int64_t count) {
  return (rng.uniform({count}, at::kDouble) * static_cast<double>(rows)).to(at::kLong);  // [count]
}

}  // namespace reward_tuner::pretrain
