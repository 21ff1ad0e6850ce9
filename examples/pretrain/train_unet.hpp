// Trains the denoising network and its text encoder together on the autoencoder's latents.
#pragma once
#include <ATen/ops/arange.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <examples/pretrain/shape_images.hpp>
#include <examples/pretrain/tiny_models.hpp>
#include <examples/pretrain/training_run.hpp>
#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/initialize.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>
#include <reward_tuner/text/clip_tokenizer.hpp>

namespace reward_tuner::pretrain {

/// The denoiser and its text encoder.
struct Denoiser {
  std::shared_ptr<UNet2DConditionModel> unet;
  std::shared_ptr<ClipTextModel> text;
};

/// Random weights. The last convolution of each residual branch and of the network start at zero, which makes the first
/// thousand steps useful.
inline Denoiser make_denoiser(const ClipTokenizer& tokenizer, Rng rng) {
  Denoiser made{std::make_shared<UNet2DConditionModel>(tiny_unet_config()),
                std::make_shared<ClipTextModel>(tiny_text_config(tokenizer))};
  initialize(*made.unet, rng);
  initialize(*made.text, rng);
  const torch::NoGradGuard no_grad;
  for (auto& [name, weight] : state_dict(*made.unet))
    if (name.find(".conv2.") != std::string::npos || name.starts_with("conv_out.")) weight.zero_();
  for (auto& [name, weight] : state_dict(*made.text))
    if (name.find("_embedding.") != std::string::npos) weight.mul_(0.2);  // small enough for the optimizer to reshape
  return made;
}

/// The loss of noise prediction (Ho et al. 2020, Eq. 14), one batch. latents [N,4,h,w] belong to `scenes`. Timesteps
/// are stratified: one in each of `batch` equal parts of the schedule. A tenth of the captions is empty, for
/// classifier-free guidance.
inline Tensor denoising_loss(const Denoiser& denoiser, const ClipTokenizer& tokenizer, const Tensor& latents,
                             const std::vector<Scene>& scenes, const Tensor& abar, std::int64_t batch, Rng& rng) {
  const Tensor rows = random_rows(rng, latents.size(0), batch);  // [B]
  std::vector<std::string> captions;
  for (std::int64_t i = 0; i < batch; ++i) {
    const Scene& scene = scenes[static_cast<std::size_t>(rows[i].item<std::int64_t>())];
    const std::string text = caption_text(describe(scene, rng), rng);
    captions.push_back(rng.uniform() < 0.1 ? "" : text);
  }
  const Tensor text = denoiser.text->forward(tokenizer(captions, kPromptTokens)).last_hidden_state;  // [B,L,D]
  const auto steps = static_cast<double>(abar.size(0));
  // [B]
  const Tensor times =
      ((at::arange(batch) + rng.uniform({batch})) * (steps / static_cast<double>(batch))).to(at::kLong);
  const Tensor level = abar.index_select(0, times).view({-1, 1, 1, 1});    // [B,1,1,1]
  const Tensor clean = latents.index_select(0, rows);                      // [B,4,h,w]
  const Tensor noise = rng.normal(clean.sizes());                          // [B,4,h,w]
  const Tensor noisy = level.sqrt() * clean + (1 - level).sqrt() * noise;  // [B,4,h,w]
  return at::mse_loss(denoiser.unet->forward(noisy, times, text), noise);
}

/// abar of every training timestep, float [1000].
inline Tensor signal_levels(const NoiseSchedule& schedule) {
  std::vector<float> levels;
  for (std::int64_t t = 0; t < schedule.config().num_train_steps; ++t)
    levels.push_back(static_cast<float>(schedule.abar(t)));
  return at::tensor(levels);
}

/// Trains or finishes training in `work`; leaves the averaged weights, which `watch(step, denoiser)` sees every
/// `watch_every` steps too.
inline Trained<Denoiser> train_denoiser(const ClipTokenizer& tokenizer, const Tensor& latents,
                                        const std::vector<Scene>& scenes, const std::filesystem::path& work,
                                        const TrainingOptions& options, std::int64_t batch, std::int64_t watch_every,
                                        const std::function<void(std::int64_t, const Denoiser&)>& watch) {
  const Denoiser denoiser = make_denoiser(tokenizer, Rng::derive(options.seed, 3));
  const Tensor abar = signal_levels(NoiseSchedule());
  TrainingRun run("unet", work, {{"unet", denoiser.unet}, {"text", denoiser.text}}, options);
  run.train([&](Rng& rng) { return denoising_loss(denoiser, tokenizer, latents, scenes, abar, batch, rng); },
            [&](std::int64_t step) {
              if (step % watch_every == 0) run.with_average([&] { watch(step, denoiser); });
            });
  run.use_average();
  return {denoiser, run.report()};
}

}  // namespace reward_tuner::pretrain
