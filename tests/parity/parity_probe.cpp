// Answers one parity case: parity_probe CASE_DIR OUT.safetensors reads the case's files and writes what this library
// computes. Exit codes: 0 written, 1 an error, 2 wrong arguments, 3 a component or variant that this library does not
// have.
#include <ATen/Parallel.h>
#include <torch/types.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>

#include <tests/parity/parity_folder.hpp>
#include <tests/parity/parity_lora.hpp>
#include <tests/parity/parity_lora_file.hpp>
#include <tests/parity/parity_reward.hpp>
#include <tests/parity/parity_scheduler.hpp>
#include <tests/parity/parity_single_file.hpp>
#include <tests/parity/parity_text.hpp>
#include <tests/parity/parity_unet_vae.hpp>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: parity_probe CASE_DIR OUT.safetensors\n");
    return 2;
  }
  at::set_num_threads(1);
  namespace parity = reward_tuner::parity;
  using Answer = std::map<std::string, torch::Tensor>;
  const std::map<std::string, std::function<Answer(const std::filesystem::path&)>> probes = {
      {"unet", [](const auto& folder) { return parity::probe_unet(folder); }},
      {"vae", [](const auto& folder) { return parity::probe_vae(folder); }},
      {"text", [](const auto& folder) { return parity::probe_text(folder); }},
      {"tokenizer", [](const auto& folder) { return parity::probe_tokenizer(folder); }},
      {"scheduler", [](const auto& folder) { return parity::probe_scheduler(folder); }},
      {"lora", [](const auto& folder) { return parity::probe_lora(folder); }},
      {"lora_file", [](const auto& folder) { return parity::probe_lora_file(folder); }},
      {"single_file", [](const auto& folder) { return parity::probe_single_file(folder); }},
      {"reward", [](const auto& folder) { return parity::probe_reward(folder); }},
      {"folder", [](const auto& folder) { return parity::probe_folder(folder); }},
  };
  try {
    const std::filesystem::path folder = argv[1];
    reward_tuner::ConfigReader reader = reward_tuner::ConfigReader::from_file(folder / "case.json");
    const auto component = reader.required<std::string>("component");
    const auto probe = probes.find(component);
    if (probe == probes.end()) {
      std::fprintf(stderr, "no probe for component '%s'\n", component.c_str());
      return 3;
    }
    reward_tuner::save_safetensors(argv[2], probe->second(folder));
    return 0;
  } catch (const std::exception& error) {
    const std::string message = error.what();
    std::fprintf(stderr, "%s\n", message.c_str());
    return message.find("unsupported") != std::string::npos ? 3 : 1;
  }
}
