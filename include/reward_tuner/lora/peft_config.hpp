// The settings that peft keeps beside an adapter's factors: what they make of alpha, and which are no plain LoRA.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace reward_tuner {

/// A LoraConfig of peft, from adapter_config.json or from the lora_adapter_metadata of a file's header.
class PeftConfig {
 public:
  /// `text` is the JSON object; `where` names it in errors. With `part`, the settings are those whose keys begin with
  /// "<part>." (diffusers); an object without such keys is no configuration: see `given`.
  /// Errors: settings under which the factors mean something else than a LoRA (DoRA, biases, base weights that the
  /// method changes, ...), by name; settings that are not known and not empty; values of a wrong type.
  static PeftConfig parse(const std::string& text, const std::string& where, const std::string& part = "");

  /// Whether the text holds settings for the part.
  bool given() const { return given_; }

  /// alpha / rank, or alpha / sqrt(rank) with use_rslora. Alpha is the value of the first key of alpha_pattern, in the
  /// file's order, for which the regular expression (.*\.)?(KEY)$ matches the layer's whole path, else lora_alpha.
  double scale(const std::string& path, std::int64_t rank) const;

 private:
  void read(const nlohmann::ordered_json& settings);

  std::string where_;
  bool given_ = false, rank_stabilized_ = false;
  double alpha_ = 0;
  std::vector<std::pair<std::string, double>> patterns_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/lora/peft_config.ipp>
#endif
