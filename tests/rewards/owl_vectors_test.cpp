// What rewards of one OWL-ViT share: computed once for an input, the same numbers and gradients as alone.
#include <doctest/doctest.h>
#include <torch/types.h>

#include <string>
#include <vector>

#include <reward_tuner/rewards/composition.hpp>
#include <reward_tuner/rewards/objectness.hpp>
#include <reward_tuner/rewards/owl_vectors.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/shared_vectors.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>

#include <tests/rewards/golden_owl_vit.hpp>
#include <tests/rewards/reward_checks.hpp>

namespace owl_vectors_test {
namespace {

using namespace reward_tuner;
using namespace reward_checks;

const std::vector<std::string> kCaptions{"a cat and a dog", "a zebra"};

}  // namespace

TEST_CASE("OWL-ViT: rewards of one network run its tower once, with the values and gradient of each alone") {
  const auto owl = golden_owl_vit(at::kDouble);
  const ObjectnessReward prompt(owl), book(owl, {.query = "a photo of a book"});
  const CompositionReward objects(owl);
  const auto sum = weighted_sum(weighted(1.0, prompt), weighted(-0.5, book), weighted(2.0, objects));
  const Tensor images = random_images(2, 9, 11, 4);
  const RewardInput input{images, kCaptions};
  const Tensor values = sum.score(input).values;  // [2]
  CHECK(input.vectors->counts().computed == 1);
  CHECK(input.vectors->counts().shared == 2);
  const auto alone = [&](const Tensor& x) {
    return prompt.score({x, kCaptions}).values - 0.5 * book.score({x, kCaptions}).values +
           2 * objects.score({x, kCaptions}).values;
  };
  CHECK(relative_error(values, alone(images)) < 1e-14);
  const auto total = [&](const Tensor& x) { return sum.score({x, kCaptions}).values.sum(); };
  CHECK(relative_error(gradient(total, images), gradient([&](const Tensor& x) { return alone(x).sum(); }, images)) <
        1e-12);
}

TEST_CASE("OWL-ViT: another network, another leak and other texts have their own") {
  const auto owl = golden_owl_vit(at::kDouble), other = golden_owl_vit(at::kDouble);
  const auto towers = [](const auto& one, const auto& two) {
    const RewardInput input{random_images(2, 8, 8, 5), kCaptions};
    weighted_sum(weighted(1.0, one), weighted(1.0, two)).score(input);
    return input.vectors->counts().computed;
  };
  CHECK(towers(ObjectnessReward(owl), CompositionReward(owl)) == 1);
  CHECK(towers(ObjectnessReward(owl), CompositionReward(other)) == 2);
  CHECK(towers(ObjectnessReward(owl), ObjectnessReward(owl, {.leak = 0})) == 2);
  const RewardInput input{random_images(1, 8, 8, 6), {}};
  const Tensor both = owl_queries(input, owl, {"a cat", "a zebra"});  // [1,2,D]
  CHECK(relative_error(owl_queries(input, owl, {"a zebra"}), both.narrow(1, 1, 1)) < 1e-14);
  CHECK_FALSE(owl_queries(input, owl, {"a cat"}).requires_grad());
}

TEST_CASE("OWL-ViT: the queries of equal texts are made once for an input and its copies") {
  const auto owl = golden_owl_vit(at::kDouble), other = golden_owl_vit(at::kDouble);
  const RewardInput input{random_images(2, 8, 8, 5), kCaptions};
  const Tensor first = owl_queries(input, owl, kCaptions);  // [1,2,D]
  CHECK(owl_queries(input, owl, {kCaptions[0], kCaptions[1]}).is_same(first));
  RewardInput copy = input;  // with gradients, of other images and prompts
  copy.images = random_images(3, 8, 8, 6).requires_grad_();
  copy.prompts = {"a", "b", "c"};
  CHECK(owl_queries(copy, owl, kCaptions).is_same(first));
  {
    const at::NoGradGuard no_grad;
    CHECK(owl_queries(input, owl, kCaptions).is_same(first));
  }
  const auto differs = [&](const RewardInput& of, const auto& network, const std::vector<std::string>& texts) {
    const Tensor queries = owl_queries(of, network, texts);
    CHECK(queries.equal(network->queries(texts)));
    return !queries.is_same(first);
  };
  CHECK(differs(input, owl, {kCaptions[1], kCaptions[0]}));
  CHECK(differs(input, owl, {kCaptions[0]}));
  CHECK(differs(input, owl, {kCaptions[0] + " ", kCaptions[1]}));
  CHECK(differs(input, other, kCaptions));
  CHECK(differs(RewardInput{input.images, kCaptions}, owl, kCaptions));
  CHECK(input.vectors->counts().computed == 0);  // texts are not counted
}

}  // namespace owl_vectors_test
