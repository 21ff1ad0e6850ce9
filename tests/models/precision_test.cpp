// The types of a pipeline's parts: weights of half precision, the VAE apart from them, latents in float32.
#include <doctest/doctest.h>

#include <string>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/tiny_folder.hpp>

TEST_CASE(
    "weights have the type that is asked for, the VAE's float32 where its file asks; latents and images are float32") {
  using namespace reward_tuner;
  using namespace reward_tuner::reference;
  const TemporaryFolder folder;
  write_tiny_model(folder / "model", std::filesystem::path(REWARD_TUNER_TEST_DATA) / "tokenizer");
  const auto vae_file = folder / "model" / "vae" / "config.json";
  auto vae = read_json(vae_file);
  const auto type_of = [](torch::nn::Module& module) { return module.parameters().front().scalar_type(); };
  Rng rng(1);
  const Tensor start = rng.normal({2, 4, 8, 8}), cotangent = rng.normal({2, 3, 16, 16});
  for (const char* upcast : {"true", "false", "absent"}) {
    vae["force_upcast"] = upcast == std::string("true");
    if (upcast == std::string("absent")) vae.erase("force_upcast");  // diffusers' default is true
    write_json(vae_file, vae);
    const auto decoded = [&](StableDiffusion& pipeline) {
      const Tensor latents = start.clone().requires_grad_();
      const Tensor images = pipeline.decode(latents);
      return std::pair(images.detach(), torch::autograd::grad({images}, {latents}, {cotangent})[0]);
    };
    auto exact = StableDiffusion::load(folder / "model");
    const auto [images, gradient] = decoded(exact);
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
      auto pipeline = StableDiffusion::load(folder / "model", {.dtype = dtype});
      const auto wide = dtype == at::kDouble ? at::kDouble : at::kFloat;
      CHECK((type_of(pipeline.unet()) == dtype));
      CHECK((type_of(pipeline.text_encoder()) == dtype));
      CHECK((type_of(pipeline.vae()) == (upcast == std::string("false") ? dtype : wide)));
      CHECK((pipeline.latent_options().dtype() == wide));
      CHECK((pipeline.network_dtype() == dtype));
      const Condition condition = pipeline.encode({"a star", "a circle"});
      CHECK((condition.positive.embeddings.scalar_type() == wide));
      const torch::NoGradGuard no_grad;
      const Tensor latents = start.to(wide);
      const Tensor output = pipeline.predict(latents, at::full({2}, 500, at::kLong), condition.positive);
      CHECK((output.scalar_type() == wide));
      CHECK((pipeline.encode_images(cotangent.to(wide)).scalar_type() == wide));
      CHECK((pipeline.decode(latents).scalar_type() == wide));
      const Condition plain = exact.encode({"a star", "a circle"});
      const Tensor truth = exact.predict(start, at::full({2}, 500, at::kLong), plain.positive);
      CHECK(((output - truth).norm() / truth.norm()).item<double>() < (dtype == at::kBFloat16 ? 0.05 : 0.01));
      if (dtype == at::kDouble) continue;
      const torch::AutoGradMode grad(true);
      const auto [own_images, own_gradient] = decoded(pipeline);
      if (upcast == std::string("false") && dtype != at::kFloat) {
        CHECK((own_gradient - gradient).norm().item<double>() > 0);
        CHECK(((own_gradient - gradient).norm() / gradient.norm()).item<double>() < 0.05);
      } else {  // the same decoder; what is cast are latents that need no cast
        CHECK(at::equal(own_images, images));
        CHECK(at::equal(own_gradient, gradient));
      }
    }
  }
  CHECK_THROWS_WITH_AS(StableDiffusion::load(folder / "model", {.device = at::Device("xla:1")}),
                       doctest::Contains("[StableDiffusion] expected a device that is here (cpu"), Error);
  CHECK_THROWS_WITH_AS(
      StableDiffusion::load(folder / "model", {.dtype = at::kInt}),
      doctest::Contains("[StableDiffusion] expected the dtype Float, BFloat16, Half or Double, got Int"), Error);
}
