// Writes a diffusers folder with random weights in a published configuration, with CLIP's vocabulary: for time and
// memory, not for images. Needs nothing beside this library, so that a machine without Python packages has a model.
#include <filesystem>
#include <iostream>
#include <map>
#include <string>

#include <CLI/CLI.hpp>

#include <benchmarks/guarded.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/files/weights_folder.hpp>
#include <reward_tuner/layers/new_weights.hpp>
#include <reward_tuner/models/initialize.hpp>
#include <reward_tuner/models/known_configurations.hpp>
#include <reward_tuner/models/pipeline_networks.hpp>
#include <reward_tuner/tensor/rng.hpp>
#include <reward_tuner/text/clip_vocabulary.hpp>

namespace {

namespace rt = reward_tuner;

void write(const std::filesystem::path& folder, rt::KnownModel model, at::ScalarType dtype) {
  rt::Rng rng(0);
  const nlohmann::json index = rt::known_configuration(model, "model_index");
  for (const char* part : {"unet", "vae", "text_encoder", "text_encoder_2"}) {
    const nlohmann::json config = rt::known_configuration(model, part);
    if (config.is_null()) continue;
    const bool text = std::string(part).starts_with("text_encoder");
    std::filesystem::create_directories(folder / part);
    rt::write_json(folder / part / "config.json", config);
    const rt::NewWeightsScope scope(at::TensorOptions().dtype(dtype));
    const auto network = rt::make_network(part, config, part);
    rt::initialize(*network, rng);
    rt::save_safetensors(folder / part / (text ? "model.safetensors" : "diffusion_pytorch_model.safetensors"),
                         rt::state_dict(*network));
    const std::string tokenizer = std::string("tokenizer") + (std::string(part).ends_with("_2") ? "_2" : "");
    if (text)
      rt::write_tokenizer(folder / tokenizer, rt::clip_vocabulary(tokenizer.ends_with("_2") ? "!" : "<|endoftext|>"));
  }
  std::filesystem::create_directories(folder / "scheduler");
  rt::write_json(folder / "scheduler" / "scheduler_config.json", rt::known_configuration(model, "scheduler"));
  rt::write_json(folder / "model_index.json", index);  // last: a folder that has it is whole
}

int run(int argc, char** argv) {
  CLI::App app("Writes a diffusers folder with random weights in a published configuration.", "random_model");
  std::string name, dtype = "bfloat16";
  std::filesystem::path folder;
  const std::map<std::string, rt::KnownModel> models = {
      {"sd15", rt::KnownModel::kSd15}, {"sd21", rt::KnownModel::kSd21}, {"sdxl", rt::KnownModel::kSdxlBase}};
  const std::map<std::string, at::ScalarType> types = {
      {"float32", at::kFloat}, {"bfloat16", at::kBFloat16}, {"float16", at::kHalf}};
  app.add_option("model", name, "sd15, sd21 or sdxl")->required()->check(CLI::IsMember({"sd15", "sd21", "sdxl"}));
  app.add_option("folder", folder, "to be written")->required();
  app.add_option("--dtype", dtype, "of the weights")
      ->check(CLI::IsMember({"float32", "bfloat16", "float16"}))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  write(folder, models.at(name), types.at(dtype));
  std::cout << "wrote " << rt::known_model_name(models.at(name)) << " with random weights to " << folder << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(run, argc, argv); }
