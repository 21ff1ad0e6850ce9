// NewWeightsScope: networks are built where and as what they will be used.
#include <doctest/doctest.h>

#include <thread>

#include <reward_tuner/layers/new_weights.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>

using namespace reward_tuner;

namespace new_weights_test {

TEST_CASE("new weights: of the scope's type and device, scopes nest, and other threads have their own") {
  const auto type = [] { return new_weight({2}).scalar_type(); };
  CHECK((type() == at::kFloat));
  {
    const NewWeightsScope half(at::kHalf);
    CHECK((type() == at::kHalf));
    {
      const NewWeightsScope meta(at::device(at::kMeta).dtype(at::kDouble));
      CHECK(new_weight({3, 4}).is_meta());
      CHECK((new_weight({3, 4}).sizes() == at::IntArrayRef({3, 4})));
      CHECK((type() == at::kDouble));
    }
    CHECK((type() == at::kHalf));
    CHECK(new_weight({}).is_cpu());
    std::thread([&] { CHECK((type() == at::kFloat)); }).join();
  }
  CHECK((type() == at::kFloat));
}

TEST_CASE("new weights: a network has them in every layer") {
  const NewWeightsScope scope(at::device(at::kMeta).dtype(at::kBFloat16));
  const UNet2DConditionModel unet{UNet2DConditionConfig{}};  // Stable Diffusion 1.x
  std::int64_t numbers = 0;
  for (const Tensor& p : unet.parameters()) {
    CHECK(p.is_meta());
    CHECK((p.scalar_type() == at::kBFloat16));
    numbers += p.numel();
  }
  CHECK(numbers == 859520964);
}

}  // namespace new_weights_test
