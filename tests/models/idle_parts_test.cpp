// Parts that rest: when they move, what is kept of writes and of a failed move, and a whole run with moves that really
// copy, bit-equal to one without.
#include <doctest/doctest.h>

#include <ATen/Functions.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <reward_tuner/core/note.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/idle_parts.hpp>
#include <reward_tuner/models/layers.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>

#include <tests/reference/tiny_folder.hpp>

namespace idle_parts_test {
namespace {

using namespace reward_tuner;

std::shared_ptr<Linear> network() {
  auto made = std::make_shared<Linear>(2, 3);
  for (Tensor& p : made->parameters()) p.requires_grad_(false).fill_(1);
  return made;
}

/// A second memory: copies, which can be told from what rests by their address, and which are counted.
struct Copies {
  std::int64_t tensors = 0, fails = 0;
  IdleParts::Move move() {
    return [this](const Tensor& resting) {
      if (++tensors == fails) throw std::bad_alloc();
      return resting.clone();
    };
  }
};

struct Folder {
  reference::TemporaryFolder temporary;
  Folder() { reference::write_tiny_model(temporary / "model", REWARD_TUNER_TEST_DATA "/tokenizer"); }
  StableDiffusion load(StableDiffusionOptions options = {}) const {
    return StableDiffusion::load(temporary / "model", options);
  }
};

/// Where the first weight of a network lies.
const void* place(const torch::nn::Module& network) { return network.parameters().front().const_data_ptr(); }

}  // namespace

TEST_CASE("a part is moved when its use begins, once, and lies where it lay when it rests") {
  Copies copies;
  IdleParts parts(copies.move());
  const auto text = network(), image = network();
  parts.add(PartUse::kText, text);
  parts.add(PartUse::kImages, image);
  parts.add(PartUse::kImages, image);
  const void *text_home = place(*text), *image_home = place(*image);
  parts.wake(PartUse::kText);
  parts.wake(PartUse::kText);
  CHECK(copies.tensors == 2);
  CHECK(parts.moves() == 1);
  CHECK(place(*text) != text_home);
  CHECK(place(*image) == image_home);
  parts.rest();
  parts.rest();
  CHECK(place(*text) == text_home);
  parts.wake(PartUse::kImages);
  parts.wake(PartUse::kText);
  CHECK(copies.tensors == 6);
  CHECK(parts.moves() == 3);
}

TEST_CASE("what was written to a part that was awake is kept; without a write nothing is copied back") {
  Copies copies;
  IdleParts parts(copies.move());
  const auto part = network();
  parts.add(PartUse::kText, part);
  parts.wake(PartUse::kText);
  part->weight.fill_(7);
  const Tensor home_bias = part->bias.detach();  // the copy: written behind the network's back, and forgotten
  home_bias.data().fill_(9);
  parts.rest();
  CHECK(part->weight.eq(7).all().item<bool>());
  CHECK(part->bias.eq(1).all().item<bool>());
}

TEST_CASE("without memory for a part all of its weights rest, and the next try moves them") {
  Copies copies;
  IdleParts parts(copies.move());
  const auto part = network();
  parts.add(PartUse::kText, part);
  const void* home = place(*part);
  copies.fails = 2;
  CHECK_THROWS_AS(parts.wake(PartUse::kText), std::bad_alloc);
  CHECK(place(*part) == home);
  CHECK(parts.moves() == 0);
  parts.wake(PartUse::kText);
  CHECK(place(*part) != home);
  CHECK(parts.moves() == 1);
}

TEST_CASE("a part that trains stays awake") {
  Copies copies;
  IdleParts parts(copies.move());
  const auto part = network();
  parts.add(PartUse::kText, part);
  parts.wake(PartUse::kText);
  part->weight.requires_grad_(true);
  const void* awake = place(*part);
  parts.rest();
  CHECK(place(*part) == awake);
}

TEST_CASE("a pipeline with idle parts computes bit for bit what it computes without, forward and backward") {
  const Folder folder;
  auto plain = folder.load(), idle = folder.load();
  Copies copies;
  const auto parts = std::make_shared<IdleParts>(copies.move());
  idle.set_idle_parts(parts);
  const auto reward_network = network();
  parts->add(PartUse::kImages, reward_network);
  const void* reward_home = place(*reward_network);
  std::vector<Tensor> results;
  for (StableDiffusion* p : {&plain, &idle}) {
    const Condition condition = p->encode({"a red circle"});
    Rng rng(1);
    const Tensor noise = rng.normal(p->latent_shape(1)), time = at::full({1}, 500, at::kLong);
    const Tensor latents = p->predict(noise, time, condition.positive).detach().requires_grad_();
    const Tensor images = p->decode(latents);
    if (p == &idle) CHECK(place(*reward_network) != reward_home);  // until the network is called again
    const Tensor gradient = torch::autograd::grad({images.square().sum()}, {latents})[0];
    const Tensor again = p->predict(gradient, time, condition.positive);
    results.insert(results.end(), {condition.positive.embeddings, images.detach(), gradient, again,
                                   p->encode_images(images.detach())});
  }
  for (std::size_t i = 0; i < 5; ++i) CHECK(results[i].equal(results[5 + i]));
  CHECK(parts->moves() == 5);  // text, VAE and reward, VAE and reward
  idle.predict(results[0].new_zeros(idle.latent_shape(1)), at::full({1}, 500, at::kLong), idle.encode({"a"}).positive);
  CHECK(place(*reward_network) == reward_home);
}

TEST_CASE("an adapter that trains on a text encoder keeps it awake, in the order of rt-tune") {
  const Folder folder;
  auto pipeline = folder.load();
  Copies copies;
  const auto parts = std::make_shared<IdleParts>(copies.move());
  pipeline.set_idle_parts(parts);
  const auto lora = Lora::attach(pipeline.text_encoder(), {.rank = 2, .targets = {"q_proj"}}, "text_encoder");
  const Condition condition = pipeline.encode({"a red circle"});
  CHECK(condition.positive.embeddings.requires_grad());
  pipeline.predict(at::zeros(pipeline.latent_shape(1)), at::full({1}, 500, at::kLong), condition.positive);
  torch::autograd::backward({condition.positive.embeddings.sum()}, {});
  CHECK(lora.parameters()[1].grad().defined());
  CHECK(parts->moves() == 1);
}

TEST_CASE("the option on the CPU has no effect and says so; a pipeline names the options that take less") {
  const Folder folder;
  std::vector<std::string> said;
  const NoteScope scope([&](const std::string& sentence) { said.push_back(sentence); });
  const auto pipeline = folder.load({.offload = true});
  CHECK(pipeline.idle_parts() == nullptr);
  REQUIRE(said.size() == 1);
  CHECK(said[0] == "[StableDiffusion] offload has no effect on the CPU, where idle parts lie anyway");
  CHECK(pipeline.memory_switches() == std::vector<std::string>{"StableDiffusionOptions::vae_tiling = true"});
  CHECK(folder.load({.vae_tiling = true}).memory_switches().empty());
}

}  // namespace idle_parts_test
