// The model that the settings name, and the words of prompts that it does not read.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/note.hpp>

#include <examples/shared/load_model.hpp>

namespace load_model_test {
namespace {

using namespace rt_shared;

TuneSettings settings() {
  TuneSettings s;
  s.model = REWARD_TUNER_SOURCE_DIR "/examples/models/tiny-shapes";
  return s;
}

}  // namespace

TEST_CASE("model: the variant is the setting's") {
  TuneSettings s = settings();
  s.variant = "fp16";
  CHECK_THROWS_WITH_AS(load_model(s), doctest::Contains("expected weights of the variant fp16 in some part"),
                       rt::Error);
}

TEST_CASE("model: tokenizer and prediction are the settings'") {
  TuneSettings s = settings();
  s.prediction = rt::PredictionType::kVPrediction;
  CHECK_THROWS_WITH_AS(load_model(s), doctest::Contains("says the network predicts \"epsilon\""), rt::Error);
  s.prediction = rt::PredictionType::kEpsilon;
  CHECK_NOTHROW(load_model(s));
  s.tokenizer = "no such folder";
  CHECK_THROWS_WITH_AS(load_model(s), doctest::Contains("[Tokenizer]"), rt::Error);
}

TEST_CASE("model: negative prompt and size are the settings'") {
  TuneSettings s = settings();
  auto plain = load_model(s);
  s.negative = "a blue square";
  s.height = 48;
  s.width = 32;
  auto other = load_model(s);
  CHECK(plain.pipeline.latent_shape(1) == std::vector<std::int64_t>{1, 4, 16, 16});
  CHECK(other.pipeline.latent_shape(1) == std::vector<std::int64_t>{1, 4, 12, 8});
  const auto negative = [](LoadedModel& m) { return m.pipeline.encode({"a red circle"}).negative.embeddings; };
  CHECK_FALSE(negative(plain).equal(negative(other)));
}

TEST_CASE("cut prompts: words that are lost, one by one and as a number") {
  auto model = load_model(settings());
  const std::string longer =
      "a red circle and a blue square and a green triangle and a white ring and a yellow star beside it";
  std::vector<std::string> said;
  const rt::NoteScope scope([&](const std::string& sentence) { said.push_back(sentence); });
  CutPrompts cut(model.pipeline);
  cut.add("a red circle");
  cut.note_each();
  cut.note_number("prompts");
  CHECK(said.empty());
  for (int i = 0; i < 13; ++i) cut.add(longer + " " + std::to_string(i % 10));
  cut.note_each();
  CHECK(said.size() == 11);
  CHECK(said.front().find("does not read its end: '") != std::string::npos);
  CHECK(said.front().ends_with("a yellow star beside it 0'"));
  CHECK(said.back() == "nor the ends of 3 more prompts");
  cut.note_number("prompts in x.txt");
  CHECK(said.back().starts_with("13 of 14 prompts in x.txt are longer than the text encoder takes"));
}

}  // namespace load_model_test
