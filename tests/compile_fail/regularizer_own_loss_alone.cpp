// expect: [RegularizerPolicy] own_loss, own_rows and alternates come together, expected:
// Tensor own_loss(Pipeline&, Rng&) const, std::int64_t own_rows() const and bool alternates() const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = RegularizerRole;
  static constexpr std::string_view kName = "mine";
  static constexpr bool kNeedsReference = false;
  struct Options {};
  explicit Mine(Options) {}
  double weight() const { return 0; }
  template <class Pipeline>
  Tensor own_loss(Pipeline&, Rng&) const {
    return {};
  }
  bool alternates() const { return false; }
#ifdef REWARD_TUNER_GOOD_TWIN
  std::int64_t own_rows() const { return 1; }
#endif
};

static_assert(detail::ExplainRegularizer<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(RegularizerPolicy<Mine>);
#endif
