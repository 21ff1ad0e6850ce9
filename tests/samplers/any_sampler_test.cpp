// A sampler by name is the sampler itself.
#include <reward_tuner/samplers/any_sampler.hpp>

#include <doctest/doctest.h>

namespace any_sampler_test {
namespace {

namespace rt = reward_tuner;

bool same(const rt::SamplerSchedule& a, const rt::SamplerSchedule& b) {
  if (a.num_steps() != b.num_steps()) return false;
  for (int k = 0; k < a.num_steps(); ++k) {
    const auto x = a.coefficients(k), y = b.coefficients(k);
    if (a.timestep(k) != b.timestep(k) || x.latent != y.latent || x.network != y.network || x.noise != y.noise)
      return false;
  }
  return true;
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
  CHECK_THROWS_WITH_AS(rt::AnySampler({.name = "euler"}), doctest::Contains("got \"euler\""), rt::Error);
  CHECK_THROWS_WITH_AS(rt::AnySampler({.name = "ddpm", .eta = 0.5}),
                       doctest::Contains("eta cannot be combined with ddpm"), rt::Error);
  CHECK_THROWS_WITH_AS(rt::AnySampler({.num_steps = 0}), doctest::Contains("num_steps"), rt::Error);
}

}  // namespace any_sampler_test
