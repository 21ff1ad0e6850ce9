// One CLIP for all who name its folder, as long as somebody holds it.
#include <doctest/doctest.h>

#include <filesystem>
#include <memory>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/shared_clip.hpp>

TEST_CASE("shared_clip: one model by any path to the folder, another when nobody holds it") {
  using namespace reward_tuner;
  const std::filesystem::path folder = std::filesystem::path(REWARD_TUNER_TEST_DATA) / "clip";
  std::shared_ptr<const ClipModel> first = shared_clip(folder);
  CHECK(shared_clip(folder) == first);
  CHECK(shared_clip(folder / ".." / "clip") == first);
  const std::weak_ptr<const ClipModel> watched = first;
  first.reset();
  CHECK(watched.expired());
  CHECK(shared_clip(folder) != nullptr);
  CHECK_THROWS_AS(shared_clip(folder / "nowhere"), Error);
}
