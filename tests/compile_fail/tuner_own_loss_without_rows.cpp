// expect: [RegularizerPolicy] missing beside own_loss: std::int64_t own_rows() const and bool alternates() const
#include <reward_tuner/tuner/own_loss.hpp>

#include <tests/reference/toy_pipeline.hpp>

using namespace reward_tuner;

struct OwnLoss {
  template <class Pipeline>
  Tensor own_loss(Pipeline&, Rng&) const {
    return {};
  }
  bool alternates() const { return false; }
#ifdef REWARD_TUNER_GOOD_TWIN
  std::int64_t own_rows() const { return 1; }
#endif
};

bool alternates(const reference::ToyPipeline& pipeline) { return regularizer_alternates(OwnLoss(), pipeline); }
