// What this library computes for checkpoints in the original layout: a UNet call, the text states, a decoded latent.
#pragma once
#include <ATen/ops/cat.h>
#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/models/stable_diffusion.hpp>

#include <tests/parity/parity_unet_vae.hpp>

namespace reward_tuner::parity {

inline std::map<std::string, Tensor> probe_single_file(const std::filesystem::path& case_dir) {
  const torch::NoGradGuard no_grad;
  auto pipeline = StableDiffusion::load(case_dir / "weights.safetensors");
  const auto inputs = read_inputs(case_dir, at::kFloat);
  std::map<std::string, Tensor> answer{{"sample", call_unet(pipeline.unet(), inputs)},
                                       {"image", pipeline.vae().decode(inputs.at("latent"))}};
  // the last state of one encoder; of two, the last but one of both side by side
  const auto encoders = pipeline.text_encoders();
  std::vector<Tensor> states;
  for (const auto& [name, encoder] : encoders) {
    const auto out = encoder->forward(inputs.at(states.empty() ? "input_ids" : "input_ids_2"));
    states.push_back(encoders.size() == 2 ? out.hidden_states.at(out.hidden_states.size() - 2) : out.last_hidden_state);
    if (states.size() == 2) answer["pooled_prompt_embeds"] = out.text_embeds;
  }
  answer["prompt_embeds"] = at::cat(states, -1);
  return answer;
}

}  // namespace reward_tuner::parity
