// Tests of the image autoencoder: configuration files, shapes, gradients, old parameter names. Numbers are compared
// with diffusers in tests/parity.
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/initialize.hpp>
#include <reward_tuner/tensor/memory_meter.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace {
namespace autoencoder_kl_test {

using namespace reward_tuner;

AutoencoderKLConfig tiny_config() {
  AutoencoderKLConfig c;
  c.block_out_channels = {4, 8, 8};
  c.layers_per_block = 1;
  c.norm_num_groups = 2;
  c.sample_size = 16;
  return c;
}

std::shared_ptr<AutoencoderKL> tiny_vae(const AutoencoderKLConfig& config) {
  auto vae = std::make_shared<AutoencoderKL>(config);
  Rng rng(7);
  initialize(*vae, rng);
  vae->to(at::kDouble);
  return vae;
}

std::string error_of(const nlohmann::json& json) {
  try {
    AutoencoderKLConfig::from_json(json, "there.json");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("AutoencoderKL config: to_json and from_json are inverse, unknown and unsupported are named") {
  auto c = tiny_config();
  CHECK(AutoencoderKLConfig::from_json(c.to_json()).to_json() == c.to_json());
  c.shift_factor = 0.0609, c.use_quant_conv = false, c.mid_block_add_attention = false, c.force_upcast = false,
  c.latent_channels = 16;
  const auto back = AutoencoderKLConfig::from_json(c.to_json());
  CHECK(back.to_json() == c.to_json());
  CHECK(back.shift_factor == 0.0609);
  CHECK_FALSE(back.use_quant_conv);
  CHECK(back.reduction() == 4);
  const nlohmann::json good = c.to_json();
  const auto with = [&](const char* key, nlohmann::json value) {
    nlohmann::json changed = good;
    changed[key] = std::move(value);
    return error_of(changed);
  };
  REQUIRE(error_of(good).empty());
  CHECK(with("latents_mean", nullptr).empty());
  CHECK(with("number_of_wings", 2).find("number_of_wings") != std::string::npos);
  const nlohmann::json refused = {
      {"latents_std", {1.0, 1.0}}, {"act_fn", "relu"}, {"down_block_types", {"A", "B", "C"}}};
  for (const auto& [key, value] : refused.items()) {
    const std::string message = with(key.c_str(), value);
    CAPTURE(message);
    CHECK(message.find("unsupported") != std::string::npos);
    CHECK(message.find(key) != std::string::npos);
  }
  CHECK(with("up_block_types", nlohmann::json::array({"UpDecoderBlock2D"})).find("expected 3 entries") !=
        std::string::npos);
}

TEST_CASE("AutoencoderKL: shapes of both ways, also for oblong images and without 1x1 convolutions") {
  auto config = tiny_config();
  for (const bool plain : {true, false}) {
    config.use_quant_conv = config.use_post_quant_conv = config.mid_block_add_attention = plain;
    const auto vae = tiny_vae(config);
    Rng rng(1);
    const Tensor moments = vae->encode_moments(rng.normal({2, 3, 12, 20}, at::kDouble));
    CHECK(moments.sizes() == at::IntArrayRef({2, 8, 3, 5}));
    CHECK(vae->decode(AutoencoderKL::latent_mean(moments)).sizes() == at::IntArrayRef({2, 3, 12, 20}));
    CHECK_THROWS_AS(vae->encode_moments(at::zeros({2, 1, 8, 8}, at::kDouble)), Error);
    CHECK_THROWS_AS(vae->decode(at::zeros({2, 3, 8, 8}, at::kDouble)), Error);
  }
}

TEST_CASE("AutoencoderKL: the decoder's gradient is the difference quotient") {
  const auto vae = tiny_vae(tiny_config());
  Rng rng(2);
  const Tensor z = rng.normal({1, 4, 3, 2}, at::kDouble), direction = rng.normal({1, 4, 3, 2}, at::kDouble);
  const Tensor weight = rng.normal({1, 3, 12, 8}, at::kDouble);
  const auto value = [&](const Tensor& at_z) { return (vae->decode(at_z) * weight).sum(); };
  const Tensor leaf = z.clone().requires_grad_();
  const double exact = (torch::autograd::grad({value(leaf)}, {leaf})[0] * direction).sum().item<double>();
  const double step = 1e-5;
  const double quotient = (value(z + step * direction) - value(z - step * direction)).item<double>() / (2 * step);
  CHECK(std::abs(exact) > 1e-6);
  CHECK(quotient == doctest::Approx(exact).epsilon(1e-6));
}

TEST_CASE("AutoencoderKL: tiled, images, latents and gradients are those of the whole, in double to rounding") {
  const auto vae = tiny_vae(tiny_config());
  for (Tensor& p : vae->parameters()) p.requires_grad_(false);
  const auto f = vae->config().reduction();
  Rng rng(5);
  for (const std::int64_t strip : {1, 100, 1 << 20}) {
    const Tensor z = rng.normal({2, 4, 5, 3}, at::kDouble).requires_grad_();
    const Tensor images = rng.uniform({2, 3, 5 * f, 3 * f}, at::kDouble).requires_grad_();
    const auto measured = [&] {
      const Tensor decoded = vae->decode(z), moments = vae->encode_moments(images);
      const auto gradients = torch::autograd::grad({decoded.square().sum() + moments.square().sum()}, {z, images});
      return std::vector<Tensor>{decoded.detach(), moments.detach(), gradients[0], gradients[1]};
    };
    const auto whole = measured();
    vae->set_tiling(true, strip);
    const auto tiled = measured();
    vae->set_tiling(false);
    for (std::size_t i = 0; i < whole.size(); ++i)
      CHECK(((tiled[i] - whole[i]).norm() / whole[i].norm()).item<double>() < 1e-12);
    CHECK(measured()[0].equal(whole[0]));
  }
  vae->set_tiling(true);
  for (Tensor& p : vae->parameters()) p.requires_grad_(true);
  CHECK_THROWS_WITH_AS(vae->decode(rng.normal({1, 4, 3, 3}, at::kDouble)), doctest::Contains("expected frozen weights"),
                       Error);
  CHECK_THROWS_WITH_AS(vae->set_tiling(true, 0), doctest::Contains("at least 1 number, got 0"), Error);
}

TEST_CASE("AutoencoderKL: a tiled decode and its backward take at most 0.65 of the memory") {
  AutoencoderKLConfig config;
  config.block_out_channels = {32, 64};
  const auto vae = std::make_shared<AutoencoderKL>(config);
  Rng rng(6);
  initialize(*vae, rng);
  for (Tensor& p : vae->parameters()) p.requires_grad_(false);
  const auto peak = [&](bool tiled) {
    vae->set_tiling(tiled, 1 << 17);
    const Tensor z = rng.normal({1, 4, 96, 96}).requires_grad_();
    const MemoryMeter meter;
    torch::autograd::grad({vae->decode(z).square().sum()}, {z});
    return static_cast<double>(meter.peak_bytes());
  };
  const double whole = peak(false), tiled = peak(true);
  MESSAGE("peak bytes whole ", whole, ", tiled ", tiled);
  CHECK(tiled < 0.65 * whole);
}

TEST_CASE("AutoencoderKL: standard deviations come from the clamped log-variance") {
  const Tensor moments = at::tensor({0.5, 0.5, 2.0, 100.0}).reshape({1, 4, 1, 1});
  CHECK(AutoencoderKL::latent_mean(moments).sum().item<double>() == doctest::Approx(1.0));
  const Tensor std_dev = AutoencoderKL::latent_std(moments).flatten();
  CHECK(std_dev[0].item<double>() == doctest::Approx(std::exp(1.0)));
  CHECK(std_dev[1].item<double>() == doctest::Approx(std::exp(10.0)));
}

TEST_CASE("rename_legacy_vae_key: old names of the attention layers become today's, others stay") {
  CHECK(rename_legacy_vae_key("encoder.mid_block.attentions.0.query.weight") ==
        "encoder.mid_block.attentions.0.to_q.weight");
  CHECK(rename_legacy_vae_key("decoder.mid_block.attentions.0.key.bias") == "decoder.mid_block.attentions.0.to_k.bias");
  CHECK(rename_legacy_vae_key("decoder.mid_block.attentions.0.value.bias") ==
        "decoder.mid_block.attentions.0.to_v.bias");
  CHECK(rename_legacy_vae_key("decoder.mid_block.attentions.0.proj_attn.bias") ==
        "decoder.mid_block.attentions.0.to_out.0.bias");
  CHECK(rename_legacy_vae_key("decoder.mid_block.attentions.0.group_norm.bias") ==
        "decoder.mid_block.attentions.0.group_norm.bias");
  CHECK(rename_legacy_vae_key("decoder.conv_in.bias") == "decoder.conv_in.bias");
  const auto vae = tiny_vae(tiny_config());
  const auto names = vae->named_parameters();
  CHECK(names.contains(rename_legacy_vae_key("encoder.mid_block.attentions.0.proj_attn.weight")));
  CHECK(names.contains("decoder.up_blocks.0.upsamplers.0.conv.weight"));
  CHECK(names.contains("encoder.down_blocks.1.downsamplers.0.conv.weight"));
}

}  // namespace autoencoder_kl_test
}  // namespace
