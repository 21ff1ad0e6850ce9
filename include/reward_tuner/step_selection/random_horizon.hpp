// AlignProp's selections: three published ways to cut back-propagation at a random depth.
#pragma once
#include <cmath>
#include <numbers>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// How the trained steps are drawn. i = 0 is the noisiest of the T steps.
enum class HorizonDraw {
  /// step i is trained if u <= i, u = randint(0, T) drawn anew for each step: independently with probability
  /// (i+1)/(T+1), T/2 on average
  kPerStep,
  /// one cut-off u = int(Normal(cutoff_mean, cutoff_deviation)), drawn again unless 1 <= u < T; steps i >= u are
  /// trained
  kPerRollout,
  kContiguous,  ///< the last K steps, K = randint(1, T)
  kFixed,       ///< steps i >= cutoff; a cutoff of T-1 is DRaFT-1
};

/// Which truncation RandomHorizon draws, and its numbers.
struct RandomHorizonOptions {
  HorizonDraw draw = HorizonDraw::kPerStep;  ///< which truncation
  /// kPerRollout: mean of the cut-off as a share of T (AlignProp's code since 2024-10: 42 of 50)
  double cutoff_mean = 0.84;
  double cutoff_deviation = 0.1;  ///< kPerRollout: its deviation as a share of T, >= 0 (there: 5 of 50)
  int cutoff = -1;                ///< kFixed: first trained step, 0..T-1; -1 is T-1
};
REWARD_TUNER_FIELDS(RandomHorizonOptions, draw, cutoff_mean, cutoff_deviation, cutoff);

/// Prabhudesai et al. 2023, AlignProp. kPerStep is the code of 2023 and what DRTune-paper section 3.2 describes,
/// kPerRollout the code since 2024-10, kContiguous the paper's text. DRTune-paper Alg. 1 prints {i >= randint(1, T)}
/// with t = 1 the last step, which would select the noisy end; i <= u is meant. An update always trains something
/// that the objective can learn from: kPerStep, kPerRollout and kContiguous draw from their distribution under that
/// condition.
class RandomHorizon {
 public:
  using Role = StepSelectionRole;
  using Options = RandomHorizonOptions;
  static constexpr std::string_view kName = "random_horizon";

  explicit RandomHorizon(RandomHorizonOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.cutoff_mean >= 0 && options_.cutoff_mean <= 1,
                       "[RandomHorizon] cutoff_mean is a share of T in [0, 1], got ", options_.cutoff_mean);
    REWARD_TUNER_CHECK(options_.cutoff_deviation >= 0 && std::isfinite(options_.cutoff_deviation),
                       "[RandomHorizon] cutoff_deviation must be >= 0, got ", options_.cutoff_deviation);
    REWARD_TUNER_CHECK(options_.cutoff >= -1, "[RandomHorizon] cutoff must be >= 0, or -1 for the last step, got ",
                       options_.cutoff);
    REWARD_TUNER_CHECK(options_.cutoff == -1 || options_.draw == HorizonDraw::kFixed,
                       "[RandomHorizon] cutoff belongs to HorizonDraw::kFixed, got ", options_.cutoff);
  }
  const RandomHorizonOptions& options() const { return options_; }

  void check(int num_steps) const {
    REWARD_TUNER_CHECK(options_.cutoff < num_steps, "[RandomHorizon] cutoff must be below the sampler's ", num_steps,
                       " steps, got ", options_.cutoff);
    check_cutoff(num_steps, num_steps - 1);
  }

  StepPlan plan(const PlanContext& context, Rng& rng) const {
    const int T = context.num_steps;
    // every draw trains it
    const int latest = context.trainable.empty() ? T - 1 : context.trainable.back();
    StepPlan plan{.last = T - 1, .jumps = false, .trained = {}};
    const auto from = [&](int first) {
      for (int i = first; i < T; ++i) plan.trained.push_back(i);
    };
    switch (options_.draw) {
      case HorizonDraw::kPerStep:
        while (!context.can_learn(plan.trained)) {
          plan.trained.clear();
          for (int i = 0; i < T; ++i)
            if (rng.integer(0, T) <= i) plan.trained.push_back(i);
        }
        break;
      case HorizonDraw::kPerRollout:
        check_cutoff(T, latest);
        from(cutoff(T, latest, rng));
        break;
      case HorizonDraw::kContiguous:
        from(T - static_cast<int>(rng.integer(T - latest, T)));
        break;
      case HorizonDraw::kFixed:
        from(options_.cutoff < 0 ? T - 1 : options_.cutoff);
        break;
    }
    return plan;
  }

 private:
  /// Throws unless kPerRollout's cut-off has a fair chance to lie in 1..latest.
  void check_cutoff(int T, int latest) const {
    const double mean = options_.cutoff_mean * T, deviation = options_.cutoff_deviation * T;
    const bool reachable =
        latest >= 1 && mean + 3 * deviation >= 1 && (deviation > 0 ? mean - 3 * deviation : mean) < latest + 1;
    REWARD_TUNER_CHECK(options_.draw != HorizonDraw::kPerRollout || reachable, "[RandomHorizon] a cut-off of mean ",
                       mean, " and deviation ", deviation, " hardly ever lies in 1..", latest, " of the sampler's ", T,
                       " steps");
  }

  int cutoff(int T, int latest, Rng& rng) const {
    for (;;) {
      // Box and Muller 1958; 1 - u because u may be 0
      const double radius = std::sqrt(-2 * std::log(1 - rng.uniform())),
                   z = radius * std::cos(2 * std::numbers::pi * rng.uniform());
      const double u = std::trunc(T * (options_.cutoff_mean + options_.cutoff_deviation * z));
      if (u >= 1 && u <= latest) return static_cast<int>(u);
    }
  }

  RandomHorizonOptions options_;
};
static_assert(StepSelectionPolicy<RandomHorizon>);

}  // namespace reward_tuner
