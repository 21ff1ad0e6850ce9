// The tables of the original layout: names and forms, there and back. Whole files against diffusers' converter are
// parity cases (single_file).
#include <doctest/doctest.h>
#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/layers/new_weights.hpp>
#include <reward_tuner/models/known_configurations.hpp>
#include <reward_tuner/models/original_layout.hpp>
#include <reward_tuner/models/pipeline_networks.hpp>

#include <tests/reference/original_file.hpp>

namespace original_layout_test {
namespace {

using namespace reward_tuner;

std::vector<std::string> names_of(const torch::nn::Module& network) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state_dict(network)) names.push_back(name);
  return names;
}

}  // namespace

TEST_CASE("original_layout: every weight has a place of its own, and comes back bit for bit") {
  for (const ModelFamily family : {ModelFamily::kSd1, ModelFamily::kSd2, ModelFamily::kSdxl}) {
    CAPTURE(family_name(family));
    const auto tiny = reference::tiny_parts(family, 20);
    CHECK(original_parts(family).size() == tiny.networks.size());
    for (const auto& part : original_parts(family)) {
      CAPTURE(part.part);
      const auto weights = state_dict(*tiny.networks.at(part.part));
      const auto stored = to_original(part, weights);
      std::map<std::string, int> uses;
      for (const auto& entry : original_weights(part.table, names_of(*tiny.networks.at(part.part)))) {
        const auto& name = entry.first;
        const auto& place = entry.second;
        CAPTURE(name);
        REQUIRE(stored.contains(part.prefix + place.key));
        ++uses[place.key];
        CHECK(at::equal(from_original(stored.at(part.prefix + place.key), place.form), weights.at(name)));
      }
      CHECK(uses.size() == stored.size());
      for (const auto& [key, count] : uses) CHECK(count == (key.find("attn.in_proj_") != key.npos ? 3 : 1));
    }
  }
}

TEST_CASE("original_layout: the names that differ") {
  const auto vae = original_weights(
      OriginalTable::kVae,
      {"encoder.conv_in.weight", "encoder.conv_norm_out.bias", "encoder.down_blocks.1.resnets.0.conv_shortcut.weight",
       "encoder.down_blocks.0.downsamplers.0.conv.bias", "encoder.mid_block.resnets.1.norm1.weight",
       "decoder.mid_block.attentions.0.group_norm.weight", "decoder.mid_block.attentions.0.to_out.0.weight",
       "decoder.mid_block.attentions.0.to_q.bias", "decoder.up_blocks.0.resnets.2.conv1.weight",
       "decoder.up_blocks.2.resnets.0.conv_shortcut.bias", "decoder.up_blocks.1.upsamplers.0.conv.weight",
       "post_quant_conv.weight"});
  const std::map<std::string, std::string> expected = {
      {"encoder.conv_in.weight", "encoder.conv_in.weight"},
      {"encoder.conv_norm_out.bias", "encoder.norm_out.bias"},
      {"encoder.down_blocks.1.resnets.0.conv_shortcut.weight", "encoder.down.1.block.0.nin_shortcut.weight"},
      {"encoder.down_blocks.0.downsamplers.0.conv.bias", "encoder.down.0.downsample.conv.bias"},
      {"encoder.mid_block.resnets.1.norm1.weight", "encoder.mid.block_2.norm1.weight"},
      {"decoder.mid_block.attentions.0.group_norm.weight", "decoder.mid.attn_1.norm.weight"},
      {"decoder.mid_block.attentions.0.to_out.0.weight", "decoder.mid.attn_1.proj_out.weight"},
      {"decoder.mid_block.attentions.0.to_q.bias", "decoder.mid.attn_1.q.bias"},
      {"decoder.up_blocks.0.resnets.2.conv1.weight", "decoder.up.2.block.2.conv1.weight"},
      {"decoder.up_blocks.2.resnets.0.conv_shortcut.bias", "decoder.up.0.block.0.nin_shortcut.bias"},
      {"decoder.up_blocks.1.upsamplers.0.conv.weight", "decoder.up.1.upsample.conv.weight"},
      {"post_quant_conv.weight", "post_quant_conv.weight"}};
  for (const auto& [name, key] : expected) CHECK(vae.at(name).key == key);
  CHECK(vae.at("decoder.mid_block.attentions.0.to_out.0.weight").form == OriginalForm::kKernel);
  CHECK(vae.at("decoder.mid_block.attentions.0.to_q.bias").form == OriginalForm::kSame);
  CHECK(vae.at("decoder.mid_block.attentions.0.group_norm.weight").form == OriginalForm::kSame);

  const std::string layer = "text_model.encoder.layers.11.";
  const auto text = original_weights(
      OriginalTable::kOpenClip,
      {"text_model.embeddings.token_embedding.weight", "text_model.embeddings.position_embedding.weight",
       layer + "self_attn.v_proj.bias", layer + "self_attn.out_proj.weight", layer + "mlp.fc2.bias",
       layer + "layer_norm2.weight", "text_model.final_layer_norm.bias", "text_projection.weight"});
  CHECK(text.at("text_model.embeddings.token_embedding.weight").key == "token_embedding.weight");
  CHECK(text.at("text_model.embeddings.position_embedding.weight").key == "positional_embedding");
  CHECK(text.at(layer + "self_attn.v_proj.bias").key == "transformer.resblocks.11.attn.in_proj_bias");
  CHECK(text.at(layer + "self_attn.v_proj.bias").form == OriginalForm::kValue);
  CHECK(text.at(layer + "self_attn.out_proj.weight").key == "transformer.resblocks.11.attn.out_proj.weight");
  CHECK(text.at(layer + "mlp.fc2.bias").key == "transformer.resblocks.11.mlp.c_proj.bias");
  CHECK(text.at(layer + "layer_norm2.weight").key == "transformer.resblocks.11.ln_2.weight");
  CHECK(text.at("text_model.final_layer_norm.bias").key == "ln_final.bias");
  CHECK(text.at("text_projection.weight").form == OriginalForm::kTransposed);

  const auto unet =
      original_weights(OriginalTable::kUnet, {"conv_norm_out.weight", "down_blocks.0.resnets.0.norm1.weight",
                                              "down_blocks.0.resnets.1.norm2.bias", "mid_block.resnets.1.norm2.bias"});
  CHECK(unet.at("conv_norm_out.weight").key == "out.0.weight");
  CHECK(unet.at("down_blocks.0.resnets.0.norm1.weight").key == "input_blocks.1.0.in_layers.0.weight");
  CHECK(unet.at("down_blocks.0.resnets.1.norm2.bias").key == "input_blocks.2.0.out_layers.0.bias");
  CHECK(unet.at("mid_block.resnets.1.norm2.bias").key == "middle_block.2.out_layers.0.bias");
}

TEST_CASE("original_layout: every name of full-size networks is the one that diffusers' converters read") {
  // tests/golden/make_original_layout_golden.py
  const auto golden = read_json(std::filesystem::path(REWARD_TUNER_TEST_DATA) / "original_layout.json");
  struct Case {
    const char* name;
    KnownModel model;
    const char* part;
    OriginalTable table;
  };
  const NewWeightsScope shapes_alone(at::TensorOptions().device(at::kMeta));
  for (const Case& c : {Case{"sd1_unet", KnownModel::kSd15, "unet", OriginalTable::kUnet},
                        Case{"sdxl_unet", KnownModel::kSdxlBase, "unet", OriginalTable::kUnet},
                        Case{"vae", KnownModel::kSd15, "vae", OriginalTable::kVae}}) {
    CAPTURE(c.name);
    const auto names = names_of(*make_network(c.part, known_configuration(c.model, c.part), c.part));
    const auto wanted = golden.at(c.name).get<std::vector<std::string>>();
    REQUIRE(names.size() == wanted.size());
    const auto places = original_weights(c.table, names);
    for (std::size_t i = 0; i < names.size(); ++i) CHECK(places.at(names[i]).key == wanted[i]);
  }
}

TEST_CASE("original_layout: names without a place and forms that do not fit are errors") {
  for (const auto table : {OriginalTable::kUnet, OriginalTable::kVae, OriginalTable::kOpenClip})
    for (const char* name :
         {"", "a", "encoder", "encoder.", "encoder.mid_block.attentions.1.to_q.weight", "decoder.up_blocks..resnets",
          "encoder.down_blocks.99999999999.resnets.0.conv1.weight", "encoder.down_blocks.0.attentions.0.to_q.weight",
          "text_model.encoder.layers.x.mlp.fc1.weight", "text_model.encoder.layers.0.mlp.fc3.weight",
          "down_blocks.0.attentions", "up_blocks.0.resnets.0.conv3.weight", "time_embedding.cond_proj.weight"})
      CHECK_THROWS_WITH_AS(original_weights(table, {name}), doctest::Contains("[SingleFile] expected weights that"),
                           Error);
  CHECK_THROWS_WITH_AS(from_original(at::zeros({4, 4}), OriginalForm::kQuery), doctest::Contains("of three layers"),
                       Error);
  CHECK_THROWS_WITH_AS(from_original(at::zeros({4, 4, 3, 3}), OriginalForm::kKernel), doctest::Contains("1x1"), Error);
  CHECK_THROWS_WITH_AS(from_original(at::zeros({4}), OriginalForm::kTransposed), doctest::Contains("a matrix"), Error);
  const OriginalPart part{"text_encoder", "p.", OriginalTable::kOpenClip};
  CHECK_THROWS_WITH_AS(to_original(part, {{"text_model.encoder.layers.0.self_attn.q_proj.weight", at::zeros({2, 2})}}),
                       doctest::Contains("query, key and value"), Error);
  CHECK(from_original(at::zeros({4, 2}), OriginalForm::kKernel).sizes() == at::IntArrayRef({4, 2}));
}

}  // namespace original_layout_test
