// Notes: said once, to whoever listens.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <reward_tuner/core/note.hpp>

namespace note_test {

using namespace reward_tuner;

TEST_CASE("a note is said once, and a scope hears those said outside it too") {
  std::vector<std::string> outer, inner;
  const auto to = [](std::vector<std::string>& list) {
    return [&list](const std::string& text) { list.push_back(text); };
  };
  const NoteScope scope(to(outer));
  note("[Where] expected ", 3, ", got ", 2.5);
  note("[Where] expected ", 3, ", got ", 2.5);
  CHECK(outer == std::vector<std::string>{"[Where] expected 3, got 2.5"});
  {
    const NoteScope within(to(inner));
    note("[Where] expected ", 3, ", got ", 2.5);
    note("other");
  }
  CHECK(inner == std::vector<std::string>{"[Where] expected 3, got 2.5", "other"});
  note("other");
  note("other");
  CHECK(outer == std::vector<std::string>{"[Where] expected 3, got 2.5", "other"});
}

}  // namespace note_test
