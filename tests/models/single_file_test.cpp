// Checkpoints in one file: the family by their tensors, configurations beside them or known, weights by our names.
// Their outputs against diffusers are parity cases (single_file).
#include <doctest/doctest.h>
#include <torch/types.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/models/single_file.hpp>

#include <tests/reference/original_file.hpp>
#include <tests/reference/test_folder.hpp>

namespace single_file_test {
namespace {

using namespace reward_tuner;
using Tensors = std::map<std::string, Tensor>;

constexpr ModelFamily kFamilies[] = {ModelFamily::kSd1, ModelFamily::kSd2, ModelFamily::kSdxl};
const std::filesystem::path kTokenizer = std::filesystem::path(REWARD_TUNER_TEST_DATA) / "tokenizer";

/// A file of a family with config/ beside it, changed before it is written.
struct File {
  io_test::Folder folder{};
  reference::TinyParts parts;
  Tensors tensors;

  explicit File(ModelFamily family, bool config = true)
      : parts(reference::tiny_parts(family, 20)), tensors(reference::original_tensors(family, parts)) {
    if (config) reference::write_tiny_config(folder / "config", family, parts, kTokenizer);
  }
  std::filesystem::path path() const { return folder / "model.safetensors"; }
  SingleFile open(std::optional<PredictionType> prediction = std::nullopt,
                  const std::map<std::string, std::string>& metadata = {}) const {
    save_safetensors(path(), tensors, metadata);
    return SingleFile::open(path(), prediction);
  }
};

/// What recognition says of tensors: the family or the error.
std::string verdict(const Tensors& tensors) {
  const io_test::Folder folder;
  save_safetensors(folder / "x.safetensors", tensors);
  try {
    return family_name(recognize_family(SafetensorsFile::open(folder / "x.safetensors")));
  } catch (const Error& error) {
    return error.what();
  }
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The tensors of a family by name alone: recognition reads no more.
Tensors family_tensors(ModelFamily family) {
  static const std::map<ModelFamily, Tensors> all = [] {
    std::map<ModelFamily, Tensors> made;
    for (const ModelFamily f : kFamilies) made[f] = reference::original_tensors(f, reference::tiny_parts(f, 20));
    return made;
  }();
  return all.at(family);
}

const std::string kUnet = "model.diffusion_model.", kKernel = kUnet + "input_blocks.0.0.weight";

}  // namespace

TEST_CASE("single_file: the three families, half precision and training files among them") {
  for (const ModelFamily family : kFamilies) {
    CAPTURE(family_name(family));
    Tensors tensors = family_tensors(family);
    CHECK(verdict(tensors) == family_name(family));
    tensors["model_ema.decay"] = at::rand({1});
    tensors["model_ema.diffusion_modelinput_blocks00weight"] = at::rand({1});
    tensors["global_step"] = at::full({}, 470000, at::kLong);
    CHECK(verdict(tensors) == family_name(family));
    for (auto& [name, tensor] : tensors)
      if (tensor.is_floating_point()) tensor = tensor.to(at::kHalf);
    CHECK(verdict(tensors) == family_name(family));
  }
}

TEST_CASE("single_file: other families and parts are refused by name") {
  const Tensor one = at::zeros({1});
  const auto with = [&](ModelFamily family, const std::string& name, const Tensor& value) {
    Tensors tensors = family_tensors(family);
    tensors[name] = value;
    return verdict(tensors);
  };
  const auto without = [&](ModelFamily family, const std::string& beginning) {
    Tensors tensors = family_tensors(family);
    std::erase_if(tensors, [&](const auto& item) { return item.first.starts_with(beginning); });
    return verdict(tensors);
  };
  CHECK(has(with(ModelFamily::kSd1, kKernel, at::zeros({8, 9, 3, 3})), "inpainting model (9 input channels)"));
  CHECK(has(with(ModelFamily::kSdxl, kKernel, at::zeros({8, 9, 3, 3})), "inpainting model (9 input channels)"));
  CHECK(has(with(ModelFamily::kSd1, kKernel, at::zeros({8, 8, 3, 3})), "an InstructPix2Pix"));
  CHECK(has(with(ModelFamily::kSd2, kKernel, at::zeros({8, 7, 3, 3})), "an upscaler"));
  CHECK(has(with(ModelFamily::kSd2, kKernel, at::zeros({8, 5, 3, 3})), "a depth-to-image model"));
  CHECK(has(with(ModelFamily::kSd1, kKernel, one), "first convolution of the shape [1], expected [O,4,3,3]"));
  CHECK(has(with(ModelFamily::kSd1, "control_model.input_blocks.0.0.weight", one), "a ControlNet"));
  CHECK(has(with(ModelFamily::kSd2, "noise_augmentor.data_mean", one), "an unCLIP"));
  CHECK(has(with(ModelFamily::kSd2, kUnet + "label_emb.0.0.weight", one), "an unCLIP or another"));
  CHECK(has(with(ModelFamily::kSd2, kUnet + "input_blocks.1.1.time_stack.0.weight", one), "Stable Video Diffusion"));
  CHECK(has(with(ModelFamily::kSdxl, "edm_mean", one), "Playground"));
  CHECK(has(with(ModelFamily::kSdxl, "edm_vpred.sigma_max", one), "CosXL"));
  CHECK(has(with(ModelFamily::kSd1, "conditioner.embedders.0.transformer.x", one), "several families"));
  CHECK(has(without(ModelFamily::kSd1, "first_stage_model."), "has no autoencoder"));
  CHECK(has(without(ModelFamily::kSd2, "cond_stage_model."), "has no text encoder"));
  CHECK(has(without(ModelFamily::kSdxl, "conditioner.embedders.1."), "has one text encoder of Stable Diffusion XL"));
  CHECK(has(without(ModelFamily::kSdxl, kUnet + "label_emb."), "without its embedding of sizes"));
  CHECK(has(without(ModelFamily::kSd1, kUnet), "is an autoencoder alone"));

  Tensors refiner = {{kKernel, at::zeros({8, 4, 3, 3})},
                     {"conditioner.embedders.0.model.ln_final.weight", one},
                     {kUnet + "label_emb.0.0.weight", one},
                     {"first_stage_model.decoder.conv_in.weight", one}};
  CHECK(has(verdict(refiner), "is the refiner of Stable Diffusion XL, expected Stable Diffusion 1, 2 or XL"));
  const std::map<std::string, std::string> alone = {
      {"model.diffusion_model.joint_blocks.0.context_block.mlp.fc1.weight", "a Stable Diffusion 3 file"},
      {"joint_blocks.0.x_block.attn.qkv.weight", "a Stable Diffusion 3 file"},
      {"double_blocks.0.img_attn.norm.key_norm.scale", "a Flux or Hunyuan file"},
      {"transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight", "a LoRA, which --lora takes"},
      {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight", "a LoRA, which --lora takes"},
      {"down_blocks.0.resnets.0.conv1.weight", "the UNet of a diffusers folder alone"},
      {"cond_stage_model.transformer.text_model.final_layer_norm.bias", "a text encoder alone"},
      {"text_model.final_layer_norm.bias", "a text encoder alone"},
      {"emb_params", "a textual inversion file"},
      {"weight", "one of another kind, with tensors such as"}};
  for (const auto& entry : alone) {
    CAPTURE(entry.first);
    CHECK(has(verdict({{entry.first, one}}), entry.second));
  }
  CHECK(has(verdict({}), "a file without tensors"));
}

TEST_CASE("single_file: any set of names is a family or a named error") {
  // Whole groups of names are left out, mixed or damaged, with shapes of any number of dimensions.
  std::vector<std::string> pool;
  for (const ModelFamily family : kFamilies)
    for (const auto& [name, tensor] : family_tensors(family)) pool.push_back(name);
  for (const char* name : {"joint_blocks.0.a", "control_model.a", "edm_mean", "x", "model.diffusion_model.", "",
                           "first_stage_model.", "conditioner.embedders.0.model.a", "a.lora_A.weight"})
    pool.emplace_back(name);
  const io_test::Folder folder;
  int families = 0;
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 rng(seed);
    const auto draw = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(rng); };
    Tensors tensors;
    if (draw(2) == 0) tensors = family_tensors(kFamilies[draw(3)]);
    for (std::size_t n = draw(40); n > 0; --n) {
      std::string name = pool[draw(pool.size())];
      if (draw(4) == 0) name = name.substr(0, draw(name.size() + 1));
      std::vector<std::int64_t> shape;
      for (std::size_t d = draw(6); d > 0; --d) shape.push_back(static_cast<std::int64_t>(draw(4)));
      if (!name.empty()) tensors[name] = at::zeros(shape, draw(2) == 0 ? at::kLong : at::kHalf);
    }
    for (std::size_t n = draw(3); n > 0 && !tensors.empty(); --n) {
      const std::string beginning = pool[draw(pool.size())].substr(0, 12 + draw(30));
      std::erase_if(tensors, [&](const auto& item) { return item.first.starts_with(beginning); });
    }
    save_safetensors(folder / "x.safetensors", tensors);
    CAPTURE(seed);
    try {
      recognize_family(SafetensorsFile::open(folder / "x.safetensors"));
      ++families;
    } catch (const Error& error) {
      CHECK(has(error.what(), "[SingleFile] '"));
      CHECK(has(error.what(), "expected"));
    }
  }
  CHECK(families > 3);
  CHECK(families < 280);
}

TEST_CASE("single_file: every weight arrives, in the file's dtype and without a copy") {
  for (const ModelFamily family : kFamilies) {
    CAPTURE(family_name(family));
    File file(family);
    for (auto& [name, tensor] : file.tensors)
      if (tensor.is_floating_point()) tensor = tensor.to(at::kHalf);
    const SingleFile single = file.open();
    for (const auto& entry : file.parts.networks) {
      const auto& part = entry.first;
      const auto& network = entry.second;
      CAPTURE(part);
      CHECK(single.config(part) == file.parts.configs.at(part));
      const WeightsSource source = single.weights(part, *network);
      const auto wanted = state_dict(*network);
      CHECK(source.names().size() == wanted.size());
      for (const auto& want : wanted) {
        CAPTURE(want.first);
        CHECK((source.dtype(want.first) == at::kHalf));
        CHECK(at::equal(source.tensor(want.first), want.second.to(at::kHalf)));
      }
    }
  }
}

TEST_CASE("single_file: what a file lacks or has too much is said by name") {
  File file(ModelFamily::kSd2);
  auto& unet = *file.parts.networks.at("unet");
  auto& text = *file.parts.networks.at("text_encoder");
  file.tensors.erase(kUnet + "out.0.weight");
  file.tensors[kUnet + "extra.weight"] = at::zeros({1});
  file.tensors["cond_stage_model.model.transformer.resblocks.3.ln_1.weight"] = at::zeros({1});
  const SingleFile single = file.open();
  CHECK_THROWS_WITH_AS(
      load_weights(unet, single.weights("unet", unet)),
      doctest::Contains("1 missing: 'conv_norm_out.weight'; 1 unexpected: 'model.diffusion_model.extra.weight'"),
      Error);
  CHECK_THROWS_WITH_AS(load_weights(text, single.weights("text_encoder", text)),
                       doctest::Contains("1 unexpected: 'cond_stage_model.model.transformer.resblocks.3."), Error);
  CHECK_THROWS_WITH_AS(single.weights("text_encoder_2", text), doctest::Contains("which has no part text_encoder_2"),
                       Error);
  file.tensors["cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight"] = at::zeros({47, 16});
  CHECK_THROWS_WITH_AS(file.open().weights("text_encoder", text), doctest::Contains("three layers"), Error);
}

TEST_CASE("single_file: the oldest text encoders lack a word in their names") {
  File file(ModelFamily::kSd1);
  const std::string prefix = "cond_stage_model.transformer.";
  Tensors renamed;
  for (const auto& [name, tensor] : file.tensors)
    renamed[name.starts_with(prefix + "text_model.") ? prefix + name.substr(prefix.size() + 11) : name] = tensor;
  file.tensors = renamed;
  auto& text = *file.parts.networks.at("text_encoder");
  CHECK_NOTHROW(load_weights(text, file.open().weights("text_encoder", text)));
}

TEST_CASE("single_file: without config/ the configuration is the published model's") {
  const File sd1(ModelFamily::kSd1, false), sd2(ModelFamily::kSd2, false), sdxl(ModelFamily::kSdxl, false);
  CHECK(sd1.open().config("unet").at("cross_attention_dim") == 768);
  CHECK(sd1.open().config("text_encoder_2").is_null());
  CHECK(sdxl.open().config("text_encoder_2").at("projection_dim") == 1280);
  CHECK(sdxl.open().config("scheduler").at("prediction_type") == "epsilon");
  CHECK(sdxl.open().where("unet") == "the known configuration of Stable Diffusion XL base 1.0 (unet)");
  auto& unet = *sd1.parts.networks.at("unet");
  CHECK_NOTHROW(load_weights(unet, sd1.open().weights("unet", unet)));
  UNet2DConditionModel other(UNet2DConditionConfig{.block_out_channels = {32, 64, 64, 64}});
  CHECK_THROWS_WITH_AS(load_weights(other, sd1.open().weights("unet", other)),
                       doctest::Contains("(unet by the known configuration of Stable Diffusion 1.5 (unet)) does not"),
                       Error);
}

TEST_CASE("single_file: a Stable Diffusion 2 without config/ must tell what it predicts") {
  File file(ModelFamily::kSd2, false);
  constexpr auto kEpsilon = PredictionType::kEpsilon, kV = PredictionType::kVPrediction;
  CHECK_THROWS_WITH_AS(file.open(),
                       doctest::Contains("expected --prediction epsilon (the base models of 512 pixels) or "
                                         "v_prediction (those of 768), or a folder config/"),
                       Error);
  CHECK(file.open(kEpsilon).config("scheduler").at("prediction_type") == "epsilon");
  CHECK(file.open(kEpsilon).config("unet").at("sample_size") == 64);
  CHECK(file.open(kV).config("scheduler").at("prediction_type") == "v_prediction");
  CHECK(file.open(kV).config("unet").at("sample_size") == 96);
  const std::map<std::string, std::string> v{{"modelspec.prediction_type", "v"}},
      epsilon{{"modelspec.prediction_type", "epsilon"}};
  CHECK(file.open({}, v).config("unet").at("sample_size") == 96);
  CHECK(file.open({}, epsilon).config("unet").at("sample_size") == 64);
  CHECK_THROWS_WITH_AS(file.open(kV, epsilon),
                       doctest::Contains("the file says the network predicts epsilon, expected v_prediction"), Error);
  file.tensors["global_step"] = at::full({}, 875000, at::kLong);
  CHECK(file.open().config("unet").at("sample_size") == 64);
  file.tensors["global_step"] = at::full({}, 140000, at::kLong);
  CHECK_THROWS_AS(file.open(), Error);
  file.tensors["global_step"] = at::zeros({2});
  CHECK_THROWS_AS(file.open(), Error);
}

TEST_CASE("single_file: velocity models of the other families by their mark or by the option") {
  File file(ModelFamily::kSdxl, false);
  CHECK(file.open(PredictionType::kVPrediction).config("scheduler").at("prediction_type") == "v_prediction");
  file.tensors["v_pred"] = at::zeros({0});
  file.tensors["ztsnr"] = at::zeros({0});
  CHECK(file.open().config("scheduler").at("prediction_type") == "v_prediction");
  CHECK(file.open().config("scheduler").at("rescale_betas_zero_snr") == true);
  CHECK_THROWS_AS(file.open(PredictionType::kEpsilon), Error);
}

TEST_CASE("single_file: config/ decides, and the option must agree with it") {
  const File file(ModelFamily::kSd2);
  CHECK(file.open().config("scheduler").at("prediction_type") == "v_prediction");
  CHECK(file.open(PredictionType::kVPrediction).config_folder() == file.folder / "config");
  CHECK_THROWS_WITH_AS(file.open(PredictionType::kEpsilon),
                       doctest::Contains("predicts \"v_prediction\", expected eps"), Error);
  std::filesystem::remove(file.folder / "config" / "unet" / "config.json");
  CHECK_THROWS_WITH_AS(file.open().config("unet"), doctest::Contains("unet/config.json"), Error);
}

TEST_CASE("single_file: what is not read is said") {
  File file(ModelFamily::kSd1, false);
  file.tensors["model_ema.decay"] = at::zeros({1});
  file.tensors["embedding_manager.x"] = at::zeros({1});
  std::filesystem::create_directory(file.folder / "config");
  std::vector<std::string> notes;
  {
    const NoteScope scope([&](const std::string& text) { notes.push_back(text); });
    file.open();
  }
  REQUIRE(notes.size() == 2);
  CHECK(has(notes[0], "config is not read, for it has no model_index.json"));
  CHECK(has(notes[1], "also has tensors beginning with 'embedding_manager', 'model_ema', which are no part"));
  CHECK_THROWS_WITH_AS(SingleFile::open(file.folder / "model.ckpt"), doctest::Contains("expected a .safetensors file"),
                       Error);
}

}  // namespace single_file_test
