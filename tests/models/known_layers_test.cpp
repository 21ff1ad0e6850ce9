// LoRA files without a model at hand: the family whose layers they name.
#include <doctest/doctest.h>
#include <torch/types.h>

#include <string>

#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/lora/lora_files.hpp>
#include <reward_tuner/models/known_layers.hpp>

#include <tests/reference/test_folder.hpp>

namespace known_layers_test {

using namespace reward_tuner;

TEST_CASE("known_layers: the first family that a file fits") {
  const io_test::Folder folder;
  const LowRank layer{at::ones({1, 2}), at::ones({2, 1}), 1};
  const auto found = [&](const std::string& part, const std::string& path) {
    write_lora(folder / "lora", {{part, {{path, layer}}}});
    return known_layers(folder / "lora");
  };
  const std::string q = ".transformer_blocks.0.attn1.to_q";
  CHECK_FALSE(found("unet", "down_blocks.0.attentions.0" + q).contains("text_encoder_2"));
  CHECK(found("unet", "down_blocks.2.attentions.1.transformer_blocks.9.attn1.to_q").contains("text_encoder_2"));
  CHECK(found("text_encoder_2", "text_model.encoder.layers.31.mlp.fc1").contains("text_encoder_2"));
  const auto sd2 = found("text_encoder", "text_model.encoder.layers.22.mlp.fc1");
  CHECK_FALSE(sd2.contains("text_encoder_2"));
  CHECK(sd2.at("text_encoder").size() > known_layers(KnownModel::kSd15).at("text_encoder").size());
  CHECK_THROWS_WITH_AS(found("unet", "down_blocks.0.attentions.7" + q),
                       doctest::Contains("fits none of Stable Diffusion 1, 2 and XL, expected --model"), Error);
  save_safetensors(folder / "x.safetensors", {{"lora_unet_mid_block_attentions_0_proj_in.hada_w1_a", at::ones({1})}});
  CHECK_THROWS_WITH_AS(known_layers(folder / "x.safetensors"), doctest::Contains("is a LoHa"), Error);
}

TEST_CASE("known_layers: SDXL files of Kohya's scripts name the UNet in the original layout") {
  const io_test::Folder folder;
  const LowRank layer{at::ones({1, 2}), at::ones({2, 1}), 0.25};
  const auto parts = known_layers(KnownModel::kSdxlBase);
  const std::map<std::string, LoraLayers> lora = {
      {"unet", {{"down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_q", layer}}},
      {"text_encoder", {{"text_model.encoder.layers.0.mlp.fc1", layer}}},
      {"text_encoder_2", {{"text_model.encoder.layers.31.mlp.fc1", layer}}}};
  write_lora_kohya(folder / "k.safetensors", lora, kohya_names(parts));
  const auto file = SafetensorsFile::open(folder / "k.safetensors");
  CHECK(file.contains("lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q.lora_up.weight"));
  CHECK(file.contains("lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha"));
  CHECK(read_lora(folder / "k.safetensors", known_layers(folder / "k.safetensors")).size() == 3);
}

}  // namespace known_layers_test
