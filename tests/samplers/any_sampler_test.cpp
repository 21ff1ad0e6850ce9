// A sampler by name is the sampler itself.
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/samplers/any_sampler.hpp>

#include <doctest/doctest.h>

namespace any_sampler_test {
namespace {

namespace rt = reward_tuner;

bool same(const rt::SamplerSchedule& a, const rt::SamplerSchedule& b) {
  if (a.num_steps() != b.num_steps()) return false;
  for (int k = 0; k < a.num_steps(); ++k) {
    const auto x = a.coefficients(k), y = b.coefficients(k);
    if (a.timestep(k) != b.timestep(k) || x.latent != y.latent || x.network != y.network || x.noise != y.noise ||
        a.step(k).history != b.step(k).history)
      return false;
  }
  return a.start_scale == b.start_scale;
}

}  // namespace

TEST_CASE("any_sampler gives the schedule of the sampler it names") {
  const rt::NoiseSchedule noise;
  const auto ddim = rt::Ddim({.num_steps = 7, .guidance = 2.0, .eta = 0.3}).schedule(noise),
             ddpm = rt::Ddpm({.num_steps = 7, .guidance = 2.0}).schedule(noise);
  CHECK(same(rt::AnySampler({.name = "ddim", .num_steps = 7, .guidance = 2.0, .eta = 0.3}).schedule(noise), ddim));
  CHECK(same(rt::AnySampler({.name = "ddpm", .num_steps = 7, .guidance = 2.0}).schedule(noise), ddpm));
  CHECK_FALSE(same(ddim, ddpm));
  CHECK(rt::AnySampler({.guidance = 2.5}).guidance() == 2.5);
  CHECK_THROWS_WITH_AS(rt::AnySampler({.name = "heun"}), doctest::Contains("got \"heun\""), rt::Error);
  CHECK_THROWS_WITH_AS(rt::AnySampler({.name = "ddpm", .eta = 0.5}),
                       doctest::Contains("eta cannot be combined with ddpm"), rt::Error);
  CHECK_THROWS_WITH_AS(rt::AnySampler({.num_steps = 0}), doctest::Contains("num_steps"), rt::Error);
}

TEST_CASE("any_sampler passes on what the solvers have, and refuses what a sampler does not have") {
  const rt::NoiseSchedule noise;
  const auto spacing = rt::TimestepSpacing::kTrailing;
  const auto levels = rt::LevelSpacing::kKarras;
  const auto any = [&](rt::AnySamplerOptions options) {
    options.num_steps = 7;
    options.spacing = spacing;
    return rt::AnySampler(options).schedule(noise);
  };
  CHECK(same(any({.name = "ddim"}), rt::Ddim({.num_steps = 7, .spacing = spacing}).schedule(noise)));
  CHECK(same(any({.name = "ddpm"}), rt::Ddpm({.num_steps = 7, .spacing = spacing}).schedule(noise)));
  CHECK(same(any({.name = "euler", .levels = levels}),
             rt::Euler({.num_steps = 7, .spacing = spacing, .levels = levels}).schedule(noise)));
  CHECK(same(any({.name = "euler-ancestral", .levels = levels}),
             rt::EulerAncestral({.num_steps = 7, .spacing = spacing, .levels = levels}).schedule(noise)));
  for (const bool sde : {false, true})
    CHECK(same(
        any({.name = sde ? "sde-dpm++" : "dpm++", .order = 2, .type = rt::SolverType::kHeun}),
        rt::DpmSolver({.num_steps = 7, .noise = sde, .order = 2, .type = rt::SolverType::kHeun, .spacing = spacing})
            .schedule(noise)));
  CHECK_FALSE(same(any({.name = "dpm++"}), any({.name = "dpm++", .order = 1})));
  CHECK(rt::AnySampler::stochastic({.name = "sde-dpm++"}).order == 1);
  CHECK(rt::AnySampler::stochastic({.name = "sde-dpm++", .order = 2}).order == 2);
  CHECK_FALSE(rt::AnySampler::stochastic({.name = "dpm++"}).order);
  const auto refused = [](const rt::AnySamplerOptions& options, const char* sentence) {
    CHECK_THROWS_WITH_AS(rt::AnySampler{options}, doctest::Contains(sentence), rt::Error);
  };
  refused({.name = "euler", .eta = 0.5}, "eta cannot be combined with euler");
  refused({.name = "ddim", .levels = levels}, "levels cannot be combined with ddim");
  refused({.name = "euler", .order = 2}, "order cannot be combined with euler");
  refused({.name = "ddpm", .type = rt::SolverType::kHeun}, "type cannot be combined with ddpm");
  refused({.name = "dpm++", .order = 3}, "order must be 1 or 2, got 3");
}

}  // namespace any_sampler_test
