// expect: [Trainer] needs an optimizer whose state checkpoints can hold
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/run/trainer.hpp>
#ifndef REWARD_TUNER_GOOD_TWIN
#include <torch/optim/adamw.h>
#endif

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Chosen = AdamW;
#else
using Chosen = torch::optim::AdamW;
static_assert(Optimizer<Chosen>);  // a tuner takes it
#endif

using Run = Trainer<DRTune<SymmetryReward>, StableDiffusion, Chosen>;
std::int64_t updates(const Run& run) { return run.progress().done(); }
