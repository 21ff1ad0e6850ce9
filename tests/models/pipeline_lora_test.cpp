// LoRAs of a whole pipeline: parts of one file, several files, the reference network, saving them again.
#include <ATen/ops/allclose.h>
#include <ATen/ops/full.h>
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/models/pipeline_lora.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/tiny_folder.hpp>

using namespace reward_tuner;

namespace pipeline_lora_test {
namespace {

namespace fs = std::filesystem;
const std::string kModel = std::string(REWARD_TUNER_SOURCE_DIR) + "/examples/models/tiny-shapes";

struct Folder {
  fs::path path = fs::temp_directory_path() / ("reward_tuner_pipeline_lora_" + std::to_string(::getpid()));
  Folder() {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
};

/// Writes a LoRA of the shipped model with random factors.
void write(const fs::path& file, std::uint64_t seed, bool unet, bool text) {
  auto pipeline = StableDiffusion::load(kModel);
  std::vector<Lora> loras;
  if (unet) loras.push_back(Lora::attach(pipeline.unet(), {.rank = 2}));
  if (text)
    loras.push_back(Lora::attach(pipeline.text_encoder(), {.rank = 3, .targets = {"q_proj", "fc1"}}, "text_encoder"));
  const torch::NoGradGuard no_grad;
  Rng rng(seed);
  std::vector<const Lora*> pointers;
  for (Lora& lora : loras) {
    for (Tensor& p : lora.parameters()) p.copy_(rng.normal(p.sizes()) * 0.2);
    pointers.push_back(&lora);
  }
  save_loras(file, pointers);
}

Tensor states(StableDiffusion& pipeline) { return pipeline.encode({"a red circle"}).positive.embeddings[0]; }

Tensor call(StableDiffusion& pipeline) {
  const torch::NoGradGuard no_grad;
  auto base = StableDiffusion::load(kModel);
  const Condition condition = base.encode({"a red circle"});
  return pipeline.predict(Rng(3).normal(pipeline.latent_shape(1)), at::full({1}, 400.0f),
                          {.embeddings = condition.positive.embeddings[0].unsqueeze(0)});
}

bool near(const Tensor& a, const Tensor& b) { return at::allclose(a, b, 1e-4, 1e-4); }

}  // namespace

TEST_CASE("pipeline_lora: PATH and PATH:SCALE") {
  CHECK(lora_source("a/b").path == "a/b");
  CHECK(lora_source("a/b").scale == 1);
  CHECK(lora_source("a/b:0.7").path == "a/b");
  CHECK(lora_source("a/b:0.7").scale == 0.7);
  CHECK(lora_source("a:b:-1e-1").path == "a:b");
  CHECK(lora_source("a:b:-1e-1").scale == -0.1);
  CHECK(lora_source("C:style").path == "C:style");
  const Folder folder;
  const std::string odd = (folder.path / "style:2").string();
  CHECK(lora_source(odd).scale == 2);
  std::ofstream(odd) << "x";
  CHECK(lora_source(odd).path == odd);
  CHECK(lora_source(odd + ":3").scale == 3);
  for (const std::string wrong : {"", ":", ":0.5", "a:", "a:inf", "a:nan", "a:1e999"}) {
    CAPTURE(wrong);
    CHECK_THROWS_WITH_AS(lora_source(wrong), doctest::Contains("[LoRA] expected PATH or PATH:SCALE"), Error);
  }
}

TEST_CASE("pipeline_lora: several files add up on UNet and text encoder, frozen, and stay in the reference network") {
  const Folder folder;
  write(folder.path / "both", 1, true, true);
  write(folder.path / "text.safetensors", 2, false, true);
  auto pipeline = StableDiffusion::load(kModel);
  const Tensor base_states = states(pipeline), base = call(pipeline);
  auto loras = load_loras(pipeline, {{folder.path / "both"}, {folder.path / "text.safetensors", 0.5}});
  REQUIRE(loras.size() == 3);
  CHECK(loras[0].prefix() == "unet");
  CHECK(loras[1].prefix() == "text_encoder");
  CHECK(loras[2].prefix() == "text_encoder");
  for (const Lora& lora : loras) {
    CHECK(lora.frozen());
    for (const Tensor& p : lora.parameters()) CHECK_FALSE(p.requires_grad());
  }
  CHECK(loras[2].scale() == 0.5);
  const Tensor tuned_states = states(pipeline), tuned = call(pipeline);
  CHECK_FALSE(near(tuned_states, base_states));
  CHECK_FALSE(near(tuned, base));
  CHECK_THROWS_WITH_AS(pipeline.reference_scope(), doctest::Contains("no LoRA is trained"), Error);
  {
    const auto rollout = pipeline.rollout_scope();
    CHECK(near(call(pipeline), tuned));
  }
  // merged for good they are the same
  auto merged = StableDiffusion::load(kModel);
  for (Lora& lora : load_loras(merged, {{folder.path / "both"}, {folder.path / "text.safetensors", 0.5}})) lora.merge();
  CHECK(near(states(merged), tuned_states));
  CHECK(near(call(merged), tuned));

  // a trained one on top: gradients reach it alone, and the reference network is the model without it
  Lora trained = Lora::attach(pipeline.unet(), {.rank = 4});
  {
    const torch::NoGradGuard no_grad;
    for (Tensor& p : trained.parameters()) p.add_(Rng(8).normal(p.sizes()), 0.1);
  }
  CHECK_FALSE(near(call(pipeline), tuned));
  {
    const auto reference = pipeline.reference_scope();
    CHECK(near(call(pipeline), tuned));
    const auto rollout = pipeline.rollout_scope({.dtype = at::kDouble});
    CHECK(near(call(pipeline), tuned));
  }
  const Condition condition = pipeline.encode({"a red circle"});
  const Tensor out = pipeline.predict(Rng(3).normal(pipeline.latent_shape(1)), at::full({1}, 400.0f),
                                      {.embeddings = condition.positive.embeddings[0].unsqueeze(0)});
  for (const Tensor& g : torch::autograd::grad({out.square().sum()}, trained.parameters()))
    CHECK(g.abs().max().item<double>() > 0);

  // all of them as one file are the same again
  std::vector<const Lora*> all = {&trained};
  for (const Lora& lora : loras) all.push_back(&lora);
  save_loras(folder.path / "all.safetensors", all);
  auto again = StableDiffusion::load(kModel);
  const auto one = load_loras(again, {{folder.path / "all.safetensors"}});
  CHECK(one.size() == 2);
  CHECK(near(states(again), tuned_states));
  CHECK(near(call(again), call(pipeline)));
}

TEST_CASE("pipeline_lora: load_lora gives trainable adapters, one for each part") {
  const Folder folder;
  write(folder.path / "both", 1, true, true);
  auto pipeline = StableDiffusion::load(kModel);
  auto loras = load_lora(pipeline, folder.path / "both");
  REQUIRE(loras.size() == 2);
  for (const Lora& lora : loras) {
    CHECK_FALSE(lora.frozen());
    for (const Tensor& p : lora.parameters()) CHECK(p.requires_grad());
  }
  const Tensor begun = call(pipeline);
  {
    const auto reference = pipeline.reference_scope();  // the base by default
    auto base = StableDiffusion::load(kModel);
    CHECK(near(call(pipeline), call(base)));
  }
  loras[0].keep_reference();
  loras[0].set_scale(0.1);
  CHECK_FALSE(near(call(pipeline), begun));
  const auto reference = pipeline.reference_scope();
  CHECK(near(call(pipeline), begun));
}

TEST_CASE("pipeline_lora: SDXL's three parts are saved and loaded by the names of diffusers and of Kohya") {
  const reference::TemporaryFolder folder;
  const fs::path model = folder / "model";
  reference::write_tiny_model(model, REWARD_TUNER_TEST_DATA "/tokenizer", 0, PipelineFamily::kStableDiffusionXL);
  auto pipeline = StableDiffusion::load(model);
  std::vector<Lora> loras;
  loras.push_back(Lora::attach(pipeline.unet(), {.rank = 2, .targets = {"all"}}));
  for (const auto& [name, text] : pipeline.text_encoders())
    loras.push_back(Lora::attach(*text, {.rank = 3, .targets = {"q_proj", "fc1"}}, name));
  std::vector<const Lora*> pointers;
  for (Lora& lora : loras) {
    const torch::NoGradGuard no_grad;
    Rng rng(4);
    for (Tensor& p : lora.parameters()) p.copy_(rng.normal(p.sizes()) * 0.2);
    pointers.push_back(&lora);
  }
  const auto answer = [](StableDiffusion& of) {
    const torch::NoGradGuard no_grad;
    const Conditioning c = of.encode({"a red circle"}).positive;
    return at::cat({of.predict(Rng(3).normal(of.latent_shape(1)), at::full({1}, 400.0f), c).flatten(), c.pooled[0],
                    c.embeddings.flatten()});
  };
  auto base = StableDiffusion::load(model);
  CHECK_FALSE(near(answer(base), answer(pipeline)));
  save_loras(folder / "diffusers.safetensors", pointers);
  save_loras_kohya(folder / "kohya.safetensors", pointers, pipeline);
  for (const char* file : {"diffusers.safetensors", "kohya.safetensors"}) {
    CAPTURE(file);
    auto again = StableDiffusion::load(model);
    const auto loaded = load_loras(again, {{folder / file}});
    REQUIRE(loaded.size() == 3);
    CHECK(loaded[2].prefix() == "text_encoder_2");
    CHECK(near(answer(again), answer(pipeline)));
  }
  const auto names = SafetensorsFile::open(folder / "kohya.safetensors").names();
  const auto has = [&](const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  CHECK(has("lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight"));
  CHECK(has("lora_te2_text_model_encoder_layers_0_self_attn_q_proj.alpha"));
  CHECK(has("lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q.lora_up.weight"));
  for (const auto& name : names) CHECK(name.find("down_blocks") == std::string::npos);
  const auto diffusers = SafetensorsFile::open(folder / "diffusers.safetensors").names();
  CHECK(std::find(diffusers.begin(), diffusers.end(),
                  "text_encoder_2.text_model.encoder.layers.0.mlp.fc1.lora_A.weight") != diffusers.end());
}

TEST_CASE("pipeline_lora: an error leaves the pipeline as it was") {
  const Folder folder;
  write(folder.path / "both", 1, true, true);
  auto file = SafetensorsFile::open(folder.path / "both" / kLoraFileName);
  std::map<std::string, Tensor> tensors;
  for (const auto& name : file.names()) tensors[name] = file.tensor(name).clone();
  for (auto& [name, tensor] : tensors)  // the second part does not fit
    if (name.find("fc1.lora_A") != std::string::npos) tensor = tensor.narrow(1, 1, tensor.size(1) - 1).clone();
  save_safetensors(folder.path / "bad.safetensors", tensors);
  auto pipeline = StableDiffusion::load(kModel);
  CHECK_THROWS_WITH_AS(load_lora(pipeline, folder.path / "bad.safetensors"),
                       doctest::Contains("found factors of shape"), Error);
  CHECK_THROWS_AS(load_loras(pipeline, {{folder.path / "both"}, {folder.path / "bad.safetensors"}}), Error);
  CHECK_THROWS_WITH_AS(load_loras(pipeline, {{folder.path / "both"}, {folder.path / "nowhere"}}),
                       doctest::Contains("got nothing at"), Error);
  CHECK(AdapterScope(pipeline.unet(), AdapterMode::kReference).size() == 0);
  CHECK(AdapterScope(pipeline.text_encoder(), AdapterMode::kReference).size() == 0);
  CHECK_THROWS_WITH_AS(save_loras(folder.path, {}), doctest::Contains("got none"), Error);
}

}  // namespace pipeline_lora_test
