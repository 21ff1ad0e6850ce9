// Output places: made or refused before the work.
#include <doctest/doctest.h>

#include <filesystem>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/output_path.hpp>

#include <tests/reference/test_folder.hpp>

TEST_CASE("output places: folders are made, with those above them") {
  using namespace reward_tuner;
  const io_test::Folder folder;
  check_output_folder(folder / "a/b/c");
  CHECK_FALSE(std::filesystem::exists(folder / "a"));
  prepare_output_file(folder / "a/b/star.png");
  CHECK(std::filesystem::is_directory(folder / "a/b"));
  CHECK_FALSE(std::filesystem::exists(folder / "a/b/star.png"));
  prepare_output_folder(folder / "a/b/c/");
  CHECK(std::filesystem::is_directory(folder / "a/b/c"));
  io_test::write_text(folder / "a/old.png", "old");
  prepare_output_file(folder / "a/old.png");
  CHECK(io_test::read_text(folder / "a/old.png") == "old");
  prepare_output_file("a_name_alone.png");
}

TEST_CASE("output places: what stands in the way is said") {
  using namespace reward_tuner;
  const io_test::Folder folder;
  io_test::write_text(folder / "file", "x");
  const auto fails = [&](auto call, const char* sentence) {
    CHECK_THROWS_WITH_AS(call(), doctest::Contains(sentence), Error);
  };
  fails([&] { prepare_output_file(folder.path); }, "expected the path of a file to write, got the folder");
  fails([&] { prepare_output_file((folder / "new/").string()); },
        "expected the path of a file to write, got the folder");
  fails([&] { prepare_output_file(""); }, "expected the path of a file to write");
  fails([&] { prepare_output_file(folder / "file/star.png"); }, "got something else at");
  fails([&] { prepare_output_folder(folder / "file"); }, "got something else at");
  fails([&] { check_output_folder(folder / "file/deeper/still"); }, "got something else at");
  fails([&] { check_output_folder(""); }, "got an empty one");
  if (folder.make_read_only()) {
    fails([&] { check_output_folder(folder / "a/b"); }, "could not write into the folder");
    fails([&] { prepare_output_file(folder / "a.png"); }, "could not write into the folder");
  }
}
