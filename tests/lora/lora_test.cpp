// LoRA on a small network: attach, train, scale, merge, and the file formats of peft, diffusers and Kohya.
#include <ATen/ops/allclose.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>
#include <torch/autograd.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/layers.hpp>
#include <reward_tuner/tensor/rng.hpp>

using namespace reward_tuner;

namespace lora_test {
namespace {

/// Names as in a diffusers UNet: attn.to_q, attn.to_k, attn.to_v, attn.to_out.0, ff.proj_in, conv1.
struct Attention : torch::nn::Module {
  std::shared_ptr<Linear> q, k, v, out;
  Attention() {
    q = register_module("to_q", std::make_shared<Linear>(6, 6, false));
    k = register_module("to_k", std::make_shared<Linear>(6, 6, false));
    v = register_module("to_v", std::make_shared<Linear>(6, 6, false));
    auto list = register_module("to_out", std::make_shared<torch::nn::Module>());
    out = list->register_module("0", std::make_shared<Linear>(6, 6));
  }
};
struct Net : torch::nn::Module {
  std::shared_ptr<Attention> attn;
  std::shared_ptr<Conv2d> conv1;
  explicit Net(int seed = 1) {
    conv1 = register_module("conv1", std::make_shared<Conv2d>(2, 6, 3, 2, 1));
    attn = register_module("attn", std::make_shared<Attention>());
    Rng rng(static_cast<std::uint64_t>(seed));
    const torch::NoGradGuard no_grad;
    for (auto& p : parameters()) p.copy_(rng.normal(p.sizes()) * 0.4);
  }
  Tensor forward(const Tensor& image) const {
    const Tensor x = conv1->forward(image).flatten(2).transpose(1, 2);  // [B,N,6]
    return attn->out->forward((attn->q->forward(x) * attn->k->forward(x)).tanh() + attn->v->forward(x));
  }
};

struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("reward_tuner_lora_" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

void randomize(const Lora& lora, std::uint64_t seed = 9) {
  Rng rng(seed);
  const torch::NoGradGuard no_grad;
  for (Tensor& p : lora.parameters()) p.copy_(rng.normal(p.sizes()) * 0.5);
}

Tensor image() { return Rng(3).normal({2, 2, 6, 6}); }

/// The network's output without adapters. Frozen first: LibTorch picks another matrix product, with other rounding, for
/// weights that need gradients.
Tensor frozen_output(const std::shared_ptr<Net>& net) {
  for (auto& p : net->parameters()) p.requires_grad_(false);
  return net->forward(image());
}

bool equal(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = a[i].equal(b[i]);
  return same;
}

/// Adapter tensors for the layers attn.to_q and conv1 in the naming of `form`.
std::map<std::string, Tensor> tensors_in(const std::string& form, bool alpha) {
  Rng rng(4);
  std::map<std::string, Tensor> out;
  const auto put = [&](const std::string& path, std::vector<std::int64_t> down, std::vector<std::int64_t> up) {
    std::string flat = path;
    for (char& c : flat) c = c == '.' ? '_' : c;
    const Tensor a = rng.normal(down), b = rng.normal(up);
    if (form == "peft") out["unet." + path + ".lora_A.weight"] = a, out["unet." + path + ".lora_B.weight"] = b;
    if (form == "bare") out[path + ".lora_A.weight"] = a, out[path + ".lora_B.weight"] = b;
    if (form == "old") out["unet." + path + ".lora.down.weight"] = a, out["unet." + path + ".lora.up.weight"] = b;
    if (form == "kohya")
      out["lora_unet_" + flat + ".lora_down.weight"] = a, out["lora_unet_" + flat + ".lora_up.weight"] = b;
    if (alpha) out[(form == "kohya" ? "lora_unet_" + flat : "unet." + path) + ".alpha"] = at::full({}, 6.0f);
  };
  put("attn.to_q", {2, 6}, {6, 2});
  put("conv1", {3, 2, 3, 3}, {6, 3, 1, 1});
  return out;
}

}  // namespace

TEST_CASE("lora: attaching freezes the base, changes nothing, and starts as peft's gaussian") {
  const Tensor before = frozen_output(std::make_shared<Net>());
  auto net = std::make_shared<Net>();
  Lora lora = Lora::attach(*net, {.rank = 2, .seed = 5});
  CHECK(net->forward(image()).equal(before));
  for (const auto& p : net->parameters()) CHECK_FALSE(p.requires_grad());
  CHECK(lora.num_layers() == 4);
  CHECK(lora.num_parameters() == 4 * (2 * 6 + 6 * 2));
  CHECK(lora.options().alpha == 2);
  const auto named = lora.named_parameters();
  CHECK(named[0].first == "attn.to_k.lora_A.weight");
  CHECK(named[1].first == "attn.to_k.lora_B.weight");
  CHECK(named[2].first == "attn.to_out.0.lora_A.weight");
  for (const auto& [name, p] : named) {
    CHECK(p.is_leaf());
    CHECK(p.requires_grad());
    CHECK((p.scalar_type() == at::kFloat));
    CHECK((name.find("lora_B") == std::string::npos) == (p.abs().max().item<double>() > 0));
  }
  struct Big : torch::nn::Module {
    Big() { register_module("to_q", std::make_shared<Linear>(2000, 3)); }
  } big;
  const Lora many = Lora::attach(big, {.rank = 4, .targets = {"to_q"}});
  CHECK(many.parameters()[0].std().item<double>() == doctest::Approx(0.25).epsilon(0.05));
}

TEST_CASE("lora: the seed decides the start, layers differ") {
  const auto start = [](std::uint64_t seed) {
    auto net = std::make_shared<Net>();
    return Lora::attach(*net, {.rank = 2, .seed = seed}).parameters();
  };
  CHECK(equal(start(1), start(1)));
  CHECK_FALSE(equal(start(1), start(2)));
  CHECK_FALSE(start(1)[0].equal(start(1)[2]));
}

TEST_CASE("lora: targets follow peft's rule, the special words, and errors") {
  const auto count = [](std::vector<std::string> targets) {
    auto net = std::make_shared<Net>();
    return Lora::attach(*net, {.rank = 1, .targets = std::move(targets)}).num_layers();
  };
  CHECK(count({"to_q"}) == 1);
  CHECK(count({"attn.to_q", "to_q"}) == 1);
  CHECK(count({"conv1"}) == 1);
  CHECK(count({"all-linear"}) == 4);
  CHECK(count({"all"}) == 5);
  CHECK_THROWS_WITH_AS(count({"o_q"}), doctest::Contains("no layer is called 'o_q'"), Error);
  CHECK_THROWS_WITH_AS(count({}), doctest::Contains("at least one target"), Error);
  auto net = std::make_shared<Net>();
  CHECK_THROWS_WITH_AS(Lora::attach(*net, {.rank = 0}), doctest::Contains("rank must be at least 1"), Error);
  CHECK_THROWS_WITH_AS(Lora::attach(*net, {.alpha = -1}), doctest::Contains("alpha"), Error);
  CHECK(AdapterScope(*net, AdapterMode::kApart).size() == 0);  // the failed calls left nothing behind
}

TEST_CASE("lora: gradients by autograd agree with differences, for a convolution with stride too") {
  auto net = std::make_shared<Net>();
  net->to(at::kDouble);
  Lora lora = Lora::attach(*net, {.rank = 2, .alpha = 3, .targets = {"all"}});
  randomize(lora);
  const Tensor x = image().to(at::kDouble);
  const auto loss = [&] { return net->forward(x).square().mean(); };
  const auto parameters = lora.parameters();
  const auto grads = torch::autograd::grad({loss()}, parameters);
  Rng rng(8);
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Tensor direction = rng.normal(parameters[i].sizes(), at::kDouble);
    const double eps = 1e-6;
    Tensor p = parameters[i];
    p.add_(direction, eps);
    const double up = loss().item<double>();
    p.add_(direction, -2 * eps);
    const double down = loss().item<double>();
    p.add_(direction, eps);
    CHECK((up - down) / (2 * eps) == doctest::Approx((grads[i] * direction).sum().item<double>()).epsilon(1e-6));
  }
}

TEST_CASE("lora: set_scale, detach and merge") {
  const torch::NoGradGuard no_grad;
  auto net = std::make_shared<Net>();
  const Tensor base = frozen_output(net);
  Lora lora = Lora::attach(*net, {.rank = 2, .alpha = 4, .targets = {"all"}});
  randomize(lora);
  const Tensor tuned = net->forward(image());
  CHECK_FALSE(at::allclose(tuned, base, 1e-2, 1e-2));
  lora.set_scale(0);
  CHECK(net->forward(image()).equal(base));
  lora.set_scale(0.5);
  const Tensor half = net->forward(image());
  CHECK_FALSE(at::allclose(half, base, 1e-3, 1e-3));
  CHECK_FALSE(at::allclose(half, tuned, 1e-3, 1e-3));
  {
    const AdapterScope merged(*net, AdapterMode::kMerged);
    CHECK(at::allclose(net->forward(image()), half, 1e-4, 1e-4));
    lora.set_scale(1);  // the merged weights follow
    CHECK(at::allclose(net->forward(image()), tuned, 1e-4, 1e-4));
  }
  lora.detach();
  lora.detach();
  CHECK(net->forward(image()).equal(base));
  CHECK_THROWS_WITH_AS(lora.merge(), doctest::Contains("detached or merged already"), Error);
  Lora again = Lora::attach(*net, {.rank = 2, .alpha = 4, .targets = {"all"}});
  randomize(again);
  again.merge();
  CHECK(at::allclose(net->forward(image()), tuned, 1e-4, 1e-4));
  CHECK(AdapterScope(*net, AdapterMode::kReference).size() == 0);
}

TEST_CASE("lora: a saved adapter loads with the same bits in both forms") {
  const Folder folder;
  for (const double alpha : {0.0, 6.0, 1.5}) {  // rank 3: factors of 1, 2 and 0.5
    auto net = std::make_shared<Net>();
    Lora lora = Lora::attach(*net, {.rank = 3, .alpha = alpha, .targets = {"all"}});
    randomize(lora);
    lora.save(folder.path / "deep" / "lora");
    lora.save(folder.path / "single.safetensors");
    lora.save_kohya(folder.path / "kohya.safetensors");
    const Tensor tuned = net->forward(image());
    for (const char* name :
         {"deep/lora", "deep/lora/pytorch_lora_weights.safetensors", "single.safetensors", "kohya.safetensors"}) {
      CAPTURE(name);
      auto fresh = std::make_shared<Net>();
      const Lora loaded = Lora::load(*fresh, folder.path / name);
      CHECK(fresh->forward(image()).equal(tuned));
      CHECK((std::string(name) == "kohya.safetensors" || alpha == 0) == equal(loaded.parameters(), lora.parameters()));
      for (const auto& p : fresh->parameters()) CHECK_FALSE(p.requires_grad());
      for (const auto& p : loaded.parameters()) CHECK((p.requires_grad() && p.is_leaf()));
    }
  }
}

TEST_CASE("lora: the strength travels with the file, and a strength of 0 is not saved") {
  const Folder folder;
  auto net = std::make_shared<Net>();
  Lora lora = Lora::attach(*net, {.rank = 3, .alpha = 6, .targets = {"all"}});
  randomize(lora);
  lora.set_scale(0.7);
  const torch::NoGradGuard no_grad;
  const Tensor tuned = net->forward(image());
  lora.save(folder.path);
  lora.save_kohya(folder.path / "kohya.safetensors");
  for (const char* name : {kLoraFileName, "kohya.safetensors"}) {
    CAPTURE(name);
    auto fresh = std::make_shared<Net>();
    const Lora loaded = Lora::load(*fresh, folder.path / name);
    CHECK(loaded.scale() == 1);
    CHECK(at::allclose(fresh->forward(image()), tuned, 1e-5, 1e-6));
  }
  lora.set_scale(1.4);
  lora.save(folder.path / "half.safetensors", 0.5);
  CHECK(lora.scale() == 1.4);
  auto fresh = std::make_shared<Net>();
  const Lora half = Lora::load(*fresh, folder.path / "half.safetensors");
  CHECK(at::allclose(fresh->forward(image()), tuned, 1e-5, 1e-6));
  for (const double strength : {0.0, std::numeric_limits<double>::quiet_NaN()})
    CHECK_THROWS_WITH_AS(lora.save(folder.path, strength), doctest::Contains("strength of a file must be a finite"),
                         Error);
  lora.set_scale(0);
  CHECK_THROWS_WITH_AS(lora.save(folder.path), doctest::Contains("strength 0 would hold nothing"), Error);
  CHECK_THROWS_WITH_AS(lora.save_kohya(folder.path / "k.safetensors"), doctest::Contains("strength 0"), Error);
}

TEST_CASE("lora: several adapters add up, each with its scale; detach and merge take one of them") {
  const torch::NoGradGuard no_grad;
  auto net = std::make_shared<Net>();
  net->to(at::kDouble);
  const auto output = [&] { return net->forward(image().to(at::kDouble)); };
  const auto near = [](const Tensor& a, const Tensor& b) { return at::allclose(a, b, 1e-12, 1e-12); };
  Lora one = Lora::attach(*net, {.rank = 2, .alpha = 3, .targets = {"all"}});
  Lora two = Lora::attach(*net, {.rank = 5, .targets = {"to_q", "conv1"}});
  randomize(one, 1);
  randomize(two, 2);
  one.set_scale(0.5);
  two.set_scale(-2);
  const Tensor both = output();
  {
    const AdapterScope merged(*net, AdapterMode::kMerged);
    CHECK(merged.size() == 5);
    CHECK(near(output(), both));
    two.set_scale(1);
    CHECK_FALSE(near(output(), both));
    two.set_scale(-2);
  }
  // the same by weights: W + 0.5 * 3/2 * B1 A1 - 2 * B2 A2
  auto plain = std::make_shared<Net>();
  plain->to(at::kDouble);
  const auto add = [&](const Lora& lora, double scale, const std::string& path, Tensor& weight) {
    for (const auto& [name, layer] : lora.saved_layers())
      if (name == path) weight += scale * layer.up.flatten(1).matmul(layer.down.flatten(1)).view(weight.sizes());
  };
  const auto weights = plain->named_parameters();
  for (const char* path : {"attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "conv1"}) {
    Tensor weight = weights[std::string(path) + ".weight"];
    add(one, 0.75, path, weight);
    add(two, -2, path, weight);
  }
  CHECK(near(plain->forward(image().to(at::kDouble)), both));

  one.detach();
  Tensor alone = output();
  two.set_scale(0);
  CHECK_FALSE(near(output(), alone));
  two.set_scale(-2);
  CHECK(near(output(), alone));
  two.merge();
  CHECK(near(output(), alone));
  CHECK(AdapterScope(*net, AdapterMode::kReference).size() == 0);
}

TEST_CASE("lora: gradients with a frozen and a trained adapter equal those of plain autograd, in double") {
  auto net = std::make_shared<Net>();
  net->to(at::kDouble);
  const Tensor x = image().to(at::kDouble).requires_grad_();
  Lora frozen = Lora::attach(*net, {.rank = 3, .alpha = 2, .targets = {"all"}});
  Lora trained = Lora::attach(*net, {.rank = 2, .alpha = 3, .targets = {"to_q", "to_out.0", "conv1"}});
  randomize(frozen, 1);
  randomize(trained, 2);
  frozen.freeze();
  frozen.set_scale(0.6);
  for (const Tensor& p : frozen.parameters()) CHECK_FALSE(p.requires_grad());
  const Tensor loss = net->forward(x).square().mean();
  std::vector<Tensor> wanted = trained.parameters();
  wanted.push_back(x);
  const auto grads = torch::autograd::grad({loss}, wanted);

  // W' = W + 0.6 * 2/3 * B1 A1 + 3/2 * B2 A2 as tensors of autograd
  std::map<std::string, Tensor> w;
  for (const auto& item : net->named_parameters()) w[item.key()] = item.value().detach();
  const auto add = [&](const Lora& lora) {
    for (const auto& [path, l] : lora.saved_layers()) {
      Tensor& weight = w.at(path + ".weight");
      weight = weight + l.scale * l.up.flatten(1).matmul(l.down.flatten(1)).view(weight.sizes());
    }
  };
  add(frozen);
  add(trained);
  const Tensor tokens = at::conv2d(x, w["conv1.weight"], w["conv1.bias"], 2, 1).flatten(2).transpose(1, 2);
  const auto linear = [&](const Tensor& t, const std::string& path) { return t.matmul(w.at(path + ".weight").t()); };
  const Tensor mixed = (linear(tokens, "attn.to_q") * linear(tokens, "attn.to_k")).tanh() + linear(tokens, "attn.to_v");
  const Tensor plain = (linear(mixed, "attn.to_out.0") + w["attn.to_out.0.bias"]).square().mean();
  CHECK(loss.item<double>() == doctest::Approx(plain.item<double>()).epsilon(1e-12));
  const auto expected = torch::autograd::grad({plain}, wanted);
  for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(at::allclose(grads[i], expected[i], 1e-10, 1e-12));
}

TEST_CASE("lora: the reference network keeps frozen adapters and what was kept of trained ones") {
  const torch::NoGradGuard no_grad;
  auto net = std::make_shared<Net>();
  const Tensor base = frozen_output(net);
  Lora frozen = Lora::attach(*net, {.rank = 2, .targets = {"all"}});
  randomize(frozen, 1);
  frozen.freeze();
  const Tensor model = net->forward(image());
  CHECK_FALSE(AdapterScope(*net, AdapterMode::kReference).trains());
  Lora trained = Lora::attach(*net, {.rank = 2, .targets = {"all"}});
  randomize(trained, 2);
  const Tensor begun = net->forward(image());
  const auto reference = [&] {
    const AdapterScope outer(*net, AdapterMode::kReference);
    CHECK(outer.trains());
    const AdapterScope rollout(*net, AdapterMode::kMerged);  // a rollout of the reference is one
    return net->forward(image());
  };
  CHECK(reference().equal(model));
  trained.keep_reference();
  randomize(trained, 3);
  CHECK(at::allclose(reference(), begun, 1e-6, 1e-6));
  CHECK_FALSE(at::allclose(net->forward(image()), begun, 1e-3, 1e-3));
  {
    const AdapterScope rollout(*net, AdapterMode::kMerged);
    CHECK(at::allclose(reference(), begun, 1e-6, 1e-6));
    CHECK(at::allclose(net->attn->q->merged_weight(at::kFloat),
                       net->attn->q->weight + trained.saved_layers().at("attn.to_q").delta() +
                           frozen.saved_layers().at("attn.to_q").delta(),
                       1e-5, 1e-5));
  }
  trained.detach();
  CHECK(net->forward(image()).equal(model));
  frozen.detach();
  CHECK(net->forward(image()).equal(base));
}

TEST_CASE("lora: the diffusers file says what peft needs") {
  const Folder folder;
  auto net = std::make_shared<Net>();
  Lora::attach(*net, {.rank = 3, .alpha = 6, .targets = {"to_q", "conv1"}}).save(folder.path);
  const auto file = SafetensorsFile::open(folder.path / "pytorch_lora_weights.safetensors");
  CHECK(file.names() == std::vector<std::string>{"unet.attn.to_q.lora_A.weight", "unet.attn.to_q.lora_B.weight",
                                                 "unet.conv1.lora_A.weight", "unet.conv1.lora_B.weight"});
  CHECK(file.shape("unet.conv1.lora_A.weight") == std::vector<std::int64_t>{3, 2, 3, 3});
  CHECK(file.shape("unet.conv1.lora_B.weight") == std::vector<std::int64_t>{6, 3, 1, 1});
  CHECK(file.metadata().at("format") == "pt");
  const auto metadata = nlohmann::json::parse(file.metadata().at("lora_adapter_metadata"));
  CHECK(metadata.at("unet.r").get<int>() == 3);
  CHECK(metadata.at("unet.lora_alpha").get<int>() == 3);  // the factor of 2 is in B
  CHECK(metadata.at("unet.target_modules").dump() == R"(["to_q","conv1"])");
}

TEST_CASE("lora: files of other programs") {
  const Folder folder;
  const torch::NoGradGuard no_grad;
  const auto path = folder.path / "x.safetensors";
  const auto run = [&](const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {}) {
    save_safetensors(path, tensors, metadata);
    auto net = std::make_shared<Net>();
    Lora::load(*net, path).merge();
    return net;
  };
  const auto factors = tensors_in("bare", false);
  const auto delta = [&](const std::string& layer, double scale) {
    const Tensor a = factors.at(layer + ".lora_A.weight"), b = factors.at(layer + ".lora_B.weight");
    auto shape = a.sizes().vec();
    shape[0] = b.size(0);
    return scale * b.flatten(1).matmul(a.flatten(1)).view(shape);
  };
  const Net base;
  const auto added = [&](const std::shared_ptr<Net>& net, double q, double conv) {
    return at::allclose(net->attn->q->weight - base.attn->q->weight, delta("attn.to_q", q), 1e-4, 1e-5) &&
           at::allclose(net->conv1->weight - base.conv1->weight, delta("conv1", conv), 1e-4, 1e-5);
  };
  for (const char* form : {"peft", "old", "kohya", "bare"}) {
    CAPTURE(form);
    CHECK(added(run(tensors_in(form, false)), 1, 1));  // no alpha: alpha = rank
    if (std::string(form) != "bare") CHECK(added(run(tensors_in(form, true)), 6.0 / 2, 6.0 / 3));
  }
  const auto metadata = [](const std::string& text) {
    return std::map<std::string, std::string>{{"lora_adapter_metadata", text}};
  };
  const auto peft = tensors_in("peft", false);
  CHECK(added(run(peft, metadata(R"({"unet.r":2,"unet.lora_alpha":6})")), 3, 2));
  CHECK(added(run(peft, metadata(R"({"unet.r":2,"unet.lora_alpha":6,"unet.alpha_pattern":{"to_q":4}})")), 2, 2));
  CHECK(added(run(peft, metadata(R"({"unet.r":2,"unet.lora_alpha":6,"unet.use_rslora":true})")), 6 / std::sqrt(2.0),
              6 / std::sqrt(3.0)));
  CHECK(added(run(peft, metadata(R"({"text_encoder.lora_alpha":6})")), 1, 1));
  // the layer's own alpha wins
  CHECK(added(run(tensors_in("peft", true), metadata(R"({"unet.lora_alpha":60})")), 3, 2));

  auto processor = std::map<std::string, Tensor>{
      {"unet.attn.processor.to_q_lora.down.weight", factors.at("attn.to_q.lora_A.weight")},
      {"unet.attn.processor.to_q_lora.up.weight", factors.at("attn.to_q.lora_B.weight")},
      {"unet.attn.processor.to_out_lora.down.weight", factors.at("attn.to_q.lora_A.weight")},
      {"unet.attn.processor.to_out_lora.up.weight", factors.at("attn.to_q.lora_B.weight")}};
  const auto net = run(processor);
  CHECK(at::allclose(net->attn->q->weight - base.attn->q->weight, delta("attn.to_q", 1), 1e-4, 1e-5));
  CHECK(at::allclose(net->attn->out->weight - base.attn->out->weight, delta("attn.to_q", 1), 1e-4, 1e-5));

  // Layers of different rank survive another round through the diffusers form.
  auto mixed = std::make_shared<Net>();
  save_safetensors(path, tensors_in("kohya", true));
  Lora lora = Lora::load(*mixed, path);
  lora.save(folder.path / "round");
  auto other = std::make_shared<Net>();
  Lora::load(*other, folder.path / "round").merge();
  CHECK(added(other, 3, 2));
}

TEST_CASE("lora: half-precision files become float32 factors") {
  const Folder folder;
  auto tensors = tensors_in("peft", false);
  for (auto& [name, tensor] : tensors) tensor = tensor.to(at::kHalf);
  save_safetensors(folder.path / "half.safetensors", tensors);
  auto net = std::make_shared<Net>();
  const Lora lora = Lora::load(*net, folder.path / "half.safetensors");
  for (const auto& [name, p] : lora.named_parameters()) {
    CHECK((p.scalar_type() == at::kFloat));
    CHECK(p.detach().equal(tensors.at("unet." + name).to(at::kFloat)));
  }
}

TEST_CASE("lora: files that do not fit are named errors and leave the network as it was") {
  const Folder folder;
  const auto path = folder.path / "bad.safetensors";
  const auto fails = [&](const std::map<std::string, Tensor>& tensors, const char* message,
                         const std::map<std::string, std::string>& metadata = {}) {
    save_safetensors(path, tensors, metadata);
    auto net = std::make_shared<Net>();
    CHECK_THROWS_WITH_AS(Lora::load(*net, path), doctest::Contains(message), Error);
    CHECK(AdapterScope(*net, AdapterMode::kReference).size() == 0);
    CHECK(net->conv1->weight.requires_grad());
  };
  const auto good = tensors_in("peft", false);
  const auto with = [&](std::map<std::string, Tensor> extra) {
    extra.insert(good.begin(), good.end());
    return extra;
  };
  fails({}, "holds no adapter");
  fails(with({{"unet.attn.to_x.lora_A.weight", at::rand({2, 6})}}),
        "1 names that match no layer: 'unet.attn.to_x.lora_A.weight'");
  fails(with({{"text_encoder.q.lora_A.weight", at::rand({2, 6})}}), "match no layer: 'text_encoder.q.lora_A.weight'");
  fails(with({{"text_encoder.q.lora_A.weight", at::rand({2, 6})}}),
        "; names like those of the part text_encoder, which was not given");
  fails(with({{"unet.attn.to_k.lora_A.weight", at::rand({2, 6})}}), "1 layers without both factors: 'attn.to_k'");
  fails(with({{"unet.attn.to_k.alpha", at::rand({})}}), "layers without both factors: 'attn.to_k'");
  fails(with({{"attn.to_q.lora_A.weight", at::rand({2, 6})}}), "two tensors for the same factor of 'attn.to_q'");
  fails(with({{"unet.attn.to_q.alpha", at::rand({2})}}), "must be one number, got shape [2]");
  fails(with({{"unet.attn.to_q.alpha", at::full({}, NAN)}}), "alpha of 'attn.to_q' is not finite");
  fails(with({{"unet.attn.to_k.lora_A.weight", at::rand({2, 6})}, {"unet.attn.to_k.lora_B.weight", at::rand({6, 3})}}),
        "have the shapes [2,6] and [6,3]");
  fails(with({{"unet.attn.to_k.lora_A.weight", at::rand({2, 5})}, {"unet.attn.to_k.lora_B.weight", at::rand({6, 2})}}),
        "'attn.to_k': found factors of shape [2,5] and [6,2], expected [2,6] and [6,2]");
  fails(with({{"unet.attn.to_k.lora_A.weight", at::rand({})}, {"unet.attn.to_k.lora_B.weight", at::rand({6, 2})}}),
        "expected [rank, in, ...]");
  fails(good, "is that of a DoRA (use_dora is 'true')",
        {{"lora_adapter_metadata", R"({"unet.lora_alpha":1,"unet.use_dora":true})"}});
  fails(good, "no number lora_alpha", {{"lora_adapter_metadata", R"({"unet.r":1})"}});
  fails(good, "[Json] lora_adapter_metadata of", {{"lora_adapter_metadata", "{"}});
  fails(good, "must be an object", {{"lora_adapter_metadata", "[]"}});
  auto net = std::make_shared<Net>();
  CHECK_THROWS_WITH_AS(Lora::load(*net, folder.path / "nothing here"), doctest::Contains("got nothing at"), Error);
}

TEST_CASE("lora: fp16 and bf16 networks get float32 factors, and training moves only the factors") {
  auto net = std::make_shared<Net>();
  net->to(at::kBFloat16);
  const Tensor weight = net->attn->q->weight.detach().clone();
  Lora lora = Lora::attach(*net, {.rank = 2});
  randomize(lora);
  const Tensor out = net->forward(image().to(at::kBFloat16));
  CHECK((out.scalar_type() == at::kBFloat16));
  const auto grads = torch::autograd::grad({out.to(at::kFloat).square().sum()}, lora.parameters());
  for (const auto& g : grads) CHECK((g.scalar_type() == at::kFloat && g.abs().max().item<double>() > 0));
  CHECK(net->attn->q->weight.equal(weight));
}

}  // namespace lora_test
