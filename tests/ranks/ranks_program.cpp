// ranks_program METHOD MODEL RUN UPDATES SECONDS [resume]: one rank of a small run over Gloo, for processes.sh, which
// sets torchrun's variables. METHOD: drtune, budget, ddpo, b2-diffurl or reward-weighted. KILL_RANK and KILL_UPDATE
// name a rank that dies after an update, HANG_RANK and HANG_UPDATE one that sleeps.
// ranks_program write-model FOLDER: the tiny model.
#include <ATen/Parallel.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/methods/b2_diffurl.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/methods/reward_weighted.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/ranks/gloo.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/run/trainer.hpp>

#include <tests/reference/small_run.hpp>
#include <tests/reference/tiny_folder.hpp>

namespace {

using namespace reward_tuner;

/// Whether the environment names this rank and update.
bool named(const char* what, const Ranks& ranks, const UpdateReport& report) {
  const char* rank = std::getenv((std::string(what) + "_RANK").c_str());
  const char* update = std::getenv((std::string(what) + "_UPDATE").c_str());
  return rank != nullptr && update != nullptr && std::stoi(rank) == ranks.rank() && std::stol(update) == report.update;
}

template <class Tuner>
void run(Tuner tuner, char** argv, TrainerOptions options, const Ranks& ranks) {
  options.on_update = [&](const UpdateReport& report) {
    if (named("KILL", ranks, report)) ::kill(::getpid(), SIGKILL);
    if (named("HANG", ranks, report)) std::this_thread::sleep_for(std::chrono::hours(1));
  };
  auto pipeline = StableDiffusion::load(argv[2]);
  const auto lora = Lora::attach(pipeline.unet(), {.rank = 2, .targets = {"all"}});
  AdamW optimizer(lora.parameters(), {.learning_rate = 1e-2});
  const std::vector<std::string> prompts = {"a red circle", "a blue square", "a green ring", "a star"};
  Trainer trainer(tuner, pipeline, optimizer, PromptSet(prompts),
                  {.folder = argv[3],
                   .weights = trained_weights(lora),
                   .held_out = evaluation_pairs(prompts, 1, 100),
                   .description = {.method = argv[1], .reward = "symmetry", .model = "tiny"},
                   .ranks = ranks},
                  options);
  trainer.run();
}

void run_method(std::string_view method, char** argv, const TrainerOptions& options, const Ranks& ranks) {
  const EngineOptions engine{.micro_batch = 1};
  if (method == "drtune")
    return run(
        make<DRTune>(SymmetryReward(),
                     {.sampler = {.num_steps = 3, .guidance = 2.0}, .steps = {.num_trained = 2}, .engine = engine}),
        argv, options, ranks);
  if (method == "budget")  // the graphs of some of the trained steps fit
    return run(make<DRTune>(SymmetryReward(), {.sampler = {.num_steps = 4, .guidance = 2.0},
                                               .steps = {.num_trained = 3, .max_early_stop = 0},
                                               .engine = {.micro_batch = 1, .memory = Memory::budget(1'600'000)}}),
               argv, options, ranks);
  if (method == "ddpo")
    return run(make<DDPO>(SymmetryReward(), {.sampler = {.num_steps = 3, .guidance = 2.0}, .engine = engine}), argv,
               options, ranks);
  if (method == "b2-diffurl")
    return run(
        make<B2DiffuRL>(
            SymmetryReward(),
            {.sampler = {.num_steps = 3}, .steps = {.initial = 2}, .branching = {.num_branches = 2}, .engine = engine}),
        argv, options, ranks);
  return run(make<RewardWeightedTraining>(
                 SymmetryReward(),
                 {.sampler = {.num_steps = 3}, .objective = {.round = {.samples_per_prompt = 2}}, .engine = engine}),
             argv, options, ranks);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "write-model") {
    reference::write_tiny_model(argv[2], REWARD_TUNER_TEST_DATA "/tokenizer");
    return 0;
  }
  if (argc < 6) return 2;
  at::set_num_threads(1);
  auto options = reference::small_run_options(std::stol(argv[4]), 2, 1);
  options.batch = 4;
  options.evaluation_batch = 1;
  options.tensorboard = false;
  options.resume = argc > 6;
  try {
    const auto launch = Launch::from_environment();
    const Ranks ranks = launch ? gloo_ranks(*launch, {.time_limit = std::stod(argv[5])}) : Ranks();
    run_method(argv[1], argv, options, ranks);
  } catch (const std::exception& problem) {
    std::cerr << problem.what() << '\n';
    return 1;
  }
  return 0;
}
