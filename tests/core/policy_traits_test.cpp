// What a policy may have: found whatever it is, read where it is right, and a default where it is left out.
#include <doctest/doctest.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/objectives/kl_regularized.hpp>
#include <reward_tuner/tensor/rng.hpp>

using namespace reward_tuner;

namespace policy_traits_test {

struct Plain {};
struct Final final {
  double clip() const { return 0.5; }
};
struct FinalPlain final {};

/// The names, each with another signature.
struct Wrong {
  double clip(int) const;
  int clip() const;  // overloaded, so its address alone would not find it
  template <class T>
  int own_loss(T&) const;
  static constexpr int kPairs = 1;
  static bool kStochastic;
  bool needs_reference();

 private:
  int default_group() const;
};

struct Right {
  static constexpr bool kPairs = true;
  static constexpr int kDefaultGroup = 8;
  bool needs_reference() const { return true; }
  double clip() const { return 0.25; }
  int default_group() const { return 4; }
  int noisings() const { return 3; }
  bool samples_reference() const { return true; }
  bool active(const PlanContext& context) const { return context.update < 2; }
};
struct Derived : Right {};

struct Sampler {
  struct Options {
    int noise = 0;
  };
  static constexpr bool kStochastic = true;
  static Options stochastic(Options) { return {.noise = 1}; }
};

struct RowOptions {
  RoundOptions round = {};
};

/// An objective on log-probabilities and nothing else.
struct Rows {
  using Role = ObjectiveRole;
  using Options = RowOptions;
  static constexpr std::string_view kName = "rows";
  static constexpr Surrogate kSurrogate = Surrogate::kLogProb;
  explicit Rows(RowOptions = {}) {}
  const RowOptions& options() const { return options_; }
  Tensor losses(const PolicyRows& rows) const { return -rows.advantages * rows.log_probs; }
  RowOptions options_ = {};
};
struct RowsWithoutLosses : Rows {
  using Rows::Rows;
  void losses(const PolicyRows&) const {}
};
struct RowsWithoutRound : Rows {
  using Rows::Rows;
  struct Empty {};
  Empty options() const { return {}; }
};
struct RowsWithWrongClip : Rows {
  using Rows::Rows;
  double clip(int) const { return 0; }
};

}  // namespace policy_traits_test

using namespace policy_traits_test;

TEST_CASE("a member's name is found in functions, overloads, templates, constants, private and final classes") {
  static_assert(!named::clip<Plain> && !named::clip<FinalPlain> && named::clip<Final> && named::clip<Right>);
  static_assert(named::clip<Wrong> && named::own_loss<Wrong> && named::kPairs<Wrong> && named::default_group<Wrong>);
  static_assert(named::clip<Derived> && has::clip<Derived> && has::clip<Final>);
}

TEST_CASE("a member of another signature is neither there nor left out") {
  static_assert(may::clip<Plain> && may::clip<FinalPlain> && may::clip<Right>);
  static_assert(!may::clip<Wrong> && !may::own_loss<Wrong> && !may::kPairs<Wrong> && !may::default_group<Wrong>);
  static_assert(!may::kStochastic<Wrong> && !may::needs_reference<Wrong>);
}

TEST_CASE("an optional member that is left out has its default, one that is there is read") {
  const Plain plain;
  const Right right;
  static_assert(!ObjectiveTraits<Plain>::kPairs && ObjectiveTraits<Right>::kPairs);
  static_assert(AdvantageTraits<Plain>::kDefaultGroup == 1 && AdvantageTraits<Right>::kDefaultGroup == 8);
  static_assert(!SamplerTraits<Plain>::kStochastic && SamplerTraits<Sampler>::kStochastic);
  static_assert(!RewardTraits<Plain>::kTakesClip && !RegularizerTraits<Plain>::kOwnLoss);
  CHECK_FALSE(ObjectiveTraits<Plain>::needs_reference(plain));
  CHECK(ObjectiveTraits<Right>::needs_reference(right));
  CHECK_FALSE(ObjectiveTraits<Plain>::clip(plain).has_value());
  CHECK(ObjectiveTraits<Right>::clip(right) == 0.25);
  CHECK(ObjectiveTraits<Plain>::default_group(plain) == 1);
  CHECK(ObjectiveTraits<Right>::default_group(right) == 4);
  CHECK(ObjectiveTraits<Plain>::noisings(plain) == 1);
  CHECK(ObjectiveTraits<Right>::noisings(right) == 3);
  CHECK_FALSE(ObjectiveTraits<Plain>::samples_reference(plain));
  CHECK(ObjectiveTraits<Right>::samples_reference(right));
  CHECK(ExplorationTraits<Plain>::active(plain, {.num_steps = 4, .update = 9}));
  CHECK_FALSE(ExplorationTraits<Right>::active(right, {.num_steps = 4, .update = 9}));
  CHECK(ExplorationTraits<Right>::active(right, {.num_steps = 4, .update = 1}));
  CHECK(SamplerTraits<Plain>::stochastic(7) == 7);
  CHECK(SamplerTraits<Sampler>::stochastic(Sampler::Options{}).noise == 1);
}

TEST_CASE("an objective that lacks what the tuner uses is none") {
  static_assert(ObjectivePolicy<Rows> && LogProbObjective<Rows> && !DenoisingObjective<Rows> && !RewardObjective<Rows>);
  static_assert(!ObjectivePolicy<RowsWithoutLosses> && !ObjectivePolicy<RowsWithoutRound>);
  static_assert(!ObjectivePolicy<RowsWithWrongClip>);
}
