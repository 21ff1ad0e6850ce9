// expect: [RegularizerPolicy] optional member with another signature, expected:
// template <class Pipeline> Tensor own_loss(Pipeline&, Rng&) const
#include <reward_tuner/tuner/own_loss.hpp>

#include <tests/reference/toy_pipeline.hpp>

using namespace reward_tuner;

struct OwnLoss {
#ifdef REWARD_TUNER_GOOD_TWIN
  template <class Pipeline>
  Tensor own_loss(Pipeline&, Rng&) const {
    return {};
  }
#else
  template <class Pipeline>
  Tensor own_loss(Pipeline&) const {
    return {};
  }
#endif
  std::int64_t own_rows() const { return 1; }
  bool alternates() const { return false; }
};

static_assert(has_own_loss<OwnLoss, reference::ToyPipeline>() || true);
