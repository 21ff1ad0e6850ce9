// Trains a tiny CLIP on the shape images: the model behind the CLIPScore reward of the tiny Stable Diffusion.
#pragma once
#include <ATen/ops/arange.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/nll_loss.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <numbers>
#include <string>
#include <vector>

#include <examples/pretrain/shape_images.hpp>
#include <examples/pretrain/tiny_models.hpp>
#include <examples/pretrain/training_run.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/initialize.hpp>

namespace reward_tuner::pretrain {

using namespace reward_tuner::shapes;

namespace detail {

/// Sines and cosines of a patch's row and column, the class token's row zero: patches know their neighbors from the
/// first step.  [N,D]
inline Tensor patch_waves(std::int64_t grid, std::int64_t width) {
  const std::int64_t waves = width / 4;
  Tensor table = at::zeros({grid * grid + 1, width});
  auto rows = table.accessor<float, 2>();
  for (std::int64_t patch = 0; patch < grid * grid; ++patch)
    for (std::int64_t wave = 0; wave < waves; ++wave) {
      const double frequency =
          std::numbers::pi / 2 * std::pow(1.0 / 16, static_cast<double>(wave) / static_cast<double>(waves - 1));
      const double down = frequency * static_cast<double>(patch / grid),
                   across = frequency * static_cast<double>(patch % grid);
      const double values[] = {std::sin(down), std::cos(down), std::sin(across), std::cos(across)};
      for (std::int64_t i = 0; i < 4; ++i) rows[patch + 1][4 * wave + i] = static_cast<float>(0.5 * values[i]);
    }
  return table;
}

/// "a COLOR SHAPE" of the pairs that training shows, and where each pair stands in that list (-1 for held-out pairs).
struct PairCaptions {
  std::vector<std::string> texts;
  std::array<std::array<std::int64_t, kObjectColors.size()>, kShapeNames.size()> place;

  PairCaptions() {
    for (std::size_t shape = 0; shape < kShapeNames.size(); ++shape)
      for (std::size_t color = 0; color < kObjectColors.size(); ++color) {
        const auto s = static_cast<int>(shape), c = static_cast<int>(color);
        place[shape][color] = is_held_out(s, c) ? -1 : static_cast<std::int64_t>(texts.size());
        if (!is_held_out(s, c)) texts.push_back(object_phrase({s, c, ObjectSize::kUnnamed}));
      }
  }
};

}  // namespace detail

/// Random weights with waves as positions; the temperature starts at CLIP's 0.07.
inline std::shared_ptr<ClipModel> make_clip(const ClipTokenizer& tokenizer, Rng rng) {
  const ImagePreprocessorOptions image{.edge = kImageSide, .side = kImageSide};
  auto clip = std::make_shared<ClipModel>(tiny_clip_config(tokenizer), tokenizer, ImagePreprocessor(image));
  for (const auto& part : clip->children()) initialize(*part, rng);
  const torch::NoGradGuard no_grad;
  const ClipVisionConfig& vision = clip->config().vision;
  for (auto& [name, weight] : state_dict(*clip)) {
    if (name == "logit_scale") weight.fill_(std::log(1 / 0.07));
    else if (name == "vision_model.embeddings.position_embedding.weight")
      weight.copy_(detail::patch_waves(vision.image_size / vision.patch_size, vision.hidden_size));
    else if (name.starts_with("text_model.embeddings.") || name.ends_with("class_embedding")) weight.mul_(0.2);
  }
  return clip;
}

/// Whether the caption is true of the image: the same objects in some order, and nothing said wrongly.
inline bool is_true_of(const Caption& caption, const Scene& scene) {
  if (caption.objects.size() != scene.objects.size()) return false;
  if (caption.background && *caption.background != scene.background) return false;
  const auto fits = [&](std::size_t said, std::size_t drawn) {
    const CaptionObject& a = caption.objects[said];
    const DrawnObject& b = scene.objects[drawn];
    return a.shape == b.shape && a.color == b.color && (a.size == ObjectSize::kUnnamed || a.size == b.size());
  };
  if (scene.objects.size() == 1) return fits(0, 0);
  const bool same = fits(0, 0) && fits(1, 1), crossed = fits(0, 1) && fits(1, 0);
  if (caption.relation == Relation::kAnd) return same || crossed;
  return (same && caption.relation == scene.relation) || (crossed && caption.relation == mirrored(scene.relation));
}

/// CLIP's symmetric cross-entropy (Radford et al. 2021, Fig. 3) of one batch. Short captions fit several images of a
/// batch, so the target of a row is spread evenly over all true pairs. Images of one object must also find their pair
/// among the captions of all pairs, which puts every confusable shape and color beside the true one in each batch.
/// Images carry a little noise: the reward will see decoded latents, not clean drawings.
inline Tensor contrastive_loss(const ClipModel& clip, const ImageSet& images, std::int64_t batch, Rng& rng) {
  const Tensor rows = random_rows(rng, images.images.size(0), batch);  // [B]
  std::vector<Caption> captions;
  std::vector<std::string> texts;
  std::vector<const Scene*> scenes;
  for (std::int64_t i = 0; i < batch; ++i) {
    scenes.push_back(&images.scenes[static_cast<std::size_t>(rows[i].item<std::int64_t>())]);
    captions.push_back(describe(*scenes.back(), rng));
    texts.push_back(caption_text(captions.back(), rng));
  }
  Tensor pairs = at::zeros({batch, batch});  // [B,B] image x caption
  auto pair = pairs.accessor<float, 2>();
  for (std::int64_t i = 0; i < batch; ++i)
    for (std::int64_t j = 0; j < batch; ++j)
      pair[i][j] = is_true_of(captions[static_cast<std::size_t>(j)], *scenes[static_cast<std::size_t>(i)]);
  const detail::PairCaptions pair_captions;
  std::vector<std::int64_t> single, place;
  for (std::int64_t i = 0; i < batch; ++i) {
    const auto& objects = scenes[static_cast<std::size_t>(i)]->objects;
    if (objects.size() != 1) continue;
    single.push_back(i);
    place.push_back(
        pair_captions.place[static_cast<std::size_t>(objects[0].shape)][static_cast<std::size_t>(objects[0].color)]);
  }
  texts.insert(texts.end(), pair_captions.texts.begin(), pair_captions.texts.end());
  const Tensor clean = (images.signed_images(rows) + 1) / 2;                                             // [B,3,H,W]
  const Tensor noisy = clean + 0.05 * rng.uniform({batch, 1, 1, 1}) * rng.normal(clean.sizes());         // [B,3,H,W]
  const Tensor seen = clip.scale().clamp_max(100) * clip.image_features(noisy);                          // [B,P]
  const Tensor logits = seen.matmul(clip.text_features(texts).t());                                      // [B,B+pairs]
  const Tensor by_image = (pairs / pairs.sum(1, true)) * at::log_softmax(logits.slice(1, 0, batch), 1);  // [B,B]
  const Tensor by_caption = (pairs / pairs.sum(0, true)) * at::log_softmax(logits.slice(1, 0, batch), 0);  // [B,B]
  const Tensor contrast = -0.5 * (by_image.sum() + by_caption.sum()) / static_cast<double>(batch);         // []
  if (single.empty()) return contrast;
  const Tensor choices = logits.slice(1, batch).index_select(0, at::tensor(single));  // [S,pairs]
  return contrast + at::nll_loss(at::log_softmax(choices, 1), at::tensor(place));     // []
}

/// Share of single-object images whose best of the 48 captions "a COLOR SHAPE" is the true one.
inline double zero_shot_accuracy(const ClipModel& clip, const ImageSet& images) {
  const torch::NoGradGuard no_grad;
  std::vector<std::string> prompts;
  for (int shape = 0; shape < static_cast<int>(kShapeNames.size()); ++shape)
    for (int color = 0; color < static_cast<int>(kObjectColors.size()); ++color)
      prompts.push_back(object_phrase({shape, color, ObjectSize::kUnnamed}));
  const Tensor texts = clip.text_features(prompts);  // [48,P]
  std::int64_t right = 0, singles = 0;
  for (const Tensor& part : at::arange(images.images.size(0)).split(100)) {
    const Tensor best = clip.image_features((images.signed_images(part) + 1) / 2).matmul(texts.t()).argmax(1);  // [n]
    for (std::int64_t i = 0; i < part.size(0); ++i) {
      const Scene& scene = images.scenes[static_cast<std::size_t>(part[i].item<std::int64_t>())];
      if (scene.objects.size() != 1) continue;
      ++singles;
      right += best[i].item<std::int64_t>() ==
               scene.objects[0].shape * static_cast<std::int64_t>(kObjectColors.size()) + scene.objects[0].color;
    }
  }
  return static_cast<double>(right) / static_cast<double>(std::max<std::int64_t>(1, singles));
}

/// Trains or finishes training in `work`.
inline Trained<std::shared_ptr<ClipModel>> train_clip(const ClipTokenizer& tokenizer, const ImageSet& images,
                                                      const ImageSet& held_out, const std::filesystem::path& work,
                                                      const TrainingOptions& options, std::int64_t batch) {
  auto clip = make_clip(tokenizer, Rng::derive(options.seed, 2));
  TrainingRun run("clip", work, {{"clip", clip}}, options);
  run.train([&](Rng& rng) { return contrastive_loss(*clip, images, batch, rng); },
            [&](std::int64_t step) {
              if (step % (5 * options.log_every) != 0) return;
              double accuracy = 0;
              run.with_average([&] { accuracy = zero_shot_accuracy(*clip, held_out); });
              std::printf("clip step %lld: zero-shot accuracy %.3f\n", static_cast<long long>(step), accuracy);
              std::fflush(stdout);
            });
  run.use_average();
  return {clip, run.report()};
}

}  // namespace reward_tuner::pretrain
