// Folders are made with those above them and listed in order, or an error names them.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/folder.hpp>

#include <tests/reference/test_folder.hpp>

namespace folder_test {

using namespace reward_tuner;

TEST_CASE("a folder is made with those above it, listed in order and flushed") {
  const io_test::Folder folder;
  make_folder(folder / "a" / "b");
  make_folder(folder / "a" / "b");
  CHECK(std::filesystem::is_directory(folder / "a" / "b"));
  for (const char* name : {"z", "m", ".hidden"}) std::ofstream(folder / "a" / name) << name;
  CHECK(names_in(folder / "a") == std::vector<std::string>{".hidden", "b", "m", "z"});
  CHECK(names_in(folder / "none").empty());
  CHECK(names_in(folder / "a" / "z").empty());
  flush_folder(folder / "a");
  CHECK_THROWS_WITH_AS(make_folder(folder / "a" / "z" / "below"), doctest::Contains("could not create the folder"),
                       Error);
  CHECK_THROWS_WITH_AS(flush_folder(folder / "none"), doctest::Contains("/none': No such file or directory"), Error);
}

}  // namespace folder_test
