// Tests of the UNet: configuration files, shapes, gradients, errors. Numbers are compared with diffusers in
// tests/parity.
#include <ATen/ops/allclose.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/initialize.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace {
namespace unet_2d_condition_test {

using namespace reward_tuner;

UNet2DConditionConfig tiny_config() {
  UNet2DConditionConfig c;
  c.sample_size = 8;
  c.down_block_types = {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"};
  c.up_block_types = {"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"};
  c.block_out_channels = {8, 8, 16};
  c.layers_per_block = {1, 1, 1};
  c.cross_attention_dim = {6, 6, 6};
  c.transformer_layers_per_block = {1, 1, 1};
  c.attention_head_dim = {2, 2, 4};
  c.norm_num_groups = 4;
  return c;
}

std::shared_ptr<UNet2DConditionModel> tiny_unet(const UNet2DConditionConfig& config) {
  auto unet = std::make_shared<UNet2DConditionModel>(config);
  Rng rng(7);
  initialize(*unet, rng);
  unet->to(at::kDouble);
  return unet;
}

std::string error_of(const nlohmann::json& json) {
  try {
    UNet2DConditionConfig::from_json(json, "there.json");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_CASE("UNet config: to_json and from_json are inverse") {
  UNet2DConditionConfig c = tiny_config();
  CHECK(UNet2DConditionConfig::from_json(c.to_json()).to_json() == c.to_json());
  CHECK(c.to_json().at("attention_head_dim") == nlohmann::json({2, 2, 4}));
  CHECK(c.to_json().at("cross_attention_dim") == 6);
  c.text_time_embedding = true, c.addition_time_embed_dim = 8, c.projection_class_embeddings_input_dim = 53;
  c.mid_block = false, c.sample_size = std::nullopt, c.time_embedding_dim = 20,
  c.transformer_layers_per_block = {1, 2, 3};
  for (const auto& size : {nlohmann::json(12), nlohmann::json({8, 12}), nlohmann::json(nullptr)}) {
    nlohmann::json json = c.to_json();
    json["sample_size"] = size;
    CHECK(UNet2DConditionConfig::from_json(json).to_json().at("sample_size") == size);
  }
  const auto back = UNet2DConditionConfig::from_json(c.to_json());
  CHECK(back.to_json() == c.to_json());
  CHECK_FALSE(back.mid_block);
  CHECK(back.text_time_embedding);
  CHECK(back.time_embedding_dim == 20);
  CHECK(back.transformer_layers_per_block[2] == 3);
}

TEST_CASE("UNet config: absent keys have diffusers' defaults, one number serves all levels") {
  const auto c = UNet2DConditionConfig::from_json({{"_class_name", "UNet2DConditionModel"}, {"attention_head_dim", 4}});
  CHECK(c.cross_attention_dim == std::vector<std::int64_t>(4, 1280));
  CHECK(c.attention_head_dim == std::vector<std::int64_t>(4, 4));
  CHECK(c.block_out_channels == std::vector<std::int64_t>{320, 640, 1280, 1280});
  CHECK_FALSE(c.sample_size.has_value());
}

TEST_CASE("UNet config: unknown keys and unsupported values are named errors") {
  const nlohmann::json good = tiny_config().to_json();
  const auto with = [&](const char* key, nlohmann::json value) {
    nlohmann::json changed = good;
    changed[key] = std::move(value);
    return changed;
  };
  REQUIRE(error_of(good).empty());
  CHECK(error_of(with("dropout", 0)).empty());
  CHECK(error_of(with("class_embed_type", nullptr)).empty());
  CHECK(has(error_of(with("number_of_wings", 2)), "number_of_wings"));
  CHECK(has(error_of(with("number_of_wings", nullptr)), "there.json"));
  const nlohmann::json refused = {{"class_embed_type", "timestep"},
                                  {"num_attention_heads", 8},
                                  {"only_cross_attention", true},
                                  {"dropout", 0.1},
                                  {"dual_cross_attention", true},
                                  {"resnet_time_scale_shift", "scale_shift"},
                                  {"time_cond_proj_dim", 256},
                                  {"addition_embed_type", "text"},
                                  {"act_fn", "gelu"},
                                  {"norm_num_groups", nullptr},
                                  {"attention_type", "gated"},
                                  {"mid_block_type", "UNetMidBlock2D"},
                                  {"time_embedding_type", "fourier"},
                                  {"downsample_padding", 2},
                                  {"transformer_layers_per_block", {{1, 1}, {2}, {1}}},
                                  {"addition_time_embed_dim", 256},
                                  {"sample_size", {8, 9, 10}},
                                  {"cross_attention_dim", {6, 6, 7}},
                                  {"down_block_types", {"CrossAttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"}}};
  for (const auto& [key, value] : refused.items()) {
    const std::string message = error_of(with(key.c_str(), value));
    CAPTURE(message);
    CHECK(has(message, "unsupported"));
    CHECK(has(message, key));
  }
  CHECK(has(error_of(with("attention_head_dim", {2, 2})), "expected 3 entries in attention_head_dim"));
  CHECK(has(error_of(with("in_channels", "four")), "in_channels"));
  CHECK(has(error_of(with("sample_size", {8, 0})), "expected positive numbers in sample_size, got 0"));
}

TEST_CASE("UNet: sizes that the reduction does not divide come back unchanged, gradients reach sample and condition") {
  const auto unet = tiny_unet(tiny_config());
  Rng rng(1);
  for (const auto& size : {std::pair{8, 4}, {7, 5}, {1, 3}}) {
    const auto height = size.first, width = size.second;
    CAPTURE(height);
    const Tensor sample = rng.normal({2, 4, height, width}, at::kDouble).requires_grad_();
    const Tensor context = rng.normal({2, 3, 6}, at::kDouble).requires_grad_();
    const Tensor out = unet->forward(sample, at::tensor({1, 900}), context);
    REQUIRE(out.sizes() == sample.sizes());
    const auto grads = torch::autograd::grad({out.square().sum()}, {sample, context});
    CHECK(grads[0].abs().amin().item<double>() > 0);
    CHECK(grads[1].abs().amin().item<double>() > 0);
  }
}

TEST_CASE("UNet: the gradient with respect to the sample is the difference quotient") {
  const auto unet = tiny_unet(tiny_config());
  Rng rng(2);
  const Tensor x = rng.normal({1, 4, 6, 6}, at::kDouble), context = rng.normal({1, 3, 6}, at::kDouble);
  const Tensor direction = rng.normal({1, 4, 6, 6}, at::kDouble), weight = rng.normal({1, 4, 6, 6}, at::kDouble);
  const auto value = [&](const Tensor& at_x) { return (unet->forward(at_x, at::tensor(500), context) * weight).sum(); };
  const Tensor leaf = x.clone().requires_grad_();
  const double exact = (torch::autograd::grad({value(leaf)}, {leaf})[0] * direction).sum().item<double>();
  const double step = 1e-5;
  const double quotient = (value(x + step * direction) - value(x - step * direction)).item<double>() / (2 * step);
  CHECK(std::abs(exact) > 1e-6);
  CHECK(quotient == doctest::Approx(exact).epsilon(1e-6));
}

TEST_CASE("UNet: every parameter requires and receives a gradient, one timestep serves the batch") {
  const auto unet = tiny_unet(tiny_config());
  Rng rng(3);
  const Tensor sample = rng.normal({2, 4, 4, 4}, at::kDouble), context = rng.normal({2, 3, 6}, at::kDouble);
  const Tensor out = unet->forward(sample, at::tensor(10.0), context);
  CHECK(at::allclose(out, unet->forward(sample, at::tensor({10, 10}), context)));
  CHECK_FALSE(at::allclose(out, unet->forward(sample, at::tensor({10, 11}), context)));
  out.square().sum().backward();
  for (const auto& item : unet->named_parameters()) {
    CAPTURE(item.key());
    REQUIRE(item.value().requires_grad());
    REQUIRE(item.value().grad().defined());
  }
}

TEST_CASE("UNet: parameter names are diffusers'") {
  const UNet2DConditionModel unet(tiny_config());
  std::set<std::string> names;
  for (const auto& item : unet.named_parameters()) names.insert(item.key());
  for (const char* name :
       {"conv_in.weight", "time_embedding.linear_2.bias",
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0.bias",
        "down_blocks.0.downsamplers.0.conv.weight", "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj.weight",
        "mid_block.attentions.0.transformer_blocks.0.ff.net.2.bias", "up_blocks.0.upsamplers.0.conv.bias",
        "up_blocks.1.resnets.1.conv_shortcut.weight", "up_blocks.2.resnets.0.time_emb_proj.weight",
        "conv_norm_out.weight"}) {
    CAPTURE(name);
    CHECK(names.count(name) == 1);
  }
  CHECK(names.count("down_blocks.2.downsamplers.0.conv.weight") == 0);
}

TEST_CASE("UNet: SDXL's additional condition changes the prediction and is demanded") {
  auto config = tiny_config();
  config.text_time_embedding = true, config.addition_time_embed_dim = 4,
  config.projection_class_embeddings_input_dim = 5 + 6 * 4;
  const auto unet = tiny_unet(config);
  Rng rng(4);
  const Tensor sample = rng.normal({2, 4, 4, 4}, at::kDouble), context = rng.normal({2, 3, 6}, at::kDouble),
               t = at::tensor(10);
  const AddedCondition added{.text_embeds = rng.normal({2, 5}, at::kDouble),
                             .time_ids = at::tensor({64, 64, 0, 0, 64, 64}).repeat({2, 1})};
  AddedCondition other = added;
  other.time_ids = added.time_ids + 1;
  CHECK_FALSE(at::allclose(unet->forward(sample, t, context, added), unet->forward(sample, t, context, other)));
  CHECK_THROWS_AS(unet->forward(sample, t, context), Error);
  other.text_embeds = rng.normal({2, 6}, at::kDouble);
  CHECK_THROWS_AS(unet->forward(sample, t, context, other), Error);
  CHECK_THROWS_AS(tiny_unet(tiny_config())->forward(sample, t, context, added), Error);
}

TEST_CASE("UNet: inputs of the wrong shape are errors") {
  const auto unet = tiny_unet(tiny_config());
  const Tensor sample = at::zeros({2, 4, 4, 4}, at::kDouble), context = at::zeros({2, 3, 6}, at::kDouble),
               t = at::tensor(10);
  CHECK_THROWS_AS(unet->forward(at::zeros({2, 3, 4, 4}, at::kDouble), t, context), Error);
  CHECK_THROWS_AS(unet->forward(sample, at::tensor({1, 2, 3}), context), Error);
  CHECK_THROWS_AS(unet->forward(sample, t, at::zeros({1, 3, 6}, at::kDouble)), Error);
  CHECK_THROWS_AS(unet->forward(sample, t, at::zeros({2, 3, 7}, at::kDouble)), Error);
}

TEST_CASE("timestep_projection: sines and cosines of the stated frequencies") {
  const Tensor p = timestep_projection(at::tensor({0.0, 2.0}), 5, true, 0.0);
  REQUIRE(p.sizes() == at::IntArrayRef({2, 5}));
  CHECK((p.scalar_type() == at::kFloat));
  CHECK(at::allclose(p[0], at::tensor({1.0F, 1.0F, 0.0F, 0.0F, 0.0F})));
  CHECK(p[1][1].item<double>() == doctest::Approx(std::cos(2.0 / 100.0)));
  CHECK(p[1][2].item<double>() == doctest::Approx(std::sin(2.0)));
  CHECK(timestep_projection(at::tensor({2}), 4, false, 1.0)[0][1].item<double>() ==
        doctest::Approx(std::sin(2.0 / 10000.0)));
}

TEST_CASE("initialize: bounds, norms, one seed one network, foreign parameters refused") {
  const auto a = tiny_unet(tiny_config()), b = tiny_unet(tiny_config());
  const auto pa = a->named_parameters(), pb = b->named_parameters();
  for (const auto& item : pa) REQUIRE(item.value().equal(pb[item.key()]));
  const double bound = 1 / std::sqrt(4.0 * 9.0);  // fan in of conv_in
  const double largest = pa["conv_in.weight"].abs().max().item<double>();
  CHECK(largest <= bound);
  CHECK(largest > 0.9 * bound);
  CHECK(pa["conv_in.bias"].abs().max().item<double>() <= bound);
  CHECK(pa["conv_norm_out.weight"].eq(1).all().item<bool>());
  CHECK(pa["conv_norm_out.bias"].eq(0).all().item<bool>());
  torch::nn::Module foreign("foreign");
  foreign.register_parameter("strange", at::zeros({2}));
  Rng rng(1);
  CHECK_THROWS_WITH_AS(initialize(foreign, rng), doctest::Contains("strange"), Error);
}

}  // namespace unet_2d_condition_test
}  // namespace
