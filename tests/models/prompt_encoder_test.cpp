// Prompts to a condition with one text encoder and with two: states, pooled embedding, negative prompt, time ids.
#include <ATen/ops/allclose.h>
#include <ATen/ops/tensor.h>
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/initialize.hpp>
#include <reward_tuner/models/prompt_encoder.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace prompt_encoder_test {
namespace {

using namespace reward_tuner;
using Texts = std::vector<std::string>;

const Texts kPrompts = {"a red circle, left", "two blue squares"};

/// The tokenizer of the tests, padded with `pad`.
std::shared_ptr<ClipTokenizer> tokenizer(const std::string& pad) {
  auto files = ClipTokenizerFiles::read(std::filesystem::path(REWARD_TUNER_TEST_DATA) / "tokenizer");
  files.options.pad.text = pad;
  return std::make_shared<ClipTokenizer>(std::move(files));
}

TextTower tower(std::int64_t width, bool with_projection, std::int64_t positions = 12,
                const std::string& pad = "<|endoftext|>") {
  ClipTextConfig config;
  config.hidden_size = width;
  config.intermediate_size = 2 * width;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 2;
  config.max_position_embeddings = positions;
  config.vocab_size = 627;
  config.eos_token_id = 626;
  config.projection_dim = 10;
  TextTower out{tokenizer(pad), std::make_shared<ClipTextModel>(config, with_projection)};
  Rng rng(static_cast<std::uint64_t>(width));
  initialize(*out.model, rng);
  for (Tensor& p : out.model->parameters()) p.requires_grad_(false);
  return out;
}

std::vector<TextTower> two() { return {tower(16, false), tower(8, true, 12, "!")}; }

ClipTextOutput output(const TextTower& t, const Texts& texts) { return t.model->forward((*t.tokenizer)(texts, 12)); }

bool same(const Tensor& a, const Tensor& b) { return at::allclose(a, b, 0, 1e-5); }

}  // namespace

TEST_CASE("prompt_encoder: one text encoder gives its states after the last norm, and no pooled embedding") {
  const auto one = tower(16, false);
  const PromptEncoder encoder({one}, {}, "x");
  CHECK(encoder.width() == 16);
  CHECK(encoder.pooled_width() == 0);
  CHECK(encoder.length() == 12);
  const Condition c = encoder.encode(kPrompts);
  CHECK(same(c.positive.embeddings, output(one, kPrompts).last_hidden_state));
  CHECK(c.negative.embeddings[1].equal(c.empty.embeddings[0]));
  for (const Conditioning* states : {&c.positive, &c.negative, &c.empty}) {
    CHECK_FALSE(states->pooled.defined());
    CHECK_FALSE(states->time_ids.defined());
  }
}

TEST_CASE("prompt_encoder: two give their last but one states side by side, and the second's projection") {
  const auto towers = two();
  const PromptEncoder encoder(towers, {.time_ids = {48, 40, 3, 5, 32, 24}}, "x");
  CHECK(encoder.width() == 24);
  CHECK(encoder.pooled_width() == 10);
  const Condition c = encoder.encode(kPrompts);
  const auto first = output(towers[0], kPrompts), second = output(towers[1], kPrompts);
  CHECK(same(c.positive.embeddings.narrow(2, 0, 16), first.hidden_states[2]));
  CHECK(same(c.positive.embeddings.narrow(2, 16, 8), second.hidden_states[2]));
  CHECK(same(c.positive.pooled, second.text_embeds));
  const auto nothing = output(towers[1], {""});
  CHECK(same(c.empty.embeddings.narrow(2, 16, 8), nothing.hidden_states[2]));
  CHECK(same(c.negative.pooled[1], nothing.text_embeds[0]));
  const Tensor ids = at::tensor({48.0f, 40.0f, 3.0f, 5.0f, 32.0f, 24.0f});
  for (const Conditioning* states : {&c.positive, &c.negative}) {
    CHECK(states->time_ids.sizes() == at::IntArrayRef({2, 6}));
    CHECK(states->time_ids[1].equal(ids));
  }
  CHECK(c.empty.time_ids.sizes() == at::IntArrayRef({1, 6}));
  CHECK((c.words[0] == towers[0].tokenizer->words(kPrompts[0], 12)));
  CHECK(encoder.encode({}).positive.pooled.sizes() == at::IntArrayRef({0, 10}));
  // a text of its own for each
  const Conditioning own = encoder.states({kPrompts, {"a star", "a moon"}});
  CHECK(same(own.embeddings.narrow(2, 0, 16), first.hidden_states[2]));
  CHECK(same(own.pooled, output(towers[1], {"a star", "a moon"}).text_embeds));
}

TEST_CASE("prompt_encoder: an unset negative prompt may be zeros, a given one is encoded by both, the empty one too") {
  const auto towers = two();
  const auto negative = [&](const std::optional<std::string>& text, bool zeros) {
    return PromptEncoder(towers, {.negative_prompt = text, .zeros_without_negative = zeros}, "x").encode(kPrompts);
  };
  const Condition unset = negative(std::nullopt, true);
  CHECK(unset.negative.embeddings.sizes() == at::IntArrayRef({2, 12, 24}));
  CHECK(unset.negative.pooled.sizes() == at::IntArrayRef({2, 10}));
  CHECK(unset.negative.embeddings.abs().max().item<double>() == 0);
  CHECK(unset.negative.pooled.abs().max().item<double>() == 0);
  CHECK(unset.empty.embeddings.abs().max().item<double>() > 0);  // what words are weighed against
  const auto nothing = PromptEncoder(towers, {}, "x").states({Texts{""}});
  for (const Condition& c : {negative("", true), negative("", false), negative(std::nullopt, false)}) {
    CHECK(same(c.negative.embeddings[1], nothing.embeddings[0]));
    CHECK(same(c.negative.pooled[1], nothing.pooled[0]));
  }
  const Condition given = negative("a star", true);
  const auto star = PromptEncoder(towers, {}, "x").states({Texts{"a star"}});
  CHECK(same(given.negative.embeddings[0], star.embeddings[0]));
  CHECK(same(given.negative.pooled[0], star.pooled[0]));
  CHECK(same(given.empty.embeddings, nothing.embeddings));
}

TEST_CASE("prompt_encoder: either text encoder may train, the end of the second through the pooled embedding alone") {
  for (const std::size_t trained : {std::size_t{0}, std::size_t{1}}) {
    const auto towers = two();
    const PromptEncoder encoder(towers, {.zeros_without_negative = true}, "x");
    CHECK_FALSE(encoder.trains());
    CHECK_FALSE(encoder.encode(kPrompts).positive.embeddings.requires_grad());
    const Lora lora = Lora::attach(*towers[trained].model, {.rank = 2, .targets = {"layers.0.mlp.fc1"}});
    CHECK(encoder.trains());
    const Condition c = encoder.encode(kPrompts);
    CHECK(c.positive.embeddings.requires_grad());
    CHECK(c.positive.pooled.requires_grad() == (trained == 1));
    CHECK_FALSE(c.negative.embeddings.requires_grad());
    const torch::NoGradGuard no_grad;
    CHECK_FALSE(encoder.encode(kPrompts).positive.embeddings.requires_grad());
  }
  const auto towers = two();
  const PromptEncoder encoder(towers, {}, "x");
  const Lora lora = Lora::attach(*towers[1].model, {.rank = 2, .targets = {"text_projection"}});
  const Condition c = encoder.encode(kPrompts);
  CHECK_FALSE(c.positive.embeddings.requires_grad());
  CHECK(c.positive.pooled.requires_grad());
}

TEST_CASE("prompt_encoder: word positions are left out where the tokenizers cut a prompt in different ways") {
  auto towers = two();
  auto files = ClipTokenizerFiles::read(std::filesystem::path(REWARD_TUNER_TEST_DATA) / "tokenizer");
  files.merges.clear();  // a word is its letters
  towers[1].tokenizer = std::make_shared<ClipTokenizer>(std::move(files));
  CHECK(PromptEncoder(towers, {}, "x").encode({"red"}).words.empty());
  CHECK(PromptEncoder({towers[0]}, {}, "x").encode({"red"}).words.size() == 1);
}

TEST_CASE("prompt_encoder: towers that do not fit one another are named errors") {
  CHECK_THROWS_WITH_AS(PromptEncoder({}, {}, "DIR"), doctest::Contains("DIR: expected one text encoder or two, got 0"),
                       Error);
  CHECK_THROWS_WITH_AS(PromptEncoder({tower(16, false), tower(8, false)}, {}, "DIR"),
                       doctest::Contains("DIR: expected a second text encoder with projection, got one without"),
                       Error);
  CHECK_THROWS_WITH_AS(PromptEncoder({tower(16, false), tower(8, true, 9)}, {}, "DIR"),
                       doctest::Contains("expected text encoders of one length, got 12 and 9 tokens"), Error);
  const PromptEncoder encoder(two(), {}, "x");
  CHECK_THROWS_WITH_AS(encoder.states({{"a"}, {"b"}, {"c"}}), doctest::Contains("got 3 lists"), Error);
  CHECK_THROWS_WITH_AS(encoder.states({{"a"}, {"b", "c"}}), doctest::Contains("got 1 and 2"), Error);
}

}  // namespace prompt_encoder_test
