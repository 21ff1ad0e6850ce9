// CompositionReward: the mean of ObjectnessReward over the objects, its gradient and its errors; the names in a prompt.
#include <doctest/doctest.h>
#include <torch/types.h>

#include <algorithm>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/composition.hpp>
#include <reward_tuner/rewards/named_objects.hpp>
#include <reward_tuner/rewards/objectness.hpp>

#include <tests/rewards/golden_owl_vit.hpp>
#include <tests/rewards/reward_checks.hpp>

namespace composition_test {

using namespace reward_tuner;
using namespace reward_checks;
using Names = std::vector<std::string>;

TEST_CASE("composition: the mean of the objectness of each object, and the least") {
  const auto owl = golden_owl_vit(at::kDouble);
  const CompositionReward reward(owl, {.objects = {"cat", "red dog", "zebra", "horse"}});
  const Tensor images = random_images(3, 12, 12, 1);
  const RewardResult result = reward.score({images, {"two cats and a red dog", "a zebra", "Cat; zebra, cat, HORSE"}});
  const auto one = [&](std::int64_t i, const std::string& object) {
    return ObjectnessReward(owl, {.query = "a photo of a " + object})
        .score({images.narrow(0, i, 1), {}})
        .values.item<double>();
  };
  const double cat = one(0, "cat"), dog = one(0, "red dog"),
               third = (one(2, "cat") + one(2, "zebra") + one(2, "horse"));
  CHECK(result.values[0].item<double>() == doctest::Approx((cat + dog) / 2).epsilon(1e-12));
  CHECK(result.values[1].item<double>() == doctest::Approx(one(1, "zebra")).epsilon(1e-12));
  CHECK(result.values[2].item<double>() == doctest::Approx(third / 3).epsilon(1e-12));
  CHECK(result.components.at("object_composition").equal(result.values.detach()));
  const Tensor least = result.components.at("least_confidence");
  CHECK(least[0].item<double>() == doctest::Approx(std::min(cat, dog)).epsilon(1e-12));
  CHECK(least[1].item<double>() == doctest::Approx(one(1, "zebra")).epsilon(1e-12));
}

TEST_CASE("composition: a given list for every image, and a query of its own") {
  const auto owl = golden_owl_vit(at::kDouble);
  const Tensor images = random_images(2, 12, 12, 2);
  const CompositionReward reward(owl, {.objects = {"cat", "dog"}, .choice = ObjectChoice::kAll, .query = "the {}!"});
  const Tensor cat = ObjectnessReward(owl, {.query = "the cat!"}).score({images, {}}).values,
               dog = ObjectnessReward(owl, {.query = "the dog!"}).score({images, {}}).values;
  CHECK(relative_error(reward.score({images, {"anything", ""}}).values, (cat + dog) / 2) < 1e-12);
}

TEST_CASE("composition: every place in the query gets the name, and a name may look like one") {
  const auto owl = golden_owl_vit(at::kDouble);
  const Tensor images = random_images(1, 12, 12, 3);
  const auto with = [&](const std::string& query, const std::string& object) {
    const CompositionOptions options{.objects = {object}, .choice = ObjectChoice::kAll, .query = query};
    return CompositionReward(owl, options).score({images, {""}}).values;
  };
  CHECK(
      with("a {} is a {}", "cat").equal(ObjectnessReward(owl, {.query = "a cat is a cat"}).score({images, {}}).values));
  CHECK(with("the {}", "{} cat").equal(ObjectnessReward(owl, {.query = "the {} cat"}).score({images, {}}).values));
}

TEST_CASE("composition: the gradient equals central differences") {
  const CompositionReward reward(golden_owl_vit(at::kDouble));
  const Tensor images = random_images(2, 8, 8, 4);
  const auto f = [&](const Tensor& x) { return reward.score({x, {"a cat and a dog", "a zebra"}}).values.sum(); };
  CHECK(relative_error(gradient(f, images), central_differences(f, images)) < 1e-6);
}

TEST_CASE("composition: what does not fit is named") {
  const auto owl = golden_owl_vit(at::kDouble);
  CHECK_THROWS_WITH_AS(CompositionReward(nullptr), doctest::Contains("expected an OWL-ViT, got none"), Error);
  CHECK_THROWS_WITH_AS(CompositionReward(owl, {.objects = {}}), doctest::Contains("names of objects, got none"), Error);
  CHECK_THROWS_WITH_AS(CompositionReward(owl, {.query = "a photo"}), doctest::Contains("with {}"), Error);
  CHECK_THROWS_WITH_AS(CompositionReward(owl, {.leak = 3}), doctest::Contains("leak"), Error);
  const Tensor images = random_images(2, 8, 8, 5);
  CHECK_THROWS_WITH_AS(CompositionReward(owl).score({images, {"a cat", "a sunset"}}),
                       doctest::Contains("names one of the 80 objects, got 'a sunset'"), Error);
  CHECK_THROWS_WITH_AS(CompositionReward(owl).score({images, {"a cat"}}), doctest::Contains("(2), got 1"), Error);
}

TEST_CASE("named objects: whole words in any case, plurals, the longest name, each once") {
  const Names coco = coco_objects();
  CHECK(coco.size() == 80);
  CHECK(named_objects("Two DOGS, a bench-like cat's hot dog; Buses and buses", coco) ==
        Names{"dog", "bench", "cat", "hot dog", "bus"});
  CHECK(named_objects("a category of catfish in a caterpillar", coco).empty());
  CHECK(named_objects("a traffic\nlight and traffic", coco) == Names{"traffic light"});
  CHECK(named_objects("zebra, apple", {"apple", "zebra"}) == Names{"zebra", "apple"});
  CHECK(named_objects("ein \xc3\x84pfel\x62\x61um", {"apfel", "\xc3\x84pfel\x62\x61um"}) == Names{"\xc3\x84pfelbaum"});
  CHECK(named_objects("", coco).empty());
  CHECK(named_objects("a cat", {"", "!"}).empty());
}

}  // namespace composition_test
