// Options of the engine itself: how an update is cut, kept in memory, rounded, clipped and guarded. docs/engine.md says
// when to use which.
#pragma once
#include <c10/core/ScalarType.h>

#include <cmath>
#include <cstdint>
#include <optional>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/option_fields.hpp>

namespace reward_tuner {

/// Where the gradients of trained steps come from.
class Memory {
 public:
  enum Way : int {  // of a fixed type, so that every number is one of its values
    /// trained steps are evaluated once more in the sweep: memory of one network backward whatever T and K, K more
    /// forwards
    kReplay,
    kRetain,  ///< the rollout keeps the graphs of trained steps: no second forward, memory of K network activations
    kBudget,  ///< see `budget`
  };

  constexpr Memory(Way way = kReplay) : way_(way) {}  // NOLINT(google-explicit-constructor)
  /// The rollout keeps the graphs of as many trained steps as fit, the last ones, and the others are replayed: an
  /// update's tensors, without weights and optimizer, then stay below `bytes`, or at what a replay takes if that is
  /// more. The first update replays and measures (engine/graph_budget.hpp); what it found is a part of the tuner's
  /// state.
  static constexpr Memory budget(std::int64_t bytes) {
    Memory memory(kBudget);
    memory.bytes_ = bytes;
    return memory;
  }

  constexpr Way way() const { return way_; }
  constexpr std::int64_t bytes() const { return bytes_; }  ///< of a budget, else 0
  constexpr bool operator==(const Memory&) const = default;

 private:
  Way way_;
  std::int64_t bytes_ = 0;
};
template <class Visit>
void visit_fields(const Memory& memory, Visit visit) {
  visit("way", memory.way());
  visit("bytes", memory.bytes());
}

struct EngineOptions {
  /// samples rolled out and differentiated at a time; gradients add up over the batch. 0: the whole batch
  int micro_batch = 0;
  /// largest norm of the whole gradient, scaled down beyond it; 0 switches clipping off. Unset: 0.1 of the reward's own
  /// gradient (DRTune-paper 4.1), 1 of what is learned from samples (ddpo-pytorch)
  std::optional<double> gradient_clip = {};
  int max_skipped_in_a_row = 5;     ///< this many consecutive non-finite updates are an error
  Memory memory = Memory::kReplay;  ///< kReplay, kRetain or Memory::budget(bytes), see Memory
  /// independent trained steps (StopInput, replay) in one network call, >= 1; memory grows with it
  int replay_batch = 1;
  int decode_batch = 0;  ///< samples decoded and scored at a time, forward and backward; 0: the micro-batch
  /// rollouts run with the low-rank adapters merged into the weights; always so with rollout_dtype
  bool merge_adapters = true;
  /// steps without gradient run in this type (bfloat16, half); unset: as trained steps do
  std::optional<c10::ScalarType> rollout_dtype = {};
  /// repeated network calls of a rollout are recorded once and replayed, which saves the host's work for them: CUDA
  /// graphs on a card, in a build with REWARDTUNER_CUDA. Elsewhere, and with Memory::budget, rollouts run as ever and a
  /// note says why
  bool capture_rollout = false;
  /// network and decoder run under autocast to this type (bfloat16), forward and backward, but for what rollout_dtype
  /// covers; unset: off
  std::optional<c10::ScalarType> autocast = {};
  /// first factor on gradients inside a network of float16, a power of two, >= 1; other networks have none. Halved when
  /// gradients overflow, and that update is skipped (torch.amp.GradScaler: 65536)
  double gradient_scale = 65536;
  /// optimizer steps without overflow that double the factor, 0: it never grows (torch.amp.GradScaler: 2000; an update
  /// here costs a rollout, and a run has hundreds)
  int gradient_scale_growth = 200;
  /// the network keeps its blocks' inputs only and runs each block again in its backward
  bool activation_checkpointing = false;
};
REWARD_TUNER_FIELDS(EngineOptions, micro_batch, gradient_clip, max_skipped_in_a_row, memory, replay_batch, decode_batch,
                    merge_adapters, rollout_dtype, capture_rollout, autocast, gradient_scale, gradient_scale_growth,
                    activation_checkpointing);

inline void check_options(const EngineOptions& o) {
  REWARD_TUNER_CHECK(o.micro_batch >= 0, "[RewardTuner] engine.micro_batch must be >= 0 (0: the whole batch), got ",
                     o.micro_batch);
  REWARD_TUNER_CHECK(!o.gradient_clip || (*o.gradient_clip >= 0 && std::isfinite(*o.gradient_clip)),
                     "[RewardTuner] engine.gradient_clip must be >= 0 (0: no clipping), got ", *o.gradient_clip);
  REWARD_TUNER_CHECK(o.max_skipped_in_a_row >= 1, "[RewardTuner] engine.max_skipped_in_a_row must be >= 1, got ",
                     o.max_skipped_in_a_row);
  REWARD_TUNER_CHECK(o.replay_batch >= 1, "[RewardTuner] engine.replay_batch must be >= 1, got ", o.replay_batch);
  REWARD_TUNER_CHECK(o.replay_batch == 1 || o.memory != Memory::kRetain, "[RewardTuner] engine.replay_batch ",
                     o.replay_batch, " cannot be combined with Memory::kRetain, which replays nothing");
  REWARD_TUNER_CHECK(o.memory.way() != Memory::kBudget || o.memory.bytes() > 0,
                     "[RewardTuner] engine.memory expected Memory::budget of at least a byte, got ", o.memory.bytes());
  REWARD_TUNER_CHECK(o.decode_batch >= 0, "[RewardTuner] engine.decode_batch must be >= 0 (0: the micro-batch), got ",
                     o.decode_batch);
  const auto bfloat16 = [](const std::optional<c10::ScalarType>& t) { return !t || *t == c10::ScalarType::BFloat16; };
  REWARD_TUNER_CHECK(bfloat16(o.rollout_dtype) || *o.rollout_dtype == c10::ScalarType::Half,
                     "[RewardTuner] engine.rollout_dtype expected bfloat16 or half, got ",
                     c10::toString(*o.rollout_dtype));
  REWARD_TUNER_CHECK(bfloat16(o.autocast),
                     "[RewardTuner] engine.autocast expected bfloat16 (float16 is a type of frozen weights here, "
                     "StableDiffusionOptions::dtype), got ",
                     c10::toString(*o.autocast));
  REWARD_TUNER_CHECK(std::isfinite(o.gradient_scale) && o.gradient_scale >= 1 &&
                         std::exp2(std::round(std::log2(o.gradient_scale))) == o.gradient_scale,
                     "[RewardTuner] engine.gradient_scale expected a power of two >= 1, got ", o.gradient_scale);
  REWARD_TUNER_CHECK(o.gradient_scale_growth >= 0, "[RewardTuner] engine.gradient_scale_growth must be >= 0, got ",
                     o.gradient_scale_growth);
  REWARD_TUNER_CHECK(!o.rollout_dtype || !o.autocast || *o.rollout_dtype == *o.autocast,
                     "[RewardTuner] engine.rollout_dtype and engine.autocast expected one type if both are set, got ",
                     c10::toString(*o.rollout_dtype), " and ", c10::toString(*o.autocast));
  REWARD_TUNER_CHECK(
      o.merge_adapters || !o.rollout_dtype,
      "[RewardTuner] engine.merge_adapters = false cannot be combined with engine.rollout_dtype, whose copy "
      "of the network holds merged weights");
}

}  // namespace reward_tuner
