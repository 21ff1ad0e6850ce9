// The CLIP text tower: shapes, causality, pooling, names, config errors.
#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <string>

#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/clip_text.hpp>

namespace clip_text_test {
namespace {

using namespace reward_tuner;

ClipTextConfig tiny() {
  ClipTextConfig c;
  c.hidden_size = 8;
  c.intermediate_size = 12;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 2;
  c.vocab_size = 20;
  c.max_position_embeddings = 6;
  c.projection_dim = 5;
  c.eos_token_id = 19;
  return c;
}

/// Distinct, bounded values without a random generator.
void fill(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  double phase = 0;
  for (auto& p : module.parameters())
    p.copy_(at::sin(at::arange(p.numel(), at::kDouble) * 1.7 + phase++).view(p.sizes()));
}

double gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

std::string message(const nlohmann::json& json) {
  try {
    ClipTextConfig::from_json(json);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("the CLIP text tower returns every state and pools at the end token") {
  ClipTextModel model(tiny(), true);
  fill(model);
  const auto ids = at::tensor({18, 3, 4, 19, 19, 19, 18, 3, 5, 6, 7, 19}, at::kLong).view({2, 6});
  const auto out = model.forward(ids);
  CHECK((out.last_hidden_state.sizes() == at::IntArrayRef({2, 6, 8})));
  CHECK((out.pooler_output.sizes() == at::IntArrayRef({2, 8})));
  CHECK((out.text_embeds.sizes() == at::IntArrayRef({2, 5})));
  CHECK(out.hidden_states.size() == 3);
  CHECK(gap(out.pooler_output[0], out.last_hidden_state[0][3]) == 0);  // the FIRST end token
  CHECK(gap(out.pooler_output[1], out.last_hidden_state[1][5]) == 0);
  CHECK_FALSE(ClipTextModel(tiny()).with_projection());

  auto old = tiny();
  old.eos_token_id = 2;  // files from before 2023: the largest id is the end token
  ClipTextModel before(old, true);
  fill(before);
  CHECK(gap(before.forward(ids).pooler_output, out.pooler_output) == 0);
}

TEST_CASE("the CLIP text tower is causal") {
  ClipTextModel model(tiny());
  fill(model);
  const auto a = model.forward(at::tensor({18, 3, 4, 5, 6, 19}, at::kLong).view({1, 6})).last_hidden_state;
  const auto b = model.forward(at::tensor({18, 3, 4, 7, 8, 19}, at::kLong).view({1, 6})).last_hidden_state;
  CHECK(gap(a.slice(1, 0, 3), b.slice(1, 0, 3)) == 0);
  CHECK(gap(a.slice(1, 3), b.slice(1, 3)) > 1e-3);
}

TEST_CASE("the CLIP text tower works in double and passes gradients to every parameter") {
  ClipTextModel model(tiny(), true);
  model.to(at::kDouble);
  fill(model);
  const auto out = model.forward(at::tensor({18, 3, 4, 5, 6, 19}, at::kLong).view({1, 6}));
  CHECK((out.text_embeds.scalar_type() == at::kDouble));
  out.text_embeds.sin().sum().backward();
  for (const auto& p : model.named_parameters()) {
    CAPTURE(p.key());
    REQUIRE(p.value().grad().defined());
    // Adding a constant to all keys shifts a row of scores, which softmax ignores: the key bias has no effect.
    if (!p.key().ends_with("k_proj.bias")) CHECK(p.value().grad().abs().sum().item<double>() > 0);
  }
}

TEST_CASE("the CLIP text tower names its parameters as published checkpoints do") {
  ClipTextModel model(tiny(), true);
  std::set<std::string> names;
  for (const auto& p : model.named_parameters()) names.insert(p.key());
  for (const char* name :
       {"text_model.embeddings.token_embedding.weight", "text_model.embeddings.position_embedding.weight",
        "text_model.encoder.layers.1.self_attn.out_proj.bias", "text_model.encoder.layers.0.mlp.fc1.weight",
        "text_model.encoder.layers.0.layer_norm2.bias", "text_model.final_layer_norm.weight", "text_projection.weight"})
    CHECK_MESSAGE(names.count(name) == 1, name);
  CHECK(names.size() == 2 + 2 * 16 + 2 + 1);
  CHECK(clip_text_key("encoder.layers.0.mlp.fc1.bias") == "text_model.encoder.layers.0.mlp.fc1.bias");
  CHECK(clip_text_key("text_model.final_layer_norm.bias") == "text_model.final_layer_norm.bias");
  CHECK(clip_text_key("text_projection.weight") == "text_projection.weight");
  CHECK(clip_text_key("text_model.embeddings.position_ids").empty());
}

TEST_CASE("the CLIP text config goes through JSON and names what it cannot use") {
  const auto c = ClipTextConfig::from_json(tiny().to_json());
  CHECK(c.to_json() == tiny().to_json());
  auto json = tiny().to_json();
  json["torch_dtype"] = "float16";
  json["top_k"] = 50;
  json["_name_or_path"] = "x";
  CHECK(message(json) == "no error");
  json["window"] = 3;
  CHECK(message(json).find("window") != std::string::npos);
  CHECK(message({{"hidden_act", "relu"}}).find("relu") != std::string::npos);
  CHECK(message({{"model_type", "bert"}}).find("clip_text_model") != std::string::npos);
  CHECK(message({{"hidden_size", 10}, {"num_attention_heads", 4}}).find("multiple") != std::string::npos);
  CHECK(message({{"vocab_size", 0}}).find("vocab_size") != std::string::npos);
}

TEST_CASE("the CLIP text tower refuses what it cannot take") {
  ClipTextModel model(tiny());
  fill(model);
  CHECK_THROWS_WITH_AS(model.forward(at::arange(7, at::kLong).view({1, 7})),
                       doctest::Contains("max_position_embeddings"), Error);
  CHECK_THROWS_WITH_AS(model.forward(at::arange(6, at::kFloat).view({1, 6})), doctest::Contains("int64"), Error);
  CHECK_THROWS_WITH_AS(model.forward(at::arange(6, at::kLong)), doctest::Contains("[B,L]"), Error);
}

TEST_CASE("CLIP's activations have the values of their formulas") {
  ClipEncoderOptions o{.hidden_size = 1, .intermediate_size = 1, .num_hidden_layers = 1, .num_attention_heads = 1};
  const auto at_one = [&](const char* name) {
    o.hidden_act = name;
    ClipMlp mlp(o);
    const torch::NoGradGuard no_grad;
    for (const auto& p : mlp.named_parameters()) p.value().fill_(p.key().ends_with("weight") ? 1.0 : 0.0);
    return mlp.forward(at::tensor({1.0f}).view({1, 1, 1})).item<double>();
  };
  CHECK(at_one("quick_gelu") == doctest::Approx(1 / (1 + std::exp(-1.702))));
  CHECK(at_one("gelu") == doctest::Approx(0.5 * (1 + std::erf(std::sqrt(0.5)))));
  CHECK(at_one("gelu_new") == doctest::Approx(0.5 * (1 + std::tanh(std::sqrt(2 / 3.14159265358979) * 1.044715))));
}

}  // namespace clip_text_test
