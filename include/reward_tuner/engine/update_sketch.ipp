// Definitions of update_sketch.hpp.
#pragma once
#include <reward_tuner/engine/update_sketch.hpp>

#include <algorithm>
#include <memory>
#include <utility>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/models/sketch_networks.hpp>
#include <reward_tuner/tensor/sketch.hpp>

namespace reward_tuner {

namespace detail {

/// One update in progress.
class UpdateCourse {
 public:
  explicit UpdateCourse(const UpdateShape& shape)
      : s_(shape),
        unet_layers_(sketch_, shape.machine, shape.training),
        frozen_layers_(sketch_, shape.machine, {}),
        unet_(unet_layers_, shape.unet) {
    for (const auto& text : shape.text) text_layers_.emplace_back(sketch_, shape.machine, text.training);
    call(latents(1), false);  // meets the adapters, which a rollout merges at its beginning
    sketch_.reset_peak();
    micro_ = s_.engine.micro_batch > 0 ? std::min<std::int64_t>(s_.engine.micro_batch, s_.images) : s_.images;
  }

  /// `rows`: network rows whose graphs are kept; unset: as the engine's options say, a budget replays.
  UpdateMemory run(std::optional<std::int64_t> rows) {
    kept_rows_ = rows;
    encode();
    if (s_.samples) run_round();
    else run_direct();
    if (text_trained()) text_backward();
    own_loss();
    top_ = std::max({out_.sampling, out_.scoring, out_.training, sketch_.peak_bytes()});
    for (const auto* layers : all_layers()) {
      out_.trained_numbers += layers->adapter_numbers();
      if (!s_.samples) out_.gradients += layers->gradient_bytes();
    }
    out_.peak = top_;
    return out_;
  }
  /// GraphMeter::rows_within after a run that replayed.
  std::int64_t rows_within(std::int64_t bytes) const {
    const bool several = s_.replicas > 0 || micro_ < s_.images;
    const std::int64_t rest =
        std::max(before_sweep_ + (several ? gradients_ : 0), top_ - out_.graph * s_.engine.replay_batch);
    const std::int64_t per_row = (out_.graph + call_rows(micro_) - 1) / call_rows(micro_);
    return std::max<std::int64_t>(0, bytes - rest) / per_row;
  }
  std::int64_t call_rows(std::int64_t samples) const { return samples * (s_.guided ? 2 : 1); }

 private:
  struct Call {
    SketchTensor raw;
    std::vector<SketchTensor> inputs;
  };
  std::vector<const SketchLayers*> all_layers() const {
    std::vector<const SketchLayers*> all{&unet_layers_};
    for (const auto& layers : text_layers_) all.push_back(&layers);
    return all;
  }
  bool text_trained() const {
    return std::any_of(s_.text.begin(), s_.text.end(),
                       [](const SketchTextEncoder& text) { return text.training.rank != nullptr; });
  }

  SketchTensor latents(std::int64_t samples) {
    return sketch_.empty({samples, s_.unet.in_channels, s_.latents.height, s_.latents.width}, s_.machine.element);
  }
  SketchTensor states(std::int64_t samples) {
    const std::int64_t tokens = s_.text.empty() ? 77 : s_.text.front().tokens;
    return sketch_.empty({samples, tokens, s_.unet.cross_attention_dim.front()}, s_.machine.element);
  }
  /// Remembers the peak since the last mark.
  void mark(std::int64_t UpdateMemory::*part) {
    out_.*part = std::max(out_.*part, sketch_.peak_bytes());
    sketch_.reset_peak();
  }

  /// The text encoders' forward for prompts, the empty prompt and a negative one.
  void encode() {
    for (std::size_t i = 0; i < s_.text.size(); ++i) text_forward(i, s_.images + 2);
    encoded_ = states(s_.images + 2);
    mark(&UpdateMemory::sampling);
  }
  SketchTensor text_forward(std::size_t i, std::int64_t rows) {
    const SketchTextEncoder& text = s_.text[i];
    const SketchTensor x = sketch_.empty({rows, text.tokens, text.config.hidden_size}, s_.machine.element);
    SketchTensor y = sketch_clip_encoder(text_layers_[i], text.config, x, "text_model");
    return text_layers_[i].layer_norm(y, false, "text_model.final_layer_norm");
  }

  /// row_call for samples at one step each.
  Call call(const SketchTensor& x, bool guided) {
    Call out;
    const std::int64_t samples = x.size(0), rows = guided ? 2 * samples : samples;
    SketchTensor input = x, context = states(rows);
    if (guided) input = unet_layers_.concatenate({x, x}, 0);
    if (text_trained() && sketch_.recording()) context = sketch_.leaf(context, of_states_);
    out.raw = unet_.forward(input, context, s_.engine.activation_checkpointing);
    if (guided) {
      const SketchTensor difference = latents(samples), scaled = latents(samples), sum = latents(samples);
    }
    return out;
  }
  /// rows_backward of a call.
  void differentiate(Call& call, bool guided) {
    const SketchTensor cotangent = sketch_.empty(call.raw.sizes(), s_.machine.element);
    const std::int64_t b = call.raw.size(0) / (guided ? 2 : 1);
    const SketchTensor own = latents(b);
    SketchTensor reference;
    if (s_.compared) {
      reference = sketch_.like(call.raw);
      sketch_.workspace(3 * reference.bytes());
    }
    sketch_.backward(call.raw, cotangent);
    call.raw = {};
  }

  SketchTensor merged_weights() {
    SketchTensor merged;
    unet_layers_.set_merged(s_.engine.merge_adapters);
    if (s_.engine.merge_adapters && !s_.engine.rollout_dtype)
      merged = sketch_.empty({unet_layers_.adapted_weight_numbers()}, s_.machine.element);
    return merged;
  }

  /// Decodes and scores `samples` images, with their gradient or without.
  void score(std::int64_t samples, bool with_gradient) {
    const int wanted = s_.engine.decode_batch > 0 ? s_.engine.decode_batch : s_.engine.micro_batch;
    const std::int64_t chunk = wanted > 0 ? std::min<std::int64_t>(wanted, samples) : samples;
    std::vector<SketchTensor> results;
    for (std::int64_t begin = 0; begin < samples; begin += chunk) {
      const Sketch::Recording recording(sketch_, with_gradient);
      auto parameter = std::make_shared<SketchParameter>();
      const std::int64_t size = std::min(chunk, samples - begin);
      const SketchTensor clean =
          sketch_.empty({size, s_.unet.in_channels, s_.latents.height, s_.latents.width}, s_.image_element);
      const SketchTensor leaf = with_gradient ? sketch_.leaf(clean, parameter) : clean;
      const SketchTensor images = sketch_decode(frozen_layers_, s_.vae, leaf);
      const SketchTensor value = reward(images);
      if (with_gradient) sketch_.backward(value, sketch_.like(value));
      results.push_back(parameter->gradient);
    }
    mark(&UpdateMemory::scoring);
  }
  /// A reward of pixels: a few images' worth. One with a network: that network on images of its own size.
  SketchTensor reward(const SketchTensor& images) {
    SketchTensor x = frozen_layers_.scale(images);
    if (!s_.judge) return frozen_layers_.multiply(x, frozen_layers_.scale(x));
    const auto& c = *s_.judge;
    const std::int64_t batch = images.size(0), grid = c.image_size / c.patch_size;
    SketchTensor small = sketch_.empty({batch, 3, c.image_size, c.image_size}, images.element());
    sketch_.record({&small}, {x}, {}, [this, from = x.sizes(), e = x.element()](const std::vector<SketchTensor>&) {
      return only(sketch_.empty(from, e));
    });
    const SketchTensor patches = frozen_layers_.conv(frozen_layers_.scale(small), {.path = "patch_embedding",
                                                                                   .in = 3,
                                                                                   .out = c.hidden_size,
                                                                                   .kernel = c.patch_size,
                                                                                   .stride = c.patch_size,
                                                                                   .bias = false});
    SketchTensor tokens = sketch_.empty({batch, grid * grid + 1, c.hidden_size}, images.element());
    sketch_.record({&tokens}, {patches}, {}, [](std::vector<SketchTensor> g) { return g; });
    tokens = frozen_layers_.layer_norm(tokens, false, "pre_layrnorm");
    return sketch_clip_encoder(frozen_layers_, c, tokens, "vision_model");
  }

  void run_direct() {
    SketchTensor copies = states(micro_), more = states(micro_);
    for (std::int64_t begin = 0; begin < s_.images; begin += micro_) {
      const std::int64_t b = std::min(micro_, s_.images - begin);
      if (s_.trained > 0) rollout(b, s_.trained, s_.steps > s_.trained);
      for (int i = 0; i < s_.replicas; ++i) rollout(b, 1, s_.trained == 0 && i == 0);
    }
  }

  /// One rollout of b samples with its scoring and its sweep.
  void rollout(std::int64_t b, int trained, bool others) {
    std::vector<SketchTensor> stored;
    std::vector<Call> calls(static_cast<std::size_t>(trained));
    const auto kept = [&](int i) {
      if (kept_rows_) return (trained - i) * call_rows(b) <= *kept_rows_;
      return s_.engine.memory == Memory::kRetain;
    };
    const auto trained_call = [&](int i, std::int64_t samples) {
      const Sketch::Recording on(sketch_, true);
      const SketchTensor x = latents(samples);
      const bool enters = s_.passes_input && i > 0;
      const std::int64_t before = sketch_.live_bytes();
      Call out = call(enters ? sketch_.leaf(x, std::make_shared<SketchParameter>()) : x, s_.guided);
      out.inputs.push_back(x);
      out_.graph = std::max(out_.graph, (sketch_.live_bytes() - before) * b / samples);
      return out;
    };
    {
      const SketchTensor merged = merged_weights();
      const SketchTensor latent = latents(b);
      if (others) call(latent, s_.guided);
      for (int i = 0; i < trained; ++i) {
        stored.push_back(latents(b));
        if (kept(i)) calls[static_cast<std::size_t>(i)] = trained_call(i, b);
        else if (!others) call(latent, s_.guided);
      }
      if (others && !s_.passes_input) call(latent, s_.guided);  // a step behind the last trained one
      unet_layers_.set_merged(false);
    }
    mark(&UpdateMemory::sampling);
    const SketchTensor clean = latents(b);
    score(b, true);
    if (rollouts_ == 0) before_sweep_ = std::max(out_.sampling, out_.scoring);
    const SketchTensor gradient = latents(b), adjoint = latents(b);
    const auto replay = [&](int i, int steps) {
      Call again = trained_call(i, b * steps);
      differentiate(again, s_.guided);
    };
    int waiting = 0;
    for (int i = trained - 1; i >= 0; --i) {
      if (kept(i)) {
        if (rollouts_ == 0) ++out_.retained;
        differentiate(calls[static_cast<std::size_t>(i)], s_.guided);
      } else if (++waiting == (s_.passes_input ? 1 : s_.engine.replay_batch) || i == 0) {
        replay(i, std::exchange(waiting, 0));
      }
    }
    ++rollouts_;
    gradients_ = 0;
    for (const auto* layers : all_layers()) gradients_ += layers->gradient_bytes();
    mark(&UpdateMemory::training);
  }

  void run_round() {
    SketchTensor merged = merged_weights();
    std::vector<SketchTensor> stored;
    for (std::int64_t begin = 0; begin < s_.images; begin += micro_) {
      const std::int64_t b = std::min(micro_, s_.images - begin);
      const SketchTensor latent = latents(b), copies = states(b), more = states(b);
      call(latent, s_.guided);
      for (int k = 0; k <= (s_.denoises ? 0 : s_.trained); ++k) stored.push_back(latents(b));
    }
    unet_layers_.set_merged(false);
    merged = {};
    mark(&UpdateMemory::sampling);
    score(s_.images, false);
    const Sketch::Recording on(sketch_, true);
    const std::int64_t n = s_.rows > 0 ? s_.rows : micro_;
    const bool guided = s_.guided && !s_.denoises;
    const SketchTensor copies = states(n), more = states(n), x = latents(n);
    const auto train = [&](const SketchTensor& rows) {
      const std::int64_t before = sketch_.live_bytes();
      if (s_.compared) {
        const Sketch::Recording off(sketch_, false);
        call(rows, guided);
      }
      Call trained = call(rows, guided);
      out_.graph = std::max(out_.graph, sketch_.live_bytes() - before);
      sketch_.workspace(6 * rows.numel() * 8);  // log-densities in double
      differentiate(trained, guided);
    };
    train(x);
    if (s_.step_rows > n) train(latents(std::min(n, s_.step_rows - n)));  // as any later one
    mark(&UpdateMemory::training);
  }

  /// The text encoder once more with its graph, and backward.
  void text_backward() {
    const Sketch::Recording on(sketch_, true);
    for (std::size_t i = 0; i < s_.text.size(); ++i) {
      const SketchTensor y = text_forward(i, micro_ + 2);
      sketch_.backward(y, sketch_.like(y));
    }
    mark(&UpdateMemory::training);
  }

  /// PretrainingLoss: images encoded without gradient, then denoised.
  void own_loss() {
    if (s_.own_rows == 0) return;
    const std::int64_t side = s_.vae.reduction();
    {
      const SketchTensor images = sketch_.empty(
          {s_.own_rows, s_.vae.in_channels, s_.latents.height * side, s_.latents.width * side}, s_.image_element);
      sketch_encode(frozen_layers_, s_.vae, images);
    }
    const Sketch::Recording on(sketch_, true);
    Call own = call(latents(s_.own_rows), false);
    differentiate(own, false);
    mark(&UpdateMemory::training);
  }

  const UpdateShape& s_;
  Sketch sketch_;
  SketchLayers unet_layers_, frozen_layers_;
  std::vector<SketchLayers> text_layers_;
  SketchUNet unet_;
  UpdateMemory out_;
  SketchTensor encoded_;
  std::shared_ptr<SketchParameter> of_states_ = std::make_shared<SketchParameter>();
  std::optional<std::int64_t> kept_rows_;
  std::int64_t micro_ = 0, top_ = 0, before_sweep_ = 0, gradients_ = 0, rollouts_ = 0;
};

}  // namespace detail

REWARD_TUNER_INLINE UpdateMemory sketch_update(const UpdateShape& shape) {
  detail::UpdateCourse first(shape);
  const UpdateMemory plain = first.run(std::nullopt);
  if (shape.engine.memory.way() != Memory::kBudget || shape.samples) return plain;
  const std::int64_t rows = first.rows_within(shape.engine.memory.bytes());
  UpdateMemory within = detail::UpdateCourse(shape).run(rows);
  within.graph = plain.graph;
  return within;
}

}  // namespace reward_tuner
