// What this library computes for the LoRA files of other programs: a UNet call and the text states without the LoRA,
// with it, and with half of it.
#pragma once
#include <ATen/ops/cat.h>
#include <torch/types.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/clip_text.hpp>

#include <tests/parity/parity_unet_vae.hpp>

namespace reward_tuner::parity {

inline std::map<std::string, Tensor> probe_lora_file(const std::filesystem::path& case_dir) {
  const torch::NoGradGuard no_grad;
  const auto unet = load_case_model<UNet2DConditionModel, UNet2DConditionConfig>(case_dir, at::kFloat);
  std::map<std::string, std::shared_ptr<torch::nn::Module>> networks = {{"unet", unet}};
  std::vector<std::shared_ptr<ClipTextModel>> texts;
  for (const char* name : {"text_encoder", "text_encoder_2"}) {
    const auto folder = case_dir / name;
    if (!std::filesystem::exists(folder)) continue;
    texts.push_back(std::make_shared<ClipTextModel>(ClipTextConfig::load(folder / "config.json"),
                                                    /*with_projection=*/!texts.empty()));
    load_weights(*texts.back(), SafetensorsFile::open(folder / "model.safetensors"), {.rename = clip_text_key});
    networks[name] = texts.back();
  }
  const auto inputs = read_inputs(case_dir, at::kFloat);

  std::map<std::string, Tensor> answer;
  const auto call = [&](const std::string& name) {
    answer[name + ".sample"] = call_unet(*unet, inputs);
    // the last state of one encoder; of two, the last but one of both side by side
    std::vector<Tensor> states;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto out = texts[i]->forward(inputs.at(i == 0 ? "input_ids" : "input_ids_2"));
      states.push_back(texts.size() == 1 ? out.last_hidden_state : out.hidden_states.at(out.hidden_states.size() - 2));
      if (i == 1) answer[name + ".pooled_prompt_embeds"] = out.text_embeds;
    }
    answer[name + ".prompt_embeds"] = at::cat(states, -1);
  };
  call("base");
  LoraParts parts;
  for (const auto& [part, network] : networks) parts[part] = Lora::layer_paths(*network);
  const auto lora = read_json(case_dir / "case.json").at("lora").get<std::string>();
  std::vector<Lora> adapters;
  for (const auto& [part, layers] : read_lora(case_dir / lora, parts))
    adapters.push_back(Lora::from_layers(*networks.at(part), layers, part));
  call("scale_1");
  for (Lora& adapter : adapters) adapter.set_scale(0.5);
  call("scale_half");
  return answer;
}

}  // namespace reward_tuner::parity
