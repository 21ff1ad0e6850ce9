// The prompt files of the composition and parity studies: what is held out is held out, and colors stay open where
// they should.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/run/prompt_set.hpp>
#include <reward_tuner/shapes/shape_vocabulary.hpp>

namespace prompt_files_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::shapes;
using Object = std::pair<int, int>;            // shape, color
using ObjectPair = std::pair<Object, Object>;  // the smaller first

std::vector<std::string> prompts_of(const char* name) {
  return PromptSet::from_file(std::filesystem::path(REWARD_TUNER_SOURCE_DIR) / "examples/tune" / name).prompts();
}

ObjectPair objects_of(const std::string& prompt) {
  const Caption caption = parse_caption(prompt);
  REQUIRE_MESSAGE(caption.objects.size() == 2, prompt);
  const Object a{caption.objects[0].shape, caption.objects[0].color},
      b{caption.objects[1].shape, caption.objects[1].color};
  return std::minmax(a, b);
}

}  // namespace

TEST_CASE("prompt files: held-out pairs of objects never stand together in training, though each object does") {
  std::set<ObjectPair> trained, held_out;
  std::map<Object, int> seen, asked;
  for (const auto& prompt : prompts_of("prompts_pairs_train.txt")) {
    const ObjectPair pair = objects_of(prompt);
    CHECK_MESSAGE(trained.insert(pair).second, prompt);
    ++seen[pair.first], ++seen[pair.second];
  }
  for (const auto& prompt : prompts_of("prompts_pairs_heldout.txt")) {
    const ObjectPair pair = objects_of(prompt);
    CHECK_MESSAGE(held_out.insert(pair).second, prompt);
    CHECK_MESSAGE(trained.count(pair) == 0, prompt);
    ++asked[pair.first], ++asked[pair.second];
  }
  CHECK(trained.size() == 84);
  CHECK(held_out.size() == 42);
  CHECK(seen.size() == 42);  // every combination that the pretraining images show
  for (const auto& [object, count] : seen) {
    CHECK(count == 4);
    CHECK(asked.at(object) == 2);
    CHECK_FALSE(is_held_out(object.first, object.second));
  }
  // as in the pretraining images
  for (const auto& [a, b] : trained) CHECK((a.first != b.first && a.second != b.second));
  for (const auto& [a, b] : held_out) CHECK((a.first != b.first && a.second != b.second));
}

TEST_CASE("prompt files: parity prompts name no color, and those held out are none of the others") {
  std::set<std::string> all;
  for (const char* file : {"prompts_parity.txt", "prompts_parity_heldout.txt"})
    for (const auto& prompt : prompts_of(file)) {
      CHECK_MESSAGE(all.insert(prompt).second, prompt);
      std::istringstream words(prompt);
      for (std::string word; words >> word;) {
        CHECK_FALSE_MESSAGE(index_of_word(kObjectColors, word), prompt);
      }
    }
}

}  // namespace prompt_files_test
