// expect: [DDPO] needs a sampler with log_prob
#include <reward_tuner/methods/ddpo.hpp>

#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

struct Mine {
  using Role = SamplerRole;
  static constexpr std::string_view kName = "mine";
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr bool kStochastic = true;
#endif
  struct Options {
    int num_steps = 3;
  };
  explicit Mine(Options) {}
  SamplerSchedule schedule(const NoiseSchedule&) const { return {}; }
  double guidance() const { return 1.0; }
};

using Tuner = DDPO<BlackBox, Mine>;

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
