// Measures a finished tiny-shapes folder: reconstruction, zero-shot recognition, and whether samples show what their
// prompts say.
#pragma once
#include <ATen/ops/cat.h>
#include <torch/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <examples/pretrain/shape_images.hpp>
#include <examples/pretrain/train_clip.hpp>
#include <examples/pretrain/train_vae.hpp>
#include <reward_tuner/engine/rollout.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/report/image_grid.hpp>
#include <reward_tuner/report/png.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/shapes/shape_reward.hpp>

namespace reward_tuner::pretrain {

using namespace reward_tuner::shapes;

/// Sampler of all evaluations.
inline constexpr int kSampleSteps = 20;
inline constexpr double kSampleGuidance = 3.0;

/// Images [N,3,64,64] in [0,1] of the prompts: DDIM, one noise stream an image with seeds `seed`, `seed` + 1, ...
inline Tensor sample_images(StableDiffusion& pipeline, const std::vector<std::string>& prompts, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  constexpr std::size_t kBatch = 16;
  const SamplerSchedule schedule =
      Ddim({.num_steps = kSampleSteps, .guidance = kSampleGuidance}).schedule(pipeline.noise_schedule());
  std::vector<Tensor> parts;
  for (std::size_t begin = 0; begin < prompts.size(); begin += kBatch) {
    const std::size_t end = std::min(prompts.size(), begin + kBatch);
    std::vector<std::uint64_t> seeds;
    for (std::size_t i = begin; i < end; ++i) seeds.push_back(seed + i);
    SampleNoise noise(seeds);
    NetworkCounts counts;
    const auto first = prompts.begin();
    const Condition condition =
        pipeline.encode({first + static_cast<std::ptrdiff_t>(begin), first + static_cast<std::ptrdiff_t>(end)});
    const RolloutSetup setup = sampling_setup(schedule, condition, kSampleGuidance);
    const Trajectory made = rollout(pipeline, setup, noise, counts);
    parts.push_back(pipeline.decode(made.clean).clamp(0, 1));  // [n,3,64,64]
  }
  return at::cat(parts);
}

/// "a COLOR SHAPE" of all 48 pairs, shape by shape.
inline std::vector<std::string> pair_prompts() {
  std::vector<std::string> prompts;
  for (int shape = 0; shape < static_cast<int>(kShapeNames.size()); ++shape)
    for (int color = 0; color < static_cast<int>(kObjectColors.size()); ++color)
      prompts.push_back(object_phrase({shape, color, ObjectSize::kUnnamed}));
  return prompts;
}

/// Longer prompts for the second image of the model card.
inline std::vector<std::string> long_prompts() {
  return {"a large red circle on a grey background",
          "a small white cross on a navy background",
          "a picture of an orange star",
          "a red circle left of a blue square",
          "a green triangle above a yellow ring",
          "a purple star right of an orange square",
          "a cyan cross below a white triangle",
          "a blue circle and a yellow square"};
}

namespace detail {

/// Means over images of the shape reward's components and of the symmetry error (DRTune paper, Eq. 6).
inline nlohmann::json judge(const Tensor& images, const std::vector<std::string>& prompts) {
  const RewardInput input{.images = images, .prompts = prompts};
  const RewardResult shapes = ShapeReward().score(input);
  nlohmann::json json{{"images", prompts.size()}};
  const auto part = [&](const char* name) { return shapes.components.at(name); };
  for (const char* name : {"shape_accuracy", "color_accuracy", "relation_accuracy", "blank", "coverage"})
    json[name] = part(name).mean().item<double>();
  const Tensor both = (part("shape_accuracy") > 0.99).logical_and(part("color_accuracy") > 0.99);  // [B]
  json["both_right"] = both.to(at::kDouble).mean().item<double>();
  json["symmetry_error"] = literal_symmetry_error(images).mean().item<double>();
  return json;
}

inline std::vector<std::string> true_captions(const ImageSet& images, Rng rng) {
  std::vector<std::string> captions;
  for (const Scene& scene : images.scenes) captions.push_back(compose_caption(describe(scene, rng)));
  return captions;
}

}  // namespace detail

/// All numbers of the model card. `repeats` images are sampled for each of the 48 prompts.
inline nlohmann::json evaluate(const std::filesystem::path& folder, std::uint64_t seed, int repeats) {
  StableDiffusion pipeline = StableDiffusion::load(folder);
  const ImageSet held_out = draw_images(400, Rng::derive(seed, 101));
  const ImageSet singles = draw_images(400, Rng::derive(seed, 103), {.two_objects = 0});
  const ImageSet new_pairs = draw_images(200, Rng::derive(seed, 102), {.held_out_only = true});
  const auto clip = pipeline.clip();
  nlohmann::json json;
  json["vae"] = {{"psnr_db", reconstruction_psnr(pipeline.vae(), held_out)}};
  json["clip"] = {{"zero_shot_accuracy", zero_shot_accuracy(*clip, singles)},
                  {"zero_shot_accuracy_held_out_pairs", zero_shot_accuracy(*clip, new_pairs)}};
  json["real_images"] =
      detail::judge(singles.images.to(at::kFloat).div(255), detail::true_captions(singles, Rng::derive(seed, 104)));

  std::vector<std::string> seen, unseen;
  for (int repeat = 0; repeat < repeats; ++repeat)
    for (int shape = 0; shape < static_cast<int>(kShapeNames.size()); ++shape)
      for (int color = 0; color < static_cast<int>(kObjectColors.size()); ++color)
        (is_held_out(shape, color) ? unseen : seen).push_back(object_phrase({shape, color, ObjectSize::kUnnamed}));
  json["samples_single"] = detail::judge(sample_images(pipeline, seen, 1000), seen);
  json["samples_held_out_pairs"] = detail::judge(sample_images(pipeline, unseen, 2000), unseen);
  Rng rng = Rng::derive(seed, 105);
  std::vector<std::string> two;
  const ImageSet pairs = draw_images(48, Rng::derive(seed, 106), {.two_objects = 1});
  for (const Scene& scene : pairs.scenes) two.push_back(compose_caption(describe(scene, rng)));
  json["samples_two_objects"] = detail::judge(sample_images(pipeline, two, 3000), two);
  json["sampler"] = {{"name", "ddim"}, {"steps", kSampleSteps}, {"guidance", kSampleGuidance}};
  return json;
}

/// Writes samples.png (all 48 pairs) and captions.png (longer prompts) into the folder.
inline void write_sample_grids(const std::filesystem::path& folder) {
  StableDiffusion pipeline = StableDiffusion::load(folder);
  const Tensor pairs = sample_images(pipeline, pair_prompts(), 1);  // [48,3,64,64]
  std::vector<Tensor> rows;
  GridOptions options;
  const auto colors = static_cast<std::int64_t>(kObjectColors.size());
  for (std::size_t shape = 0; shape < kShapeNames.size(); ++shape) {
    rows.push_back(
        pairs.slice(0, static_cast<std::int64_t>(shape) * colors, static_cast<std::int64_t>(shape + 1) * colors));
    options.row_labels.emplace_back(kShapeNames[shape]);
  }
  for (const auto& color : kObjectColors) options.column_labels.emplace_back(color.name);
  write_png(folder / "samples.png", image_grid(rows, options));
  write_png(folder / "captions.png",
            image_grid({sample_images(pipeline, long_prompts(), 100)}, {.column_labels = long_prompts()}));
}

}  // namespace reward_tuner::pretrain
