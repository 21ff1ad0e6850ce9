// What this library computes for the LoRA cases of the parity protocol: outputs at three strengths and the adapter's
// gradients.
#pragma once
#include <torch/autograd.h>
#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>

#include <reward_tuner/lora/lora.hpp>

#include <tests/parity/parity_unet_vae.hpp>

namespace reward_tuner::parity {

inline std::map<std::string, Tensor> probe_lora(const std::filesystem::path& case_dir,
                                                at::ScalarType dtype = at::kFloat) {
  const auto unet = load_case_model<UNet2DConditionModel, UNet2DConditionConfig>(case_dir, dtype);
  auto inputs = read_inputs(case_dir, dtype);
  std::map<std::string, Tensor> answer;
  {
    const torch::NoGradGuard no_grad;
    answer["base"] = call_unet(*unet, inputs);
  }
  Lora lora = Lora::load(*unet, case_dir);
  const Tensor out = call_unet(*unet, inputs);
  const auto grads = torch::autograd::grad({out}, lora.parameters(), {inputs["cotangent"]});
  answer["scale_1"] = out.detach();
  const auto named = lora.named_parameters();
  for (std::size_t i = 0; i < named.size(); ++i) answer["grad." + named[i].first] = grads[i];
  const torch::NoGradGuard no_grad;
  lora.set_scale(0.5);
  answer["scale_half"] = call_unet(*unet, inputs);
  return answer;
}

}  // namespace reward_tuner::parity
