// What this library computes for checkpoints in the original layout: a UNet call, the text states, a decoded latent.
#pragma once
#include <ATen/ops/cat.h>
#include <torch/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/single_file.hpp>

#include <tests/parity/parity_unet_vae.hpp>

namespace reward_tuner::parity {

inline std::map<std::string, Tensor> probe_single_file(const std::filesystem::path& case_dir) {
  const torch::NoGradGuard no_grad;
  const SingleFile single = SingleFile::open(case_dir / "weights.safetensors");
  UNet2DConditionModel unet(UNet2DConditionConfig::from_json(single.config("unet"), single.where("unet")));
  load_weights(unet, single.weights("unet", unet));
  AutoencoderKL vae(AutoencoderKLConfig::from_json(single.config("vae"), single.where("vae")));
  load_weights(vae, single.weights("vae", vae));
  const auto inputs = read_inputs(case_dir, at::kFloat);
  std::map<std::string, Tensor> answer{{"sample", call_unet(unet, inputs)}, {"image", vae.decode(inputs.at("latent"))}};
  // the last state of one encoder; of two, the last but one of both side by side
  const bool two = single.family() == ModelFamily::kSdxl;
  std::vector<Tensor> states;
  for (const std::string end : {"", "_2"}) {
    if (!two && !end.empty()) break;
    const std::string part = "text_encoder" + end;
    ClipTextModel text(ClipTextConfig::from_json(single.config(part), single.where(part)),
                       /*with_projection=*/!end.empty());
    load_weights(text, single.weights(part, text));
    const auto out = text.forward(inputs.at("input_ids" + end));
    states.push_back(two ? out.hidden_states.at(out.hidden_states.size() - 2) : out.last_hidden_state);
    if (!end.empty()) answer["pooled_prompt_embeds"] = out.text_embeds;
  }
  answer["prompt_embeds"] = at::cat(states, -1);
  return answer;
}

}  // namespace reward_tuner::parity
