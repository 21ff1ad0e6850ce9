// expect: [SamplerPolicy] missing: a nested type Options with defaults and a constructor from it
#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

struct Mine {
  using Role = SamplerRole;
  static constexpr std::string_view kName = "mine";
#ifdef REWARD_TUNER_GOOD_TWIN
  struct Options {
    int num_steps = 3;
  };
  explicit Mine(Options) {}
#endif
  SamplerSchedule schedule(const NoiseSchedule&) const { return {}; }
  double guidance() const { return 1.0; }
};

using Tuner = DRTune<Reward, Mine>;

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
