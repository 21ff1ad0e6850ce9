// The blocks of an update one by one: the network, the decoder, each reward, the optimizer, and the operators for
// frozen weights against LibTorch's own.
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <benchmarks/google.hpp>
#include <reward_tuner/layers/adapted_linear.hpp>
#include <reward_tuner/layers/dot_product_attention.hpp>
#include <reward_tuner/layers/frozen_ops.hpp>
#include <reward_tuner/layers/upsampled_conv.hpp>
#include <reward_tuner/optim/adamw_8bit.hpp>
#include <reward_tuner/rewards/aesthetic.hpp>
#include <reward_tuner/rewards/brightness.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/colorfulness.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>
#include <reward_tuner/rewards/jpeg_size.hpp>
#include <reward_tuner/rewards/random_shift.hpp>
#include <reward_tuner/shapes/shape_reward.hpp>

namespace {

using namespace bench;

struct Inputs {
  Tensor latents, both, times, embeddings, cotangent, images;
};

std::shared_ptr<Inputs> make_inputs(const Settings& s, Model& model) {
  const auto in = std::make_shared<Inputs>();
  rt::Rng rng(3);
  const auto condition = model.pipeline.encode(prompts(s.batch));
  in->latents = rng.normal(model.pipeline.latent_shape(s.batch));                            // [B,C,h,w]
  in->both = at::cat({in->latents, in->latents});                                            // [2B,C,h,w]
  in->times = at::full({2 * s.batch}, 501, at::kLong);                                       // [2B]
  in->embeddings = at::cat({condition.negative.embeddings, condition.positive.embeddings});  // [2B,L,D]
  in->cotangent = rng.normal(in->both.sizes());                                              // [2B,C,h,w]
  const torch::NoGradGuard no_grad;
  in->images = model.pipeline.decode(in->latents);  // [B,3,H,W]
  return in;
}

/// A step on all weights of the UNet. The first one makes the moments: they are in its peak.
template <class Optimizer>
void add_optimizer(const Settings& s, const std::string& name, const std::shared_ptr<Model>& model) {
  const auto optimizer = std::make_shared<std::optional<Optimizer>>();
  const auto parameters = std::make_shared<std::vector<Tensor>>();
  const auto weights = [=] {  // copies, with gradients: the model stays
    for (const Tensor& p : model->pipeline.unet().parameters()) {
      parameters->push_back(p.detach().clone().requires_grad_());
      parameters->back().mutable_grad() = at::full_like(p, 1e-3);
    }
    return 0;
  };
  add_block(
      s, "optimizer/step_full/" + name,
      [=] {
        if (!*optimizer) optimizer->emplace(*parameters);
        (*optimizer)->step();
      },
      [=] { return parameters->empty() ? weights() : 0; });
}

void add_network(const Settings& s, const std::shared_ptr<Model>& model, const std::shared_ptr<Inputs>& in) {
  const auto call = [model, in](const Tensor& x) {
    return model->pipeline.unet().forward(x, in->times, in->embeddings);
  };
  const auto forward = [=] {
    const torch::NoGradGuard no_grad;
    call(in->both);
  };
  add_block(s, "unet/forward/adapters_merged", forward,
            [model] { return std::make_unique<rt::AdapterScope>(model->pipeline.unet(), rt::AdapterMode::kMerged); });
  add_block(s, "unet/forward/adapters_apart", forward);
  add_block(s, "unet/forward_backward/to_lora", [=] { torch::autograd::backward({call(in->both)}, {in->cotangent}); });
  add_block(s, "unet/forward_backward/to_lora_and_input",
            [=] { torch::autograd::backward({call(in->both.detach().requires_grad_())}, {in->cotangent}); });
  add_block(s, "text/encode", [=] { model->pipeline.encode(prompts(s.batch)); });
  add_block(s, "decoder/forward", [=] {
    const torch::NoGradGuard no_grad;
    model->pipeline.decode(in->latents);
  });
  const auto decode_backward = [=](bool tiled) {
    model->pipeline.vae().set_tiling(tiled);
    const Tensor leaf = in->latents.detach().requires_grad_();
    torch::autograd::grad({rt::literal_symmetry_error(model->pipeline.decode(leaf)).sum()}, {leaf});
    model->pipeline.vae().set_tiling(false);
  };
  add_block(s, "decoder/forward_backward_with_symmetry", [=] { decode_backward(false); });
  add_block(s, "decoder/forward_backward_with_symmetry/vae_tiling", [=] { decode_backward(true); });
  add_block(s, "optimizer/step", [=] {
    if (!model->lora.parameters().front().grad().defined())
      torch::autograd::backward({call(in->both)}, {in->cotangent});
    model->optimizer().step();
  });
  add_optimizer<rt::AdamW>(s, "adamw", model);
  add_optimizer<rt::AdamW8bit>(s, "adamw8bit", model);
}

template <class Reward>
void add_reward(const Settings& s, const std::shared_ptr<Inputs>& in, const Reward& reward,
                const std::string& suffix = "") {
  const std::string name = "reward/" + std::string(Reward::kName) + suffix;
  const auto input = [in, &s](const Tensor& images) {
    return rt::RewardInput{
        images, prompts(s.batch), {}, {}, std::vector<std::uint64_t>(static_cast<std::size_t>(s.batch), 5)};
  };
  if constexpr (Reward::kDifferentiable) {
    add_block(s, name + "/score_backward", [=] {
      const Tensor leaf = in->images.detach().requires_grad_();
      torch::autograd::grad({reward.score(input(leaf)).values.sum()}, {leaf});
    });
  } else {
    add_block(s, name + "/score", [=] { reward.score(input(in->images)); });
  }
}

void add_rewards(const Settings& s, const std::shared_ptr<Model>& model, const std::shared_ptr<Inputs>& in) {
  add_reward(s, in, rt::SymmetryReward());
  add_reward(s, in, rt::BrightnessReward());
  add_reward(s, in, rt::ColorfulnessReward());
  add_reward(s, in, rt::JpegErrorReward());
  add_reward(s, in, rt::JpegSizeReward());
  add_reward(s, in, rt::shapes::ShapeReward());
  add_reward(s, in, rt::RandomlyShifted(rt::SymmetryReward(), 5), "/symmetry");
  if (std::filesystem::is_directory(model->pipeline.folder() / "clip")) {
    const auto clip = model->pipeline.clip();
    add_reward(s, in, rt::ClipScoreReward(clip));
    const auto width = clip->config().projection_dim;
    add_reward(s, in, rt::AestheticReward(rt::AestheticHead({{at::full({1, width}, 0.1), at::zeros({1})}}), clip));
  }
}

/// One operator of a frozen layer, ours and LibTorch's: without gradient, and back to its input.
void add_operator(const Settings& s, const std::string& kind, const std::string& function, const std::string& size,
                  const Tensor& x, const Tensor& cotangent, const std::function<Tensor(const Tensor&)>& f) {
  add_block(s, kind + "/forward/" + function + size, [=] {
    const torch::NoGradGuard no_grad;
    f(x);
  });
  add_block(s, kind + "/forward_backward/" + function + size, [=] {
    const Tensor leaf = x.detach().requires_grad_();
    torch::autograd::grad({f(leaf)}, {leaf}, {cotangent});
  });
}

void add_linear(const Settings& s, std::int64_t batch, std::int64_t length, std::int64_t in, std::int64_t out) {
  rt::Rng rng(4);
  const Tensor x = rng.normal({batch, length, in}), w = rng.normal({out, in}), b = rng.normal({out}),
               g = rng.normal({batch, length, out});
  const std::string size = "/" + std::to_string(batch) + "x" + std::to_string(length) + "x" + std::to_string(in) +
                           "_to_" + std::to_string(out);
  add_operator(s, "linear", "apply_linear", size, x, g,
               [=](const Tensor& input) { return rt::apply_linear(input, w, b); });
  add_operator(s, "linear", "at_linear", size, x, g, [=](const Tensor& input) { return at::linear(input, w, b); });
}

void add_convolution(const Settings& s, std::int64_t batch, std::int64_t side, std::int64_t in, std::int64_t out) {
  rt::Rng rng(5);
  const Tensor x = rng.normal({batch, in, side, side}), w = rng.normal({out, in, 3, 3}), b = rng.normal({out}),
               g = rng.normal({batch, out, side, side});
  const std::string size = "/" + std::to_string(batch) + "x" + std::to_string(in) + "x" + std::to_string(side) + "x" +
                           std::to_string(side) + "_to_" + std::to_string(out);
  add_operator(s, "convolution", "apply_conv2d", size, x, g,
               [=](const Tensor& input) { return rt::apply_conv2d(input, w, b, 1, 1); });
  add_operator(s, "convolution", "at_conv2d", size, x, g,
               [=](const Tensor& input) { return at::conv2d(input, w, b, 1, 1); });
}

void add_upsampled(const Settings& s, std::int64_t batch, std::int64_t side, std::int64_t width) {
  rt::Rng rng(6);
  const Tensor x = rng.normal({batch, width, side, side}), w = rng.normal({width, width, 3, 3}),
               b = rng.normal({width}), g = rng.normal({batch, width, 2 * side, 2 * side});
  const std::string size = "/" + std::to_string(batch) + "x" + std::to_string(width) + "x" + std::to_string(side) +
                           "x" + std::to_string(side);
  add_operator(s, "upsampled", "upsampled_conv2d", size, x, g,
               [=](const Tensor& input) { return rt::upsampled_conv2d(input, w, b); });
  add_operator(s, "upsampled", "two_steps", size, x, g, [=](const Tensor& input) {
    return rt::apply_conv2d(at::upsample_nearest2d(input, at::IntArrayRef{2 * side, 2 * side}), w, b, 1, 1);
  });
}

/// With gradients of the adapter as well.
void add_adapted(const Settings& s, std::int64_t batch, std::int64_t length, std::int64_t width) {
  rt::Rng rng(7);
  const auto trained = [&](std::vector<std::int64_t> shape) { return rng.normal(shape).requires_grad_(); };
  const Tensor x = rng.normal({batch, length, width}), w = rng.normal({width, width}), down = trained({4, width}),
               up = trained({width, 4}), g = rng.normal({batch, length, width});
  const std::string size = "/" + std::to_string(batch) + "x" + std::to_string(length) + "x" + std::to_string(width);
  const auto add = [&](const std::string& function, const std::function<Tensor(const Tensor&)>& f) {
    add_block(s, "adapted/forward_backward/" + function + size, [=] {
      const Tensor leaf = x.detach().requires_grad_();
      torch::autograd::grad({f(leaf)}, {leaf, down, up}, {g});
    });
  };
  add("adapted_linear", [=](const Tensor& input) { return rt::adapted_linear(input, w, std::nullopt, down, up, 0.5); });
  add("composition",
      [=](const Tensor& input) { return rt::apply_linear(input, w) + at::linear(at::linear(input, down), 0.5 * up); });
}

/// Back to queries, keys and values.
void add_attention(const Settings& s, std::int64_t batch, std::int64_t length, std::int64_t head_width,
                   at::ScalarType type) {
  rt::Rng rng(8);
  const auto heads = [&] { return rng.normal({batch, length, 4, head_width}).to(type).transpose(1, 2); };
  const Tensor q = heads(), k = heads(), v = heads(), g = heads();
  const std::string size = "/" + std::to_string(batch) + "x4x" + std::to_string(length) + "x" +
                           std::to_string(head_width) + "/" + (type == at::kFloat ? "float32" : "bfloat16");
  const auto add = [&](const std::string& function,
                       const std::function<Tensor(const Tensor&, const Tensor&, const Tensor&)>& f) {
    add_block(s, "attention/forward_backward/" + function + size, [=] {
      const Tensor a = q.detach().requires_grad_(), b = k.detach().requires_grad_(), c = v.detach().requires_grad_();
      torch::autograd::grad({f(a, b, c)}, {a, b, c}, {g});
    });
  };
  add("dot_product_attention",
      [](const Tensor& a, const Tensor& b, const Tensor& c) { return rt::dot_product_attention(a, b, c); });
  add("at_sdpa",
      [](const Tensor& a, const Tensor& b, const Tensor& c) { return at::scaled_dot_product_attention(a, b, c); });
}

/// At the sizes of the tiny model's layers, and of the widest sequences of Stable Diffusion 1.5.
void add_operators(const Settings& s) {
  add_linear(s, 16, 64, 96, 96);
  add_linear(s, 16, 64, 96, 768);
  add_linear(s, 16, 64, 384, 96);
  add_linear(s, 2, 4096, 320, 320);
  add_linear(s, 2, 1024, 640, 5120);
  add_convolution(s, 16, 16, 48, 48);
  add_convolution(s, 16, 8, 96, 96);
  add_convolution(s, 2, 64, 320, 320);
  add_upsampled(s, 16, 8, 96);
  add_upsampled(s, 2, 32, 640);
  add_adapted(s, 16, 64, 96);
  add_adapted(s, 2, 4096, 320);
  for (const auto type : {at::kFloat, at::kBFloat16}) add_attention(s, 16, 64, 24, type);
  add_attention(s, 2, 1024, 80, at::kBFloat16);
}

void add_all(const Settings& s) {
  static Settings kept;  // outlives the registered calls
  kept = s;
  const auto model = std::make_shared<Model>(kept);
  const auto in = make_inputs(kept, *model);
  add_network(kept, model, in);
  add_rewards(kept, model, in);
  add_operators(kept);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_google(argc, argv, "The blocks of an update one by one.", add_all);
}
