// The small BLIP and OWL-ViT of tests/golden (make_reward_model_golden.py), as folders, and the prompts of their
// answers.
#pragma once
#include <torch/types.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <tests/reference/test_folder.hpp>

namespace golden {

namespace fs = std::filesystem;

inline const fs::path kData = REWARD_TUNER_TEST_DATA;

/// One for each image of expected.safetensors.
inline const std::vector<std::string> kPrompts{"a red cat", "A photo of the DOG on a square, with a zebra!", ""};

/// The largest difference in units of the largest number of b.
inline double gap(const torch::Tensor& a, const torch::Tensor& b) {
  return a.sizes() == b.sizes() ? ((a - b).abs().max() / b.abs().max()).item<double>() : 1e9;
}

/// A copy of a model's folder.
struct ModelFolder : io_test::Folder {
  void write(const char* file, const nlohmann::json& json) const { std::ofstream(path / file) << json.dump(); }

 protected:
  void copy(const char* from, std::initializer_list<const char*> files) const {
    for (const char* file : files) fs::copy_file(kData / from / file, path / file);
  }
};

/// BLIP with ImageReward's head; its tokenizer lies in a folder of its own.
struct BlipFolder : ModelFolder {
  BlipFolder() {
    copy("blip", {"config.json", "model.safetensors"});
    fs::copy(kData / "word_piece", path / "tokenizer");
  }
};

/// OWL-ViT with CLIP's small tokenizer, whose pad is "!" here.
struct OwlVitFolder : ModelFolder {
  OwlVitFolder() {
    copy("owl_vit", {"config.json", "model.safetensors", "preprocessor_config.json"});
    copy("tokenizer", {"vocab.json", "merges.txt"});
    write("tokenizer_config.json", {{"pad_token", "!"}});
  }
};

}  // namespace golden
