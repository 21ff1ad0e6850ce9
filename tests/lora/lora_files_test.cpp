// Which file a path means, what is read from it, and which adapters are refused by their names.
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/lora/lora_files.hpp>

using namespace reward_tuner;

namespace lora_files_test {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / ("reward_tuner_lora_files_" + std::to_string(::getpid()));
  Folder() {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
};

void touch(const fs::path& file) { std::ofstream(file) << "x"; }

const std::string kQuery = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q";
const std::string kKey = "mid_block.attentions.0.transformer_blocks.0.attn1.to_k";
const std::string kText = "text_model.encoder.layers.0.self_attn.q_proj";
const LoraParts kParts = {{"unet", {kKey, kQuery}}, {"text_encoder", {kText}}};

std::map<std::string, Tensor> factors(const std::string& stem, std::int64_t rank = 2) {
  return {{stem + ".lora_A.weight", at::randn({rank, 6})}, {stem + ".lora_B.weight", at::randn({6, rank})}};
}

std::map<std::string, Tensor> operator+(std::map<std::string, Tensor> a, const std::map<std::string, Tensor>& b) {
  a.insert(b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("lora_files: the file that a folder means") {
  const Folder folder;
  const auto fails = [&](const fs::path& path, const char* message) {
    CHECK_THROWS_WITH_AS(find_lora_file(path), doctest::Contains(message), Error);
  };
  fails(folder.path / "nowhere", "got nothing at");
  fails(folder.path, "must hold one .safetensors file, or one called pytorch_lora_weights.safetensors, got 0");
  touch(folder.path / "optimizer.bin");
  touch(folder.path / "README.md");
  fails(folder.path, "got 0");
  touch(folder.path / "pytorch_lora_weights.bin");
  fails(folder.path, "pytorch_lora_weights.bin' is a pickle file, which is not read");
  fails(folder.path, "save_file(torch.load('pytorch_lora_weights.bin'");
  for (const char* name : {"a.bin", "a.pt", "a.pth", "a.ckpt"}) {
    touch(folder.path / name);
    fails(folder.path / name, "'a.safetensors')");
  }
  touch(folder.path / "my style.safetensors");
  CHECK(find_lora_file(folder.path) == folder.path / "my style.safetensors");
  CHECK(find_lora_file(folder.path / "my style.safetensors") == folder.path / "my style.safetensors");
  touch(folder.path / "scheduler.safetensors");
  CHECK(find_lora_file(folder.path) == folder.path / "my style.safetensors");
  touch(folder.path / "other.safetensors");
  fails(folder.path, "got 2; 2 files: 'my style.safetensors', 'other.safetensors'");
  touch(folder.path / "adapter_model.safetensors");
  CHECK(find_lora_file(folder.path) == folder.path / "adapter_model.safetensors");
  touch(folder.path / kLoraFileName);
  CHECK(find_lora_file(folder.path) == folder.path / kLoraFileName);
  touch(folder.path / "no ending");
  CHECK(find_lora_file(folder.path / "no ending") == folder.path / "no ending");
}

TEST_CASE("lora_files: the parts of one file, and a file of one part") {
  const Folder folder;
  const auto file = folder.path / "x.safetensors";
  save_safetensors(file, factors("unet." + kQuery) + factors("text_encoder." + kText, 3));
  auto parts = read_lora(file, kParts);
  CHECK(parts.size() == 2);
  CHECK(parts.at("unet").at(kQuery).down.size(0) == 2);
  CHECK(parts.at("text_encoder").at(kText).down.size(0) == 3);
  save_safetensors(file, factors("text_encoder." + kText));
  CHECK(read_lora(file, kParts).size() == 1);
  CHECK_THROWS_WITH_AS(read_lora(file, {{"unet", {kQuery}}}),
                       doctest::Contains("names like those of the part text_encoder, which was not given"), Error);
  save_safetensors(file, factors("transformer.x"));
  CHECK_THROWS_WITH_AS(read_lora(file, kParts),
                       doctest::Contains("does not fit the 3 adaptable layers of text_encoder, unet"), Error);
  CHECK_THROWS_WITH_AS(read_lora(file, kParts), doctest::Contains("the part transformer"), Error);
}

TEST_CASE("lora_files: peft's settings beside the file or in its header decide alpha, the layer's own alpha first") {
  const Folder folder;
  const auto scale = [&](const std::string& layer) {
    return read_lora(folder.path, kParts).at("unet").at(layer).scale;
  };
  const auto both = factors("base_model.model." + kQuery, 4) + factors("base_model.model." + kKey);
  save_safetensors(folder.path / "adapter_model.safetensors", both);
  CHECK(scale(kQuery) == 1);
  std::ofstream(folder.path / "adapter_config.json")
      << R"({"peft_type": "LORA", "r": 4, "lora_alpha": 16, "alpha_pattern": {"mid_block.*to_k": 6}})";
  CHECK(scale(kQuery) == 4);
  CHECK(scale(kKey) == 3);
  save_safetensors(folder.path / "adapter_model.safetensors",
                   both + std::map<std::string, Tensor>{{"base_model.model." + kQuery + ".alpha", at::full({}, 2.0)}});
  CHECK(scale(kQuery) == 0.5);
  std::ofstream(folder.path / "adapter_config.json") << R"({"peft_type": "LOHA", "r": 4})";
  CHECK_THROWS_WITH_AS(scale(kQuery), doctest::Contains("adapter_config.json' is that of another adapter"), Error);
  // diffusers' file does not belong to the configuration beside it
  save_safetensors(folder.path / kLoraFileName, factors("unet." + kQuery),
                   {{"lora_adapter_metadata", R"({"unet.lora_alpha": 3, "text_encoder.lora_alpha": 8})"}});
  CHECK(scale(kQuery) == 1.5);
}

TEST_CASE("lora_files: other adapters are refused by their names") {
  const Folder folder;
  const auto file = folder.path / "x.safetensors";
  const std::map<std::string, std::string> kinds = {
      {"unet.x.lora_magnitude_vector", "is a DoRA"},
      {"base_model.model.x.lora_magnitude_vector.default.weight", "is a DoRA"},
      {"lora_unet_x.dora_scale", "is a DoRA"},
      {"lora_unet_x.hada_w1_a", "is a LoHa"},
      {"lora_unet_x.hada_t1", "is a LoHa"},
      {"lora_unet_x.lokr_w1", "is a LoKr"},
      {"lora_unet_x.lokr_w2_a", "is a LoKr"},
      {"lora_unet_x.lora_mid.weight", "is a LoCon with a Tucker core"},
      {"lora_unet_x.oft_blocks", "is an OFT"},
      {"base_model.model.x.oft_R.weight", "is an OFT"},
      {"base_model.model.x.boft_R", "is a BOFT"},
      {"base_model.model.x.lora_E", "is an AdaLoRA"},
      {"base_model.model.x.ia3_l", "is an IA3"},
      {"lora_unet_x.on_input", "is an IA3"},
      {"base_model.model.x.vera_lambda_b", "is a VeRA"},
      {"lora_unet_x.a1.weight", "is a GLoRA"},
      {"lora_unet_x.scalar", "learned scalars"},
      {"lora_unet_x.diff", "whole weight differences"},
      {"lora_unet_x.diff_b", "whole weight differences"},
      {"lora_unet_x.w_norm", "norm layers"},
      {"base_model.model.x.lora_embedding_A", "LoRA on embeddings"},
      {"bundle_emb.star.string_to_param.*", "bundled embeddings"},
      {"base_model.model.conv_in.modules_to_save.weight", "whole layers beside it"},
      {"unet.x.lora_B.bias", "is a LoRA with biases"},
      {"base_model.model.x.base_layer.bias", "is a LoRA with biases"}};
  for (const auto& kind : kinds) {
    const auto& name = kind.first;
    const auto& message = kind.second;
    CAPTURE(name);
    save_safetensors(file, factors("unet." + kQuery) + std::map<std::string, Tensor>{{name, at::rand({2})}});
    CHECK_THROWS_WITH_AS(read_lora(file, kParts), doctest::Contains(message.c_str()), Error);
  }
}

TEST_CASE("lora_files: what was written is read again, part by part") {
  const Folder folder;
  std::map<std::string, LoraLayers> parts;
  parts["unet"][kQuery] = {at::randn({2, 6}), at::randn({6, 2}), 0.5};
  parts["unet"][kKey] = {at::randn({5, 6}), at::randn({6, 5}), 1};
  parts["text_encoder"][kText] = {at::randn({3, 6}), at::randn({6, 3}), 2};
  write_lora(folder.path / "lora", parts);
  const auto again = read_lora(folder.path / "lora", kParts);
  CHECK(again.size() == 2);
  for (const auto& [part, layers] : parts)
    for (const auto& [path, layer] : layers) CHECK(again.at(part).at(path).delta().equal(layer.delta()));
  // alpha in the header: the factors keep their bits and their dtype, whatever the scale
  parts["unet"][kKey] = {at::randn({5, 6}).to(at::kHalf), at::randn({6, 5}).to(at::kBFloat16), 0.3};
  parts["text_encoder"][kText].scale = -1.0 / 3;
  write_lora(folder.path / "stated", parts, {}, LoraAlpha::kStated);
  const auto header = SafetensorsFile::open(folder.path / "stated" / kLoraFileName).metadata();
  const auto settings = nlohmann::json::parse(header.at("lora_adapter_metadata"));
  // transformers 5 calls its modules so, and 4 has a word before it
  CHECK(settings.at("text_encoder.target_modules").at(0) == kText.substr(kText.find("encoder.")));
  const auto stated = read_lora(folder.path / "stated", kParts);
  for (const auto& [part, layers] : parts)
    for (const auto& [path, layer] : layers) {
      CHECK(stated.at(part).at(path).down.equal(layer.down));
      CHECK(stated.at(part).at(path).up.equal(layer.up));
      CHECK((stated.at(part).at(path).up.scalar_type() == layer.up.scalar_type()));
      CHECK(stated.at(part).at(path).scale == doctest::Approx(layer.scale).epsilon(1e-15));
    }
  parts["text_encoder"][kText].scale = 2;
  CHECK_THROWS_WITH_AS(write_lora(folder.path, {}), doctest::Contains("at least one layer to save, got none"), Error);
  CHECK_THROWS_WITH_AS(write_lora_kohya(folder.path / "k.safetensors", {}), doctest::Contains("got none"), Error);
  write_lora_kohya(folder.path / "k.safetensors", {{"text_encoder", parts["text_encoder"]}});
  CHECK(read_lora(folder.path / "k.safetensors", kParts).at("text_encoder").at(kText).scale == 2);
}

}  // namespace lora_files_test
