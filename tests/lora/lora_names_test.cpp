// Names of layers in the files of other programs: each spelling finds its layer.
#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/lora/lora_names.hpp>

using namespace reward_tuner;

namespace lora_names_test {
namespace {

const std::string kQuery = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q";
const std::string kOut = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0";
const std::string kText = "text_model.encoder.layers.0.self_attn.q_proj";
const std::string kTextOut = "text_model.encoder.layers.0.self_attn.out_proj";

/// Two levels of two resnets; the lower one has attention.
const std::vector<std::string> kUnet = {"conv_in",
                                        "time_embedding.linear_1",
                                        "add_embedding.linear_2",
                                        "down_blocks.0.resnets.0.conv1",
                                        "down_blocks.0.resnets.1.conv2",
                                        "down_blocks.0.downsamplers.0.conv",
                                        "down_blocks.1.resnets.1.time_emb_proj",
                                        kQuery,
                                        kOut,
                                        "mid_block.resnets.1.conv1",
                                        "mid_block.attentions.0.proj_in",
                                        "up_blocks.0.resnets.2.conv_shortcut",
                                        "up_blocks.0.attentions.2.proj_out",
                                        "up_blocks.0.upsamplers.0.conv",
                                        "up_blocks.1.resnets.0.conv1",
                                        "up_blocks.1.upsamplers.0.conv",
                                        "conv_out"};

std::string found(const LoraNames& names, const std::string& name) {
  const auto place = names.find(name);
  return place ? place->part + " " + place->path : "nothing";
}

}  // namespace

TEST_CASE("lora_names: peft, diffusers old and new, and Kohya") {
  const LoraNames names({{"unet", kUnet}, {"text_encoder", {kText, kTextOut}}});
  const std::string block = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.";
  for (const std::string& name : {"unet." + kQuery, "base_model.model." + kQuery, "unet.base_model.model." + kQuery,
                                  kQuery, "unet." + block + "processor.to_q", block + "processor.to_q",
                                  std::string("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q")})
    CHECK(found(names, name) == "unet " + kQuery);
  for (const std::string& name : {"unet." + kOut, "unet." + block + "to_out", "unet." + block + "processor.to_out"})
    CHECK(found(names, name) == "unet " + kOut);
  for (const char* name :
       {"text_encoder.text_model.encoder.layers.0.self_attn.q_proj", "text_encoder.encoder.layers.0.self_attn.q_proj",
        "base_model.model.text_model.encoder.layers.0.self_attn.q_proj", "encoder.layers.0.self_attn.q_proj",
        "text_encoder.text_model.encoder.layers.0.self_attn.to_q",
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
        "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"})
    CHECK(found(names, name) == "text_encoder " + kText);
  CHECK(found(names, "text_encoder.text_model.encoder.layers.0.self_attn.to_out") == "text_encoder " + kTextOut);
  for (const char* name :
       {"unet.attn1.to_q", "text_encoder.q_proj", "lora_te2_text_model_encoder_layers_0_self_attn_q_proj",
        "text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj", "", "unet.", "lora_unet_"})
    CHECK(found(names, name) == "nothing");
}

TEST_CASE("lora_names: a name of two text encoders' layer must say which") {
  const LoraNames names({{"text_encoder", {kText}}, {"text_encoder_2", {kText}}});
  CHECK(found(names, "text_encoder_2." + kText) == "text_encoder_2 " + kText);
  CHECK(found(names, "lora_te2_text_model_encoder_layers_0_self_attn_q_proj") == "text_encoder_2 " + kText);
  CHECK(found(names, "lora_te1_text_model_encoder_layers_0_self_attn_q_proj") == "text_encoder " + kText);
  CHECK_THROWS_WITH_AS(names.find(kText), doctest::Contains("fits a layer of text_encoder and one of text_encoder_2"),
                       Error);
}

TEST_CASE("lora_names: Kohya's names in the original layout of the UNet") {
  const LoraNames names({{"unet", kUnet}});
  const std::map<std::string, std::string> expected = {
      {"input_blocks_0_0", "conv_in"},
      {"time_embed_0", "time_embedding.linear_1"},
      {"label_emb_0_2", "add_embedding.linear_2"},
      {"input_blocks_1_0_in_layers_2", "down_blocks.0.resnets.0.conv1"},
      {"input_blocks_2_0_out_layers_3", "down_blocks.0.resnets.1.conv2"},
      {"input_blocks_3_0_op", "down_blocks.0.downsamplers.0.conv"},
      {"input_blocks_4_1_transformer_blocks_0_attn1_to_q", kQuery},
      {"input_blocks_4_1_transformer_blocks_0_attn1_to_out_0", kOut},
      {"input_blocks_5_0_emb_layers_1", "down_blocks.1.resnets.1.time_emb_proj"},
      {"middle_block_2_in_layers_2", "mid_block.resnets.1.conv1"},
      {"middle_block_1_proj_in", "mid_block.attentions.0.proj_in"},
      {"output_blocks_2_0_skip_connection", "up_blocks.0.resnets.2.conv_shortcut"},
      {"output_blocks_2_1_proj_out", "up_blocks.0.attentions.2.proj_out"},
      {"output_blocks_2_2_conv", "up_blocks.0.upsamplers.0.conv"},
      {"output_blocks_3_0_in_layers_2", "up_blocks.1.resnets.0.conv1"},
      {"output_blocks_5_1_conv", "up_blocks.1.upsamplers.0.conv"},
      {"out_2", "conv_out"}};
  for (const auto& [name, path] : expected) CHECK(found(names, "lora_unet_" + name) == "unet " + path);
}

TEST_CASE("lora_names: what Kohya's name of a layer is, and that two layers may not share one") {
  CHECK(kohya_name(kQuery, "unet") == "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q");
  CHECK(kohya_name(kText, "text_encoder") == "lora_te_text_model_encoder_layers_0_self_attn_q_proj");
  CHECK(kohya_name(kText, "text_encoder_2") == "lora_te2_text_model_encoder_layers_0_self_attn_q_proj");
  CHECK(kohya_name("add_embedding.linear_1", "unet") == "lora_unet_label_emb_0_0");
  CHECK_THROWS_WITH_AS(LoraNames({{"unet", {"a.b_c", "a_b.c"}}}), doctest::Contains("two layers share the Kohya name"),
                       Error);
}

TEST_CASE("lora_names: Kohya's names of SDXL's layers are those of the original layout, and te1") {
  const std::vector<std::string> unet = {"down_blocks.0.resnets.0.conv1", kQuery, "add_embedding.linear_2"};
  const auto sd = kohya_names({{"unet", unet}, {"text_encoder", {kText}}});
  CHECK(sd.at("unet").at(kQuery) == kohya_name(kQuery, "unet"));
  CHECK(sd.at("text_encoder").at(kText) == kohya_name(kText, "text_encoder"));
  const LoraParts parts = {{"unet", unet}, {"text_encoder", {kText}}, {"text_encoder_2", {kText}}};
  const auto xl = kohya_names(parts);
  CHECK(xl.at("unet").at(kQuery) == "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q");
  CHECK(xl.at("unet").at("add_embedding.linear_2") == "lora_unet_label_emb_0_2");
  CHECK(xl.at("text_encoder").at(kText) == "lora_te1_text_model_encoder_layers_0_self_attn_q_proj");
  CHECK(xl.at("text_encoder_2").at(kText) == kohya_name(kText, "text_encoder_2"));
  const LoraNames names(parts);
  for (const auto& [part, paths] : xl)
    for (const auto& [path, name] : paths) CHECK(found(names, name) == part + " " + path);
}

TEST_CASE("lora_names: the part that a name claims") {
  CHECK(claimed_lora_part("unet.x") == "unet");
  CHECK(claimed_lora_part("lora_te1_x") == "text_encoder");
  CHECK(claimed_lora_part("lora_te2_x") == "text_encoder_2");
  CHECK(claimed_lora_part("transformer.single_blocks.0") == "transformer");
  CHECK_FALSE(claimed_lora_part("x.unet.").has_value());
}

}  // namespace lora_names_test
