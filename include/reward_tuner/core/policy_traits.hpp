// What a policy may have: the signature of every optional member, the default where a policy leaves it out, and the
// only place where the library asks. concepts.hpp lists the same members beside what a policy must have.
#pragma once
#include <concepts>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>

#include <reward_tuner/core/objective_context.hpp>
#include <reward_tuner/core/step_plan.hpp>

namespace at {
class Tensor;
}

namespace reward_tuner {

class ClipModel;
class Rng;
struct RewardInput;
struct RewardResult;
struct ValueBaselineOptions;

/// has::member<P>: P has the member with the signature the library calls.
namespace has {

template <class P>
concept name = requires(const P p) {
  { p.name() } -> std::convertible_to<std::string_view>;
};

template <class P>
concept needs_clip = requires(const P p) {
  { p.needs_clip() } -> std::same_as<bool>;
};
template <class P>
concept bind_clip = requires(std::remove_const_t<P> p, std::shared_ptr<const ClipModel> clip) { p.bind_clip(clip); };
template <class P>
concept per_group = requires(const P p) {
  { p.per_group() } -> std::same_as<bool>;
};
template <class P>
concept differentiable = requires(const P p) {
  { p.differentiable() } -> std::same_as<bool>;
};

template <class P>
concept score_later = requires(const P p, const RewardInput& input) {
  { p.score_later(input) } -> std::same_as<std::future<RewardResult>>;
};
template <class P>
concept scores_later = requires(const P p) {
  { p.scores_later() } -> std::same_as<bool>;
};

template <class P>
concept kStochastic = requires {
  { P::kStochastic } -> std::same_as<const bool&>;
  typename std::bool_constant<P::kStochastic>;
};
template <class P>
concept stochastic = requires(typename P::Options options) {
  { P::stochastic(options) } -> std::same_as<typename P::Options>;
};

template <class P>
concept active = requires(const P p, const PlanContext& context) {
  { p.active(context) } -> std::same_as<bool>;
};

template <class P>
concept kPairs = requires {
  { P::kPairs } -> std::same_as<const bool&>;
  typename std::bool_constant<P::kPairs>;
};
template <class P>
concept needs_reference = requires(const P p) {
  { p.needs_reference() } -> std::same_as<bool>;
};
template <class P>
concept clip = requires(const P p) {
  { p.clip() } -> std::same_as<double>;
};
template <class P>
concept completed = requires(typename P::Options options, const ObjectiveContext& context) {
  { P::completed(options, context) } -> std::same_as<typename P::Options>;
};
template <class P>
concept value_baseline = requires(const P p) {
  { p.value_baseline() } -> std::same_as<const ValueBaselineOptions&>;
};
template <class P>
concept default_group = requires(const P p) {
  { p.default_group() } -> std::same_as<int>;
};
template <class P>
concept noisings = requires(const P p) {
  { p.noisings() } -> std::same_as<int>;
};
template <class P>
concept samples_reference = requires(const P p) {
  { p.samples_reference() } -> std::same_as<bool>;
};

template <class P>
concept kDefaultGroup = requires {
  { P::kDefaultGroup } -> std::same_as<const int&>;
  typename std::integral_constant<int, P::kDefaultGroup>;
};

/// Asked of a pipeline's type: own_loss is a template over it.
template <class P, class Pipeline>
concept own_loss = requires(const P p, Pipeline& pipeline, Rng& rng) {
  { p.own_loss(pipeline, rng) } -> std::same_as<at::Tensor>;
};
template <class P>
concept own_rows = requires(const P p) {
  { p.own_rows() } -> std::same_as<std::int64_t>;
};
template <class P>
concept alternates = requires(const P p) {
  { p.alternates() } -> std::same_as<bool>;
};

}  // namespace has

// named::member<P>: P has a member of that name, of whatever kind. A class derived from P and from one that has the
// name too cannot tell which is meant, so asking it fails exactly if P has the name: functions, overloaded or templates
// among them, constants and private members alike. A final class cannot be derived from and is asked directly.
#define REWARD_TUNER_OPTIONAL_MEMBER(member)                                                                 \
  namespace detail {                                                                                         \
  struct Decoy_##member {                                                                                    \
    int member;                                                                                              \
  };                                                                                                         \
  template <class P>                                                                                         \
  struct Torn_##member : P, Decoy_##member {};                                                               \
  }                                                                                                          \
  namespace named {                                                                                          \
  template <class P>                                                                                         \
  concept member =                                                                                           \
      requires { &P::member; } || (!std::is_final_v<P> && !requires { &detail::Torn_##member<P>::member; }); \
  }

REWARD_TUNER_OPTIONAL_MEMBER(needs_clip)         // rewards
REWARD_TUNER_OPTIONAL_MEMBER(bind_clip)          // rewards
REWARD_TUNER_OPTIONAL_MEMBER(per_group)          // rewards
REWARD_TUNER_OPTIONAL_MEMBER(differentiable)     // rewards
REWARD_TUNER_OPTIONAL_MEMBER(score_later)        // rewards
REWARD_TUNER_OPTIONAL_MEMBER(scores_later)       // rewards
REWARD_TUNER_OPTIONAL_MEMBER(kStochastic)        // samplers
REWARD_TUNER_OPTIONAL_MEMBER(stochastic)         // samplers
REWARD_TUNER_OPTIONAL_MEMBER(active)             // exploration
REWARD_TUNER_OPTIONAL_MEMBER(kPairs)             // objectives on log-probabilities
REWARD_TUNER_OPTIONAL_MEMBER(needs_reference)    // objectives on log-probabilities
REWARD_TUNER_OPTIONAL_MEMBER(clip)               // objectives on log-probabilities
REWARD_TUNER_OPTIONAL_MEMBER(completed)          // objectives on log-probabilities
REWARD_TUNER_OPTIONAL_MEMBER(value_baseline)     // objectives on log-probabilities
REWARD_TUNER_OPTIONAL_MEMBER(default_group)      // objectives that learn from samples
REWARD_TUNER_OPTIONAL_MEMBER(noisings)           // objectives on the denoising loss
REWARD_TUNER_OPTIONAL_MEMBER(samples_reference)  // objectives on the denoising loss
REWARD_TUNER_OPTIONAL_MEMBER(kDefaultGroup)      // advantages
REWARD_TUNER_OPTIONAL_MEMBER(own_loss)           // regularizers
REWARD_TUNER_OPTIONAL_MEMBER(own_rows)           // regularizers
REWARD_TUNER_OPTIONAL_MEMBER(alternates)         // regularizers
#undef REWARD_TUNER_OPTIONAL_MEMBER

/// may::member<P>: P leaves the member out, or has it right. Members that only make sense together are asked together.
namespace may {

/// Both or neither.
template <class P>
concept take_clip = (has::needs_clip<P> && has::bind_clip<P>) || (!named::needs_clip<P> && !named::bind_clip<P>);
template <class P>
concept per_group = has::per_group<P> || !named::per_group<P>;
template <class P>
concept differentiable = has::differentiable<P> || !named::differentiable<P>;
template <class P>
concept score_later = has::score_later<P> || !named::score_later<P>;
template <class P>
concept scores_later = (has::scores_later<P> && has::score_later<P>) || !named::scores_later<P>;
template <class P>
concept kStochastic = has::kStochastic<P> || !named::kStochastic<P>;
template <class P>
concept stochastic = has::stochastic<P> || !named::stochastic<P>;
template <class P>
concept active = has::active<P> || !named::active<P>;
template <class P>
concept kPairs = has::kPairs<P> || !named::kPairs<P>;
template <class P>
concept needs_reference = has::needs_reference<P> || !named::needs_reference<P>;
template <class P>
concept clip = has::clip<P> || !named::clip<P>;
template <class P>
concept completed = has::completed<P> || !named::completed<P>;
template <class P>
concept value_baseline = has::value_baseline<P> || !named::value_baseline<P>;
template <class P>
concept default_group = has::default_group<P> || !named::default_group<P>;
template <class P>
concept noisings = has::noisings<P> || !named::noisings<P>;
template <class P>
concept samples_reference = has::samples_reference<P> || !named::samples_reference<P>;
template <class P>
concept kDefaultGroup = has::kDefaultGroup<P> || !named::kDefaultGroup<P>;
/// All three or none; own_loss's signature is asked where the pipeline is known.
template <class P>
concept own_loss = (named::own_loss<P> && has::own_rows<P> && has::alternates<P>) ||
                   (!named::own_loss<P> && !named::own_rows<P> && !named::alternates<P>);

}  // namespace may

// The reads. A member of a wrong signature reads as left out here: explain.hpp has said so by then.

/// What reports call a policy of any role. One that stands for another, chosen at run time, says which by name(). Left
/// out: kName.
template <class P>
std::string_view policy_name([[maybe_unused]] const P& policy) {
  if constexpr (has::name<P>) return policy.name();
  else return P::kName;
}

template <class P>
struct RewardTraits {
  /// The reward may be given a CLIP after construction.
  static constexpr bool kTakesClip = has::needs_clip<P> && has::bind_clip<P>;
  /// kDifferentiable is there and false. Read where the member may be missing, after that was explained.
  static constexpr bool kBlackBox = requires { requires !P::kDifferentiable; };
};

/// Whether the reward scores groups of images. A reward that holds another one (AnyReward) knows it at run time only,
/// so this is asked, never kPerGroup. per_group() left out: kPerGroup.
template <class P>
bool per_group([[maybe_unused]] const P& reward) {
  if constexpr (has::per_group<P>) return reward.per_group();
  else return P::kPerGroup;
}
/// Whether the reward's values have a gradient to the images. differentiable() left out: kDifferentiable.
template <class P>
bool has_gradient([[maybe_unused]] const P& reward) {
  if constexpr (has::differentiable<P>) return reward.differentiable();
  else return P::kDifferentiable;
}

/// Whether the reward is asked by score_later(), for an answer that is fetched when it is needed. scores_later() left
/// out: it is, if it has score_later().
template <class P>
bool scores_later([[maybe_unused]] const P& reward) {
  if constexpr (has::scores_later<P>) return reward.scores_later();
  else return has::score_later<P>;
}

template <class P>
struct SamplerTraits {
  /// Its options can give every trained step noise. Left out: false.
  static constexpr bool kStochastic = [] {
    if constexpr (has::kStochastic<P>) return P::kStochastic;
    else return false;
  }();
  /// The options with noise in every step where they leave that open. Left out: as they are.
  template <class Options>
  static Options stochastic(const Options& options) {
    if constexpr (has::stochastic<P>) return P::stochastic(options);
    else return options;
  }
};

template <class P>
struct ExplorationTraits {
  /// Whether the update explores. Left out: every update does.
  static bool active([[maybe_unused]] const P& exploration, [[maybe_unused]] const PlanContext& context) {
    if constexpr (has::active<P>) return exploration.active(context);
    else return true;
  }
};

template <class P>
struct ObjectiveTraits {
  /// Surrogate::kLogProb: rows come in pairs, the preferred images first. Left out: false.
  static constexpr bool kPairs = [] {
    if constexpr (has::kPairs<P>) return P::kPairs;
    else return false;
  }();
  /// Surrogate::kLogProb: rows hold reference_log_probs and drift, for one more no-grad network call each. Left out:
  /// false.
  static bool needs_reference([[maybe_unused]] const P& objective) {
    if constexpr (has::needs_reference<P>) return objective.needs_reference();
    else return false;
  }
  /// Surrogate::kLogProb: the clip range that reports count ratios outside of. Left out: nothing is counted.
  static std::optional<double> clip([[maybe_unused]] const P& objective) {
    if constexpr (has::clip<P>) return objective.clip();
    else return std::nullopt;
  }
  /// Surrogate::kLogProb: some of its options depend on the model or on other policies. Left out: false.
  static constexpr bool kCompletes = has::completed<P>;
  /// The options with those set where they are not. Left out: as they are.
  template <class Options>
  static Options completed(const Options& options, [[maybe_unused]] const ObjectiveContext& context) {
    if constexpr (kCompletes) return P::completed(options, context);
    else return options;
  }
  /// Surrogate::kLogProb: the objective has a learned baseline, value_baseline() its options. Left out: no baseline.
  static constexpr bool kValueBaseline = has::value_baseline<P>;
  /// Images of each prompt if RoundOptions::samples_per_prompt is 0. Left out: 1.
  static int default_group([[maybe_unused]] const P& objective) {
    if constexpr (has::default_group<P>) return objective.default_group();
    else return 1;
  }
  /// Surrogate::kDenoising: noise levels at which each image is denoised in a pass. Left out: 1.
  static int noisings([[maybe_unused]] const P& objective) {
    if constexpr (has::noisings<P>) return objective.noisings();
    else return 1;
  }
  /// Surrogate::kDenoising: rounds are sampled from the untuned network. Left out: false, from the present one.
  static bool samples_reference([[maybe_unused]] const P& objective) {
    if constexpr (has::samples_reference<P>) return objective.samples_reference();
    else return false;
  }
};

template <class P>
struct AdvantageTraits {
  /// Images of each prompt if RoundOptions::samples_per_prompt is 0. Left out: 1.
  static constexpr int kDefaultGroup = [] {
    if constexpr (has::kDefaultGroup<P>) return P::kDefaultGroup;
    else return 1;
  }();
};

template <class P>
struct RegularizerTraits {
  /// kNeedsReference is there and true. Read where the member may be missing, after that was explained.
  static constexpr bool kNeedsReference = requires { requires P::kNeedsReference; };
  /// It has a loss apart from the trained steps. Left out: none.
  static constexpr bool kOwnLoss = named::own_loss<P> && has::own_rows<P> && has::alternates<P>;
  /// Whether that loss gets an optimizer step of its own after the reward's. Left out: false.
  static bool alternates([[maybe_unused]] const P& regularizer) {
    if constexpr (kOwnLoss) return regularizer.alternates();
    else return false;
  }
};

}  // namespace reward_tuner
