// Answers for the "text" and "tokenizer" parity cases, by name, as the probe protocol wants them.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/clip_tokenizer.hpp>

namespace reward_tuner::parity {

inline std::map<std::string, torch::Tensor> probe_text(const std::filesystem::path& case_dir) {
  const nlohmann::json config = read_json(case_dir / "config.json");
  const bool with_projection = config.at("architectures").at(0) == "CLIPTextModelWithProjection";
  ClipTextModel model(ClipTextConfig::from_json(config, (case_dir / "config.json").string()), with_projection);
  LoadOptions options;
  options.rename = clip_text_key;
  load_weights(model, SafetensorsFile::open(case_dir / "weights.safetensors"), options);
  const torch::NoGradGuard no_grad;
  const ClipTextOutput out = model.forward(SafetensorsFile::open(case_dir / "inputs.safetensors").tensor("input_ids"));
  std::map<std::string, torch::Tensor> answers{{"last_hidden_state", out.last_hidden_state}};
  for (std::size_t k = 0; k + 1 < out.hidden_states.size(); ++k)
    answers["hidden_states." + std::to_string(k)] = out.hidden_states[k];
  if (with_projection) answers["text_embeds"] = out.text_embeds;
  else answers["pooler_output"] = out.pooler_output;
  return answers;
}

inline std::map<std::string, torch::Tensor> probe_tokenizer(const std::filesystem::path& case_dir) {
  const nlohmann::json settings = read_json(case_dir / "case.json");
  const auto kind = ConfigReader::from_file(case_dir / "config.json").required<std::string>("tokenizer_class");
  REWARD_TUNER_CHECK(kind == "CLIPTokenizer", "unsupported tokenizer ", kind);
  const auto tokenizer = ClipTokenizer::load(case_dir / "tokenizer");
  return {{"input_ids", tokenizer(settings.at("texts").get<std::vector<std::string>>(),
                                  settings.at("max_length").get<std::int64_t>())}};
}

}  // namespace reward_tuner::parity
