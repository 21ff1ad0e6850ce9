// What a run trains and saves: LoRAs on several networks in one file.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <reward_tuner/run/trained_weights.hpp>

#include <tests/reference/tiny_folder.hpp>

TEST_CASE("LoRAs on UNet and text encoder are trained together and saved as one file; a frozen one is only saved") {
  using namespace reward_tuner;
  const reference::TemporaryFolder folder;
  reference::write_tiny_model(folder / "model", REWARD_TUNER_TEST_DATA "/tokenizer");
  const std::vector<std::string> prompts = {"a red circle"};
  auto pipeline = StableDiffusion::load(folder / "model"), again = StableDiffusion::load(folder / "model");
  Lora unet = Lora::attach(pipeline.unet(), {.rank = 2});
  Lora text = Lora::attach(pipeline.text_encoder(), {.rank = 2, .targets = {"q_proj", "v_proj"}}, "text_encoder");
  {
    const torch::NoGradGuard no_grad;
    Rng rng(3);
    for (const Lora* lora : {&unet, &text})
      for (Tensor& p : lora->parameters()) p.add_(rng.normal(p.sizes()), 0.1);
  }
  const TrainedWeights weights = trained_weights({&unet, &text});
  CHECK(weights.named.size() == unet.parameters().size() + text.parameters().size());
  CHECK(weights.named.front().first.starts_with("unet."));
  CHECK(weights.named.back().first.starts_with("text_encoder.text_model.encoder.layers.0.self_attn."));
  weights.save(folder / "run");
  const torch::NoGradGuard no_grad;
  const Tensor base = again.encode(prompts).positive.embeddings;
  const auto loaded = load_loras(again, {{folder / "run" / "lora"}});
  REQUIRE(loaded.size() == 2);
  CHECK(again.encode(prompts).positive.embeddings.equal(pipeline.encode(prompts).positive.embeddings));
  CHECK_FALSE(again.encode(prompts).positive.embeddings.equal(base));
  CHECK_FALSE(again.trains_condition());
  text.freeze();
  CHECK(trained_weights({&unet, &text}).named.size() == unet.parameters().size());
}
