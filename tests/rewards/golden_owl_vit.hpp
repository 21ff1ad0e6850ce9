// The small OWL-ViT of tests/golden, for the tests of the rewards that ask it.
#pragma once
#include <torch/types.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include <reward_tuner/models/owl_vit.hpp>

#include <tests/reference/test_folder.hpp>

namespace reward_checks {

inline std::filesystem::path golden_owl_vit_folder() {
  return std::filesystem::path(REWARD_TUNER_TEST_DATA) / "owl_vit";
}

/// With CLIP's small tokenizer, whose pad is "!" here.
inline std::shared_ptr<const reward_tuner::OwlVitModel> golden_owl_vit(at::ScalarType type = at::kFloat) {
  namespace fs = std::filesystem;
  const io_test::Folder folder;
  for (const char* file : {"config.json", "model.safetensors", "preprocessor_config.json"})
    fs::copy_file(golden_owl_vit_folder() / file, folder / file);
  for (const char* file : {"vocab.json", "merges.txt"})
    fs::copy_file(golden_owl_vit_folder() / ".." / "tokenizer" / file, folder / file);
  std::ofstream(folder / "tokenizer_config.json") << R"({"pad_token": "!"})";
  auto owl = reward_tuner::OwlVitModel::load(folder.path);
  owl->to(type);
  return owl;
}

}  // namespace reward_checks
