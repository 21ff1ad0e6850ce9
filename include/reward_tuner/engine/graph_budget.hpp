// Memory::budget: what the graph of a network call takes, measured once, and which trained steps may keep theirs.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>

#include <reward_tuner/engine/rollout_setup.hpp>
#include <reward_tuner/engine/row_call.hpp>
#include <reward_tuner/tensor/memory_meter.hpp>

namespace reward_tuner {

/// Bytes of an update that replays, in its first micro-batch and at its end.
class GraphMeter {
 public:
  explicit GraphMeter(const MemoryMeter& memory) : memory_(memory), begin_(memory.live_bytes()) {}

  /// The call that `make` makes, whose graph is measured.
  template <class Make>
  RowCall measured(Make make) {
    const std::int64_t before = memory_.live_bytes();
    RowCall call = make();
    const std::int64_t graph = memory_.live_bytes() - before, rows = call.raw.size(0);
    largest_graph_ = std::max(largest_graph_, graph);
    per_row_ = std::max(per_row_, (graph + rows - 1) / rows);
    return call;
  }
  /// Before the first sweep: all but graphs has been there.
  void scored() {
    if (before_sweep_ == 0) before_sweep_ = memory_.peak_bytes();
  }
  /// When everything is differentiated: the rows whose graphs fit beside the rest into `bytes`; nothing if no graph was
  /// measured. Retained graphs lie beside what a rollout and its scoring take (with `several_rollouts` also beside the
  /// gradients of earlier ones), and then beside what the backward pass of one of them takes.
  std::optional<std::int64_t> rows_within(std::int64_t bytes, bool several_rollouts) const {
    if (per_row_ == 0) return std::nullopt;
    const std::int64_t gradients = several_rollouts ? memory_.live_bytes() - begin_ : 0;
    const std::int64_t rest = std::max(before_sweep_ + gradients, memory_.peak_bytes() - largest_graph_);
    return std::max<std::int64_t>(0, bytes - rest) / per_row_;
  }

 private:
  const MemoryMeter& memory_;
  std::int64_t begin_, before_sweep_ = 0, largest_graph_ = 0, per_row_ = 0;
};

/// Which trained steps keep their graphs where those of `rows` network rows fit, a guided sample being two: the last
/// ones, since the sweep meets them first and has freed their graphs when it replays the others.
inline std::function<bool(int k)> last_steps_within(const RolloutSetup& setup, std::int64_t rows) {
  int first = setup.schedule.num_steps();
  for (auto k = setup.plan.trained.rbegin(); k != setup.plan.trained.rend(); ++k) {
    rows -= setup.size() * (setup.guidance(*k) > 1.0 ? 2 : 1);
    if (rows < 0) break;
    first = *k;
  }
  return [first](int k) { return k >= first; };
}

}  // namespace reward_tuner
