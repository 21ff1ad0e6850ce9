// Parts of the pretraining stages with an exact answer: the autoencoder's start, the standardized latents, true
// captions, one step of each loss.
#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <doctest/doctest.h>

#include <filesystem>
#include <memory>

#include <examples/pretrain/bpe_trainer.hpp>
#include <examples/pretrain/model_folder.hpp>
#include <examples/pretrain/train_clip.hpp>
#include <examples/pretrain/train_unet.hpp>
#include <examples/pretrain/train_vae.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>

namespace train_stages_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::shapes;
using namespace reward_tuner::pretrain;

BpeVocabulary vocabulary() {
  std::map<std::string, std::int64_t> words;
  for (const auto& word : caption_words()) words[word] = 1;
  return train_bpe(words);
}

std::shared_ptr<AutoencoderKL> fresh_vae() {
  auto vae = std::make_shared<AutoencoderKL>(tiny_vae_config());
  Rng rng(1);
  initialize(*vae, rng);
  start_near_identity(*vae);
  return vae;
}

TEST_CASE("VAE: the untrained network already shows coarse colors") {
  const auto vae = fresh_vae();
  const ImageSet images = draw_images(10, Rng(2));
  CHECK(reconstruction_psnr(*vae, images) > 20.0);
  const torch::NoGradGuard no_grad;
  const Tensor flat = at::full({1, 3, 64, 64}, 0.4);
  CHECK(AutoencoderKL::latent_std(vae->encode_moments(flat)).mean().item<double>() ==
        doctest::Approx(std::exp(-2.5)).epsilon(0.2));
}

TEST_CASE("VAE: standardized latents have mean 0 and deviation 1, decoded images and relative noise stay") {
  const auto vae = fresh_vae();
  const ImageSet set = draw_images(12, Rng(3));
  const torch::NoGradGuard no_grad;
  const Tensor images = set.signed_images(at::arange(12)), before = vae->encode_moments(images);
  const Tensor decoded = vae->decode(AutoencoderKL::latent_mean(before));
  const Tensor spread = AutoencoderKL::latent_mean(before).std({0, 2, 3});
  standardize_latents(*vae, AutoencoderKL::latent_mean(before));
  const Tensor after = vae->encode_moments(images), mean = AutoencoderKL::latent_mean(after);
  CHECK(mean.mean({0, 2, 3}).abs().max().item<double>() < 1e-4);
  CHECK((mean.std({0, 2, 3}) - 1).abs().max().item<double>() < 1e-4);
  CHECK((vae->decode(mean) - decoded).abs().max().item<double>() < 1e-4);
  const Tensor expected = AutoencoderKL::latent_std(before) / spread.view({1, -1, 1, 1});
  CHECK((AutoencoderKL::latent_std(after) / expected - 1).abs().max().item<double>() < 1e-3);
}

TEST_CASE("CLIP: which captions are true of an image") {
  Scene scene;
  scene.objects = {{0, 0, 16, 30, 9, 0}, {1, 2, 48, 30, 12, 0}};  // small red circle left of a blue square
  scene.relation = Relation::kLeftOf;
  scene.background = 1;
  for (const char* text : {"a red circle left of a blue square", "a blue square right of a small red circle",
                           "a blue square and a red circle", "a red circle and a blue square on a grey background"})
    CHECK(is_true_of(parse_caption(text), scene));
  for (const char* text :
       {"a red circle", "a red circle right of a blue square", "a blue square left of a red circle",
        "a large red circle and a blue square", "a red circle and a blue square on a black background",
        "a red square left of a blue circle"})
    CHECK_FALSE(is_true_of(parse_caption(text), scene));
  Rng rng(9);
  for (int i = 0; i < 200; ++i) {
    const Scene random = draw_scene(rng);
    CHECK(is_true_of(describe(random, rng), random));
  }
}

TEST_CASE("Pretraining: one step of every loss is finite with gradients, and the written folder loads") {
  at::set_num_threads(1);
  const auto folder = std::filesystem::temp_directory_path() / "reward_tuner_train_stages_test";
  std::filesystem::remove_all(folder);
  write_tokenizer(vocabulary(), folder / "words", kPromptTokens);
  const ClipTokenizer tokenizer = ClipTokenizer::load(folder / "words");
  const ImageSet images = draw_images(8, Rng(5));
  Rng rng(6);

  const auto vae = fresh_vae();
  vae_loss(*vae, images.signed_images(at::arange(2)), images.objects.slice(0, 0, 2).to(at::kFloat).div(255), rng)
      .backward();
  for (const auto& item : vae->named_parameters()) CHECK_MESSAGE(item.value().grad().defined(), item.key());

  const auto clip = make_clip(tokenizer, Rng(7));
  const Tensor contrast = contrastive_loss(*clip, images, 4, rng);
  contrast.backward();
  CHECK(std::isfinite(contrast.item<double>()));
  for (const auto& item : clip->named_parameters()) CHECK_MESSAGE(item.value().grad().defined(), item.key());

  const Denoiser denoiser = make_denoiser(tokenizer, Rng(8));
  const Tensor latents = encode_images(*vae, images, at::arange(8));
  const Tensor noise_error =
      denoising_loss(denoiser, tokenizer, latents, images.scenes, signal_levels(NoiseSchedule()), 8, rng);
  noise_error.backward();
  // the last convolution is zero, so the error is the noise itself
  CHECK(noise_error.item<double>() == doctest::Approx(1.0).epsilon(0.1));

  write_model_folder(folder / "model", {vae, denoiser.unet, denoiser.text, clip}, vocabulary());
  StableDiffusion pipeline = StableDiffusion::load(folder / "model");
  CHECK(pipeline.latent_shape(3) == std::vector<std::int64_t>{3, 4, 16, 16});
  CHECK(pipeline.clip()->text_features({"a red circle"}).size(1) == 64);
  const torch::NoGradGuard no_grad;
  const Tensor ids = tokenizer({"a red circle"}, kPromptTokens);
  CHECK(pipeline.text_encoder().forward(ids).last_hidden_state.equal(denoiser.text->forward(ids).last_hidden_state));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace train_stages_test
