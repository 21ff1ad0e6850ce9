// What this library computes for the UNet and autoencoder cases of the parity protocol: outputs and gradients by name.
#pragma once
#include <torch/autograd.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>

namespace reward_tuner::parity {

/// The case's inputs, numbers in `dtype`.
inline std::map<std::string, Tensor> read_inputs(const std::filesystem::path& case_dir, at::ScalarType dtype) {
  const auto file = SafetensorsFile::open(case_dir / "inputs.safetensors");
  std::map<std::string, Tensor> inputs;
  for (const auto& name : file.names()) {
    const Tensor value = file.tensor(name);
    inputs[name] = value.is_floating_point() ? value.to(dtype).clone() : value.clone();
  }
  return inputs;
}

/// A network of the case's configuration with the case's weights, frozen.
template <class Model, class Config>
std::shared_ptr<Model> load_case_model(const std::filesystem::path& case_dir, at::ScalarType dtype) {
  auto model = std::make_shared<Model>(
      Config::from_json(read_json(case_dir / "config.json"), (case_dir / "config.json").string()));
  load_weights(*model, SafetensorsFile::open(case_dir / "weights.safetensors"));
  model->to(dtype);
  for (auto& parameter : model->parameters()) parameter.requires_grad_(false);
  return model;
}

/// Forward pass on the case's inputs.
inline Tensor call_unet(const UNet2DConditionModel& unet, const std::map<std::string, Tensor>& inputs) {
  AddedCondition added;
  if (inputs.count("text_embeds")) added = {.text_embeds = inputs.at("text_embeds"), .time_ids = inputs.at("time_ids")};
  return unet.forward(inputs.at("sample"), inputs.at("timestep"), inputs.at("encoder_hidden_states"), added);
}

inline std::map<std::string, Tensor> probe_unet(const std::filesystem::path& case_dir,
                                                at::ScalarType dtype = at::kFloat) {
  const auto unet = load_case_model<UNet2DConditionModel, UNet2DConditionConfig>(case_dir, dtype);
  auto inputs = read_inputs(case_dir, dtype);
  inputs["sample"].requires_grad_();
  inputs["encoder_hidden_states"].requires_grad_();
  const Tensor out = call_unet(*unet, inputs);
  const auto grads =
      torch::autograd::grad({out}, {inputs["sample"], inputs["encoder_hidden_states"]}, {inputs["cotangent"]});
  return {{"sample", out.detach()}, {"grad.sample", grads[0]}, {"grad.encoder_hidden_states", grads[1]}};
}

inline std::map<std::string, Tensor> probe_vae(const std::filesystem::path& case_dir,
                                               at::ScalarType dtype = at::kFloat) {
  const auto vae = load_case_model<AutoencoderKL, AutoencoderKLConfig>(case_dir, dtype);
  auto inputs = read_inputs(case_dir, dtype);
  const Tensor moments = vae->encode_moments(inputs["image"]);
  const Tensor latent = inputs["latent"].requires_grad_();
  const Tensor image = vae->decode(latent);
  const auto grads = torch::autograd::grad({image}, {latent}, {inputs["cotangent"]});
  return {{"moments", moments},
          {"mean", AutoencoderKL::latent_mean(moments)},
          {"std", AutoencoderKL::latent_std(moments)},
          {"image", image.detach()},
          {"grad.latent", grads[0]}};
}

}  // namespace reward_tuner::parity
