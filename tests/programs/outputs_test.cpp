// Outputs of a command: places are made or refused first, and a bad one does not cost the others.
#include <doctest/doctest.h>

#include <filesystem>
#include <vector>

#include <reward_tuner/core/check.hpp>

#include <examples/shared/outputs.hpp>

#include <tests/reference/test_folder.hpp>

TEST_CASE("outputs: the folder is made first, and every file is written whatever becomes of the others") {
  using rt_shared::Outputs;
  const io_test::Folder folder;
  std::vector<int> written;
  Outputs outputs;
  outputs.add("--json", folder / "new/deep/a.json", [&] { written.push_back(1); });
  outputs.add("--none", "", [&] { written.push_back(2); });
  outputs.add("--images", folder / "b.png", [] { throw reward_tuner::Error("[Png] no"); });
  outputs.add("--out", folder / "c.png", [&] { written.push_back(3); });
  CHECK(std::filesystem::is_directory(folder / "new/deep"));
  CHECK(written.empty());
  CHECK_THROWS_WITH_AS(outputs.write(), "--images: [Png] no", reward_tuner::Error);
  CHECK(written == std::vector<int>{1, 3});
  CHECK_THROWS_WITH_AS(outputs.add("--save-latents", folder / "new/../c.png", [] {}),
                       doctest::Contains("--save-latents expected a file of its own, got that of --out"),
                       reward_tuner::Error);
  CHECK_THROWS_WITH_AS(outputs.add("--grid", folder.path, [] {}), doctest::Contains("got the folder"),
                       reward_tuner::Error);
}
