// LoRAs merged into a model's files: the networks with the adapters attached are the reference.
#include <doctest/doctest.h>
#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/merged_weights.hpp>
#include <reward_tuner/models/pipeline_networks.hpp>

#include <tests/reference/original_file.hpp>
#include <tests/reference/test_folder.hpp>

namespace merged_weights_test {
namespace {

using namespace reward_tuner;
namespace fs = std::filesystem;

const fs::path kTokenizer = fs::path(REWARD_TUNER_TEST_DATA) / "tokenizer";

/// A LoRA with random factors on every layer that takes one, of UNet and text encoders.
std::map<std::string, LoraLayers> random_lora(const reference::TinyParts& parts, std::int64_t rank, double scale) {
  std::map<std::string, LoraLayers> lora;
  for (const auto& [part, network] : parts.networks) {
    if (part == "vae") continue;
    const auto weights = state_dict(*network);
    for (const auto& path : Lora::layer_paths(*network)) {
      auto down = weights.at(path + ".weight").sizes().vec();
      std::vector<std::int64_t> up(down.size(), 1);
      up[0] = down[0];
      up[1] = down[0] = rank;
      lora[part][path] = {at::randn(down) / 4, at::randn(up) / 4, scale};
    }
  }
  return lora;
}

}  // namespace

TEST_CASE("merged_weights: equal to networks with the adapters, for every family, layer and layout") {
  for (const ModelFamily family : {ModelFamily::kSd1, ModelFamily::kSd2, ModelFamily::kSdxl}) {
    CAPTURE(family_name(family));
    const io_test::Folder folder;
    const auto parts = reference::tiny_parts(family, 20);
    save_safetensors(folder / "model.safetensors", reference::original_tensors(family, parts));
    reference::write_tiny_config(folder / "config", family, parts, kTokenizer);
    write_lora(folder / "first", random_lora(parts, 2, 0.5));
    write_lora_kohya(folder / "second.safetensors", random_lora(parts, 3, 1.7));
    const ModelFiles model = ModelFiles::open(folder / "model.safetensors");
    const std::vector<LoraSource> loras = {{folder / "first", -0.8}, {folder / "second.safetensors", 0.25}};
    const PartWeights merged = merged_weights(model, loras);
    CHECK(merged.size() == parts.networks.size() - 1);
    for (const auto& entry : merged) {
      const auto& part = entry.first;
      const auto& weights = entry.second;
      CAPTURE(part);
      const auto network = make_network(part, model.config(part), part);
      model.load(part, *network);
      for (const LoraSource& source : loras) {
        Lora lora = Lora::from_layers(*network, read_lora(source.path, lora_parts(model)).at(part), part);
        lora.set_scale(source.scale);
        lora.merge();
      }
      const auto wanted = state_dict(*network);
      CHECK(wanted.size() == weights.size());
      for (const auto& want : wanted) {
        CAPTURE(want.first);
        CHECK(at::allclose(weights.at(want.first), want.second, 1e-5, 1e-6));
      }
    }
    // the whole way round: merged into a file and into a folder, the same weights
    write_model_file(folder / "out" / "model.safetensors", model, merged);
    write_model_folder(folder / "folder", model, merged);
    for (const auto& written :
         {ModelFiles::open(folder / "out" / "model.safetensors"), ModelFiles::open(folder / "folder")})
      for (const auto& [part, weights] : merged)
        for (const auto& [name, tensor] : written.tensors(part)) CHECK(at::equal(tensor, weights.at(name)));
  }
}

TEST_CASE("merged_weights: sums in float32, rounded once to the model's dtype") {
  const io_test::Folder folder;
  const auto parts = reference::tiny_parts(ModelFamily::kSd1, 20);
  auto tensors = reference::original_tensors(ModelFamily::kSd1, parts);
  for (auto& [name, tensor] : tensors)
    if (tensor.is_floating_point()) tensor = tensor.to(at::kBFloat16);
  save_safetensors(folder / "model.safetensors", tensors);
  reference::write_tiny_config(folder / "config", ModelFamily::kSd1, parts, kTokenizer);
  const std::string path = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q", name = path + ".weight";
  const LowRank small{at::ones({1, 16}) / 64, at::ones({16, 1}) / 64, 1};
  write_lora(folder / "small", {{"unet", {{path, small}}}});
  const ModelFiles model = ModelFiles::open(folder / "model.safetensors");
  // eight changes that rounding each time would lose
  const PartWeights merged = merged_weights(model, std::vector<LoraSource>(8, {folder / "small", 1}));
  const Tensor before = model.tensors("unet").at(name), after = merged.at("unet").at(name);
  CHECK((after.scalar_type() == at::kBFloat16));
  CHECK(at::equal(after, (before.to(at::kFloat) + 8.0 / 64 / 64).to(at::kBFloat16)));
  CHECK((merged.at("unet").at("conv_in.weight").scalar_type() == at::kBFloat16));
  CHECK_FALSE(merged.contains("text_encoder"));
}

TEST_CASE("merged_weights: what cannot be merged is said before anything is computed") {
  const io_test::Folder folder;
  const auto parts = reference::tiny_parts(ModelFamily::kSd1, 20);
  save_safetensors(folder / "model.safetensors", reference::original_tensors(ModelFamily::kSd1, parts));
  reference::write_tiny_config(folder / "config", ModelFamily::kSd1, parts, kTokenizer);
  const ModelFiles model = ModelFiles::open(folder / "model.safetensors");
  CHECK_THROWS_WITH_AS(merged_weights(model, {}), doctest::Contains("at least one LoRA to merge"), Error);
  const std::string path = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q";
  write_lora(folder / "wide", {{"unet", {{path, {at::ones({1, 17}), at::ones({16, 1}), 1}}}}});
  CHECK_THROWS_WITH_AS(merged_weights(model, {{folder / "wide", 1}}),
                       doctest::Contains("expected factors that fit it, got [16, 1] and [1, 17]"), Error);
  CHECK_THROWS_WITH_AS(merged_weights(model, {{folder / "wide", 0}}), doctest::Contains("a scale other than 0"), Error);
  write_lora(folder / "foreign", {{"unet", {{"down_blocks.9.x", {at::ones({1, 2}), at::ones({2, 1}), 1}}}}});
  CHECK_THROWS_WITH_AS(merged_weights(model, {{folder / "foreign", 1}}), doctest::Contains("match no layer"), Error);
}

}  // namespace merged_weights_test
