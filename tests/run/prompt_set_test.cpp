// Prompt lists and their files.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <reward_tuner/run/prompt_set.hpp>

TEST_CASE("prompts are drawn without repetition as long as the list lasts, and reproducibly") {
  using namespace reward_tuner;
  const PromptSet prompts({"a", "b", "c", "d"});
  Rng rng(1), same(1);
  const auto four = prompts.draw(4, rng);
  CHECK(std::set<std::string>(four.begin(), four.end()).size() == 4);
  CHECK(prompts.draw(4, same) == four);
  const auto ten = prompts.draw(10, rng);
  CHECK(ten.size() == 10);
  for (const auto& p : prompts.prompts()) CHECK(std::count(ten.begin(), ten.end(), p) >= 2);
  std::set<std::string> firsts;
  for (int i = 0; i < 60; ++i) firsts.insert(prompts.draw(1, rng).front());
  CHECK(firsts.size() == 4);
}

TEST_CASE("prompt files: one a line, comments and blank lines skipped, ends trimmed") {
  using namespace reward_tuner;
  const auto file = std::filesystem::temp_directory_path() / "reward_tuner_prompt_set_test.txt";
  std::ofstream(file) << "# shapes\n  a red circle  \r\n\n\t\nzwei blaue Sterne\n";
  CHECK(PromptSet::from_file(file).prompts() == std::vector<std::string>{"a red circle", "zwei blaue Sterne"});
  std::ofstream(file) << "# nothing\n";
  CHECK_THROWS_WITH_AS(PromptSet::from_file(file), doctest::Contains("at least one prompt, got none in"), Error);
  std::filesystem::remove(file);
  CHECK_THROWS_WITH_AS(PromptSet::from_file(file), doctest::Contains("cannot read the prompt file"), Error);
  CHECK_THROWS_AS(PromptSet({}), Error);
  Rng rng(1);
  CHECK_THROWS_WITH_AS(PromptSet({"a"}).draw(0, rng), doctest::Contains("count >= 1, got 0"), Error);
}
