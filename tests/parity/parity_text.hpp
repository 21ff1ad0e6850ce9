// Answers for the "text" and "tokenizer" parity cases, by name, as the probe protocol wants them.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/text/clip_tokenizer.hpp>
#include <reward_tuner/text/word_piece.hpp>

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
  const auto texts = settings.at("texts").get<std::vector<std::string>>();
  const auto length = settings.at("max_length").get<std::int64_t>();
  if (kind == "BertTokenizer") {
    WordPieceFiles files = WordPieceFiles::read(case_dir / "tokenizer");
    if (const auto added = settings.value("added_tokens", nlohmann::json::object()); !added.empty()) {
      files.options.added.push_back({.text = added.at("bos_token").get<std::string>()});
      for (const auto& text : added.at("additional_special_tokens"))
        files.options.added.push_back({.text = text.get<std::string>()});
    }
    const WordPieceRows rows = WordPieceTokenizer(std::move(files))(texts, length);
    return {{"input_ids", rows.ids}, {"attention_mask", rows.mask}};
  }
  REWARD_TUNER_CHECK(kind == "CLIPTokenizer", "unsupported tokenizer ", kind);
  return {{"input_ids", ClipTokenizer::load(case_dir / "tokenizer")(texts, length)}};
}

}  // namespace reward_tuner::parity
