// What every method's unit shares: the session of a cell, and the run itself.
#pragma once
#include <vector>

#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/run/evaluation.hpp>
#include <reward_tuner/run/prompt_set.hpp>
#include <reward_tuner/run/trained_weights.hpp>
#include <reward_tuner/run/trainer_options.hpp>
#include <reward_tuner/samplers/ddim.hpp>

#include "study.hpp"

namespace rt_reproduce {

/// Exit codes of the program.
inline constexpr int kDone = 0, kFailed = 1, kUsage = 2, kInterrupted = 130;

struct CellSession {
  const Study& study;
  const Cell& cell;
  std::filesystem::path folder;
  reward_tuner::StableDiffusion& pipeline;
  reward_tuner::AdamW& optimizer;
  reward_tuner::TrainedWeights weights;
  reward_tuner::PromptSet prompts;
  std::vector<reward_tuner::EvaluationPair> held_out;
  reward_tuner::AnyReward reward;
  reward_tuner::RunDescription description;
  reward_tuner::TrainerOptions trainer;
};

reward_tuner::DdimOptions sampler_options(const CellSession& session);
reward_tuner::KlToReferenceOptions regularizer_options(const CellSession& session);
reward_tuner::EngineOptions engine_options(const CellSession& session);

/// Runs one cell in its folder: not at all if it is done, from its last checkpoint if it was begun. Returns an exit
/// code.
int run_cell(const Study& study, const Cell& cell);

/// One translation unit each.
reward_tuner::RunEnd run_drtune(CellSession& session);
reward_tuner::RunEnd run_draft(CellSession& session);
reward_tuner::RunEnd run_draft_stop(CellSession& session);
reward_tuner::RunEnd run_draft_lv(CellSession& session);
reward_tuner::RunEnd run_refl(CellSession& session);
reward_tuner::RunEnd run_alignprop(CellSession& session);
reward_tuner::RunEnd run_alignprop_stop(CellSession& session);
reward_tuner::RunEnd run_alignprop_explored(CellSession& session);
reward_tuner::RunEnd run_ddpo(CellSession& session);
reward_tuner::RunEnd run_policy_gradient(CellSession& session);
reward_tuner::RunEnd run_dpok(CellSession& session);
reward_tuner::RunEnd run_dpo(CellSession& session);
reward_tuner::RunEnd run_lsrl(CellSession& session);
reward_tuner::RunEnd run_lsrl_joint(CellSession& session);
/// Writes report.json: norms of the LoRA's gradient for each K, with and without stopped inputs, at the same weights
/// and on the same batches.
reward_tuner::RunEnd measure_gradient_norms(CellSession& session);

}  // namespace rt_reproduce
