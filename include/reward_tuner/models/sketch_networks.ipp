// Definitions of sketch_networks.hpp.
#pragma once
#include <reward_tuner/models/sketch_networks.hpp>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

inline SketchLayer sketch_conv3(const std::string& path, std::int64_t in, std::int64_t out) {
  return {.path = path, .in = in, .out = out, .kernel = 3, .padding = 1};
}
inline SketchLayer sketch_conv1(const std::string& path, std::int64_t in, std::int64_t out) {
  return {.path = path, .in = in, .out = out, .kernel = 1};
}

/// ResnetBlock2D.
inline SketchTensor sketch_resnet(SketchLayers& l, const std::string& path, const SketchTensor& x, std::int64_t out,
                                  std::int64_t groups, const SketchTensor& time, bool scaled) {
  const std::int64_t in = x.size(1);
  SketchTensor h;
  {
    const SketchTensor active = l.activation(l.group_norm(x, groups, path + ".norm1"));
    h = l.conv(active, sketch_conv3(path + ".conv1", in, out));
  }
  if (time.defined()) {
    const SketchTensor shift = l.linear(l.activation(time), {path + ".time_emb_proj", time.size(1), out});
    h = l.add(h, shift);
  }
  {
    const SketchTensor active = l.activation(l.group_norm(h, groups, path + ".norm2"));
    h = l.conv(active, sketch_conv3(path + ".conv2", out, out));
  }
  const SketchTensor sum = l.add(in != out ? l.conv(x, sketch_conv1(path + ".conv_shortcut", in, out)) : x, h);
  return scaled ? l.scale(sum) : sum;
}

/// Upsample2D to a given size.
inline SketchTensor sketch_upsample(SketchLayers& l, const std::string& path, const SketchTensor& x,
                                    std::int64_t height, std::int64_t width) {
  const std::int64_t channels = x.size(1);
  const SketchLayer layer = sketch_conv3(path + ".conv", channels, channels);
  if (height == 2 * x.size(2) && width == 2 * x.size(3)) return l.upsampled_conv(x, layer);
  SketchTensor large = l.sketch().empty({x.size(0), channels, height, width}, x.element());
  l.sketch().record({&large}, {x}, {},
                    [s = &l.sketch(), from = x.sizes(), e = x.element()](const std::vector<SketchTensor>&) {
                      return only(s->empty(from, e));
                    });
  return l.conv(large, layer);
}

/// VaeMidBlock.
inline SketchTensor sketch_vae_middle(SketchLayers& l, const std::string& path, SketchTensor h,
                                      const AutoencoderKLConfig& c) {
  const std::int64_t channels = h.size(1), tokens = h.size(2) * h.size(3), batch = h.size(0);
  h = sketch_resnet(l, path + ".resnets.0", h, channels, c.norm_num_groups, {}, false);
  if (c.mid_block_add_attention) {
    const std::string own = path + ".attentions.0";
    const SketchTensor x = l.group_norm(h, c.norm_num_groups, own + ".group_norm").view({batch, tokens, channels});
    const auto project = [&](const char* name, const SketchTensor& of) {
      return l.linear(of, {own + name, channels, channels});
    };
    const std::vector<std::int64_t> heads{batch, 1, tokens, channels};
    const SketchTensor q = project(".to_q", x).view(heads), k = project(".to_k", x).view(heads),
                       v = project(".to_v", x).view(heads);
    const SketchTensor mixed = l.attention(q, k, v).view({batch, tokens, channels});
    h = l.add(h, project(".to_out.0", mixed).view(h.sizes()));
  }
  return sketch_resnet(l, path + ".resnets.1", h, channels, c.norm_num_groups, {}, false);
}

}  // namespace detail

REWARD_TUNER_INLINE SketchTensor SketchUNet::embedding(const std::string& path, std::int64_t batch, std::int64_t in,
                                                       std::int64_t out) {
  const std::int64_t e = layers_.machine().element;
  const SketchTensor waves = layers_.sketch().empty({batch, in}, e);
  const SketchTensor hidden = layers_.linear(waves, {path + ".linear_1", in, out});
  return layers_.linear(layers_.activation(hidden), {path + ".linear_2", out, out});
}

REWARD_TUNER_INLINE SketchTensor SketchUNet::time(std::int64_t batch) {
  const std::int64_t first = config_.block_out_channels.front();
  const std::int64_t width = config_.time_embedding_dim.value_or(4 * first);
  const SketchTensor time = embedding("time_embedding", batch, first, width);
  if (!config_.text_time_embedding) return time;
  return layers_.add(time, embedding("add_embedding", batch, config_.projection_class_embeddings_input_dim, width));
}

REWARD_TUNER_INLINE SketchTensor SketchUNet::attention(const std::string& path, const SketchTensor& x,
                                                       const SketchTensor& context, std::int64_t heads) {
  const std::int64_t width = x.size(2);
  const auto split = [&](const SketchTensor& y) { return y.view({y.size(0), heads, y.size(1), width / heads}); };
  const auto bare = [&](const char* name, std::int64_t in) {
    return SketchLayer{.path = path + name, .in = in, .out = width, .bias = false};
  };
  const SketchTensor q = split(layers_.linear(x, bare(".to_q", width)));
  const SketchTensor k = split(layers_.linear(context, bare(".to_k", context.size(2))));
  const SketchTensor v = split(layers_.linear(context, bare(".to_v", context.size(2))));
  SketchTensor mixed;
  if (config_.upcast_attention && q.element() < 4) {
    const SketchTensor wide = layers_.attention(layers_.copy(q, 4), layers_.copy(k, 4), layers_.copy(v, 4));
    mixed = layers_.copy(wide, q.element());
  } else {
    mixed = layers_.attention(q, k, v);
  }
  return layers_.linear(mixed.view(x.sizes()), {path + ".to_out.0", width, width});
}

REWARD_TUNER_INLINE SketchTensor SketchUNet::transformer(const std::string& path, const SketchTensor& x,
                                                         const SketchTensor& context, std::int64_t level) {
  const auto i = static_cast<std::size_t>(level);
  const std::int64_t channels = x.size(1), heads = config_.attention_head_dim[i];
  const bool linear = config_.use_linear_projection;
  const std::vector<std::int64_t> tokens{x.size(0), x.size(2) * x.size(3), channels};
  SketchTensor h = layers_.group_norm(x, config_.norm_num_groups, path + ".norm");
  h = linear ? layers_.linear(h.view(tokens), {path + ".proj_in", channels, channels})
             : layers_.conv(h, detail::sketch_conv1(path + ".proj_in", channels, channels)).view(tokens);
  for (std::int64_t n = 0; n < config_.transformer_layers_per_block[i]; ++n) {
    const std::string block = path + ".transformer_blocks." + std::to_string(n);
    const SketchTensor before = h;  // a block's input is there until the block is done
    const auto normal = [&](const char* name) { return layers_.layer_norm(h, !linear, block + name); };
    {
      const SketchTensor own = normal(".norm1");
      h = layers_.add(h, attention(block + ".attn1", own, own, heads));
    }
    h = layers_.add(h, attention(block + ".attn2", normal(".norm2"), context, heads));
    const SketchTensor own = normal(".norm3");
    SketchTensor gated;
    {
      const List parts = layers_.halves(layers_.linear(own, {block + ".ff.net.0.proj", channels, 8 * channels}));
      gated = layers_.multiply(parts[0], layers_.activation(parts[1]));
    }
    h = layers_.add(h, layers_.linear(gated, {block + ".ff.net.2", 4 * channels, channels}));
  }
  if (linear) {
    h = layers_.linear(h, {path + ".proj_out", channels, channels});
    h = layers_.copy(h, h.element()).view(x.sizes());  // channels before pixels again
    return layers_.add(x, h);
  }
  return layers_.add(x, layers_.conv(h.view(x.sizes()), detail::sketch_conv1(path + ".proj_out", channels, channels)));
}

REWARD_TUNER_INLINE std::vector<SketchTensor> SketchUNet::down(const Level& level, const SketchTensor& x,
                                                               const SketchTensor& time, const SketchTensor& context) {
  List made;
  SketchTensor h = x;
  for (std::int64_t n = 0; n < level.layers; ++n) {
    const std::string number = std::to_string(n);
    h = detail::sketch_resnet(layers_, level.path + ".resnets." + number, h, level.out, config_.norm_num_groups, time,
                              false);
    if (level.attends) h = transformer(level.path + ".attentions." + number, h, context, level.index);
    made.push_back(h);
  }
  if (!level.resample) return made;
  SketchLayer half = detail::sketch_conv3(level.path + ".downsamplers.0.conv", level.out, level.out);
  half.stride = 2;
  if (config_.downsample_padding == 0) {  // a row and a column more, then no padding
    h = layers_.sketch().empty({h.size(0), h.size(1), h.size(2) + 1, h.size(3) + 1}, h.element());
    half.padding = 0;
  }
  made.push_back(layers_.conv(h, half));
  return made;
}

REWARD_TUNER_INLINE SketchTensor SketchUNet::middle(const SketchTensor& x, const SketchTensor& time,
                                                    const SketchTensor& context) {
  const std::int64_t channels = config_.block_out_channels.back();
  const auto resnet = [&](const char* name, const SketchTensor& h) {
    return detail::sketch_resnet(layers_, std::string("mid_block.resnets.") + name, h, channels,
                                 config_.norm_num_groups, time, config_.mid_block_scale_factor != 1);
  };
  const auto last = static_cast<std::int64_t>(config_.levels()) - 1;
  return resnet("1", transformer("mid_block.attentions.0", resnet("0", x), context, last));
}

REWARD_TUNER_INLINE SketchTensor SketchUNet::up(const Level& level, const SketchTensor& x, const SketchTensor& time,
                                                const SketchTensor& context, List& skips) {
  SketchTensor h = x;
  for (std::int64_t n = 0; n < level.layers; ++n) {
    const std::string number = std::to_string(n);
    {
      const SketchTensor both = layers_.concatenate({h, skips.back()}, 1);
      h = detail::sketch_resnet(layers_, level.path + ".resnets." + number, both, level.out, config_.norm_num_groups,
                                time, false);
    }
    skips.pop_back();
    if (level.attends) h = transformer(level.path + ".attentions." + number, h, context, level.index);
  }
  if (level.resample)
    h = detail::sketch_upsample(layers_, level.path + ".upsamplers.0", h, skips.back().size(2), skips.back().size(3));
  return h;
}

REWARD_TUNER_INLINE SketchTensor SketchUNet::forward(const SketchTensor& sample, const SketchTensor& context,
                                                     bool checkpointing) {
  const auto& c = config_;
  const SketchTensor now = time(sample.size(0));
  SketchTensor h = layers_.conv(sample, {.path = "conv_in",
                                         .in = c.in_channels,
                                         .out = c.block_out_channels.front(),
                                         .kernel = c.conv_in_kernel,
                                         .padding = c.conv_in_kernel / 2});
  List skips{h};
  const std::size_t n = c.levels();
  const auto take = [&](List made) {
    skips.insert(skips.end(), made.begin(), made.end());
    h = made.back();
  };
  for (std::size_t i = 0; i < n; ++i) {
    const Level level{.path = "down_blocks." + std::to_string(i),
                      .out = c.block_out_channels[i],
                      .index = static_cast<std::int64_t>(i),
                      .layers = c.layers_per_block[i],
                      .attends = c.down_block_types[i] == "CrossAttnDownBlock2D",
                      .resample = i + 1 < n};
    if (!checkpointing) {
      take(down(level, h, now, context));
      continue;
    }
    const auto run = [this, level](const List& in) { return down(level, in[0], in[1], in[2]); };
    take(layers_.checkpointed(run, {h, now, context}));
  }
  if (c.mid_block) {
    const auto run = [this](const List& in) { return List{middle(in[0], in[1], in[2])}; };
    h = checkpointing ? layers_.checkpointed(run, {h, now, context})[0] : middle(h, now, context);
  }
  for (std::size_t k = 0; k < n; ++k) {
    const std::size_t i = n - 1 - k;
    const Level level{.path = "up_blocks." + std::to_string(k),
                      .out = c.block_out_channels[i],
                      .index = static_cast<std::int64_t>(i),
                      .layers = c.layers_per_block[i] + 1,
                      .attends = c.up_block_types[k] == "CrossAttnUpBlock2D",
                      .resample = i > 0};
    if (!checkpointing) {
      h = up(level, h, now, context, skips);
      continue;
    }
    List inputs{h, now, context};
    inputs.insert(inputs.end(), skips.begin(), skips.end());
    const auto run = [this, level](const List& in) {
      List rest(in.begin() + 3, in.end());
      return List{up(level, in[0], in[1], in[2], rest)};
    };
    h = layers_.checkpointed(run, inputs)[0];
    skips.resize(skips.size() - static_cast<std::size_t>(level.layers));
  }
  const SketchTensor active = layers_.activation(layers_.group_norm(h, c.norm_num_groups, "conv_norm_out"));
  return layers_.conv(active, {.path = "conv_out",
                               .in = c.block_out_channels.front(),
                               .out = c.out_channels,
                               .kernel = c.conv_out_kernel,
                               .padding = c.conv_out_kernel / 2});
}

REWARD_TUNER_INLINE SketchTensor sketch_decode(SketchLayers& l, const AutoencoderKLConfig& c,
                                               const SketchTensor& latents) {
  const auto& widths = c.block_out_channels;
  const auto resnet = [&](const std::string& path, const SketchTensor& x, std::int64_t out) {
    return detail::sketch_resnet(l, path, x, out, c.norm_num_groups, {}, false);
  };
  SketchTensor h = l.scale(l.scale(latents));
  if (c.use_post_quant_conv)
    h = l.conv(h, detail::sketch_conv1("post_quant_conv", c.latent_channels, c.latent_channels));
  h = l.conv(h, detail::sketch_conv3("decoder.conv_in", c.latent_channels, widths.back()));
  h = detail::sketch_vae_middle(l, "decoder.mid_block", h, c);
  for (std::size_t i = widths.size(); i-- > 0;) {
    const std::string path = "decoder.up_blocks." + std::to_string(widths.size() - 1 - i);
    const SketchTensor before = h;  // a block's input is there until the block is done
    for (std::int64_t n = 0; n <= c.layers_per_block; ++n)
      h = resnet(path + ".resnets." + std::to_string(n), h, widths[i]);
    if (i > 0) h = detail::sketch_upsample(l, path + ".upsamplers.0", h, 2 * h.size(2), 2 * h.size(3));
  }
  SketchTensor images;
  {
    const SketchTensor active = l.activation(l.group_norm(h, c.norm_num_groups, "decoder.conv_norm_out"));
    images = l.conv(active, detail::sketch_conv3("decoder.conv_out", widths.front(), c.out_channels));
  }
  return l.scale(l.scale(images));
}

REWARD_TUNER_INLINE SketchTensor sketch_encode(SketchLayers& l, const AutoencoderKLConfig& c,
                                               const SketchTensor& images) {
  const auto& widths = c.block_out_channels;
  SketchTensor h = l.conv(images, detail::sketch_conv3("encoder.conv_in", c.in_channels, widths.front()));
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const std::string path = "encoder.down_blocks." + std::to_string(i);
    const SketchTensor before = h;
    for (std::int64_t n = 0; n < c.layers_per_block; ++n)
      h = detail::sketch_resnet(l, path + ".resnets." + std::to_string(n), h, widths[i], c.norm_num_groups, {}, false);
    if (i + 1 == widths.size()) break;
    SketchLayer half = detail::sketch_conv3(path + ".downsamplers.0.conv", widths[i], widths[i]);
    half.stride = 2;
    half.padding = 0;
    SketchTensor padded = l.sketch().empty({h.size(0), h.size(1), h.size(2) + 1, h.size(3) + 1}, h.element());
    l.sketch().record({&padded}, {h}, {},
                      [s = &l.sketch(), from = h.sizes(), e = h.element()](const std::vector<SketchTensor>&) {
                        return detail::only(s->empty(from, e));
                      });
    h = l.conv(padded, half);
  }
  h = detail::sketch_vae_middle(l, "encoder.mid_block", h, c);
  const SketchTensor active = l.activation(l.group_norm(h, c.norm_num_groups, "encoder.conv_norm_out"));
  h = l.conv(active, detail::sketch_conv3("encoder.conv_out", widths.back(), 2 * c.latent_channels));
  return c.use_quant_conv ? l.conv(h, detail::sketch_conv1("quant_conv", h.size(1), h.size(1))) : h;
}

REWARD_TUNER_INLINE SketchTensor sketch_clip_encoder(SketchLayers& l, const ClipEncoderOptions& o,
                                                     const SketchTensor& x, const std::string& path) {
  const std::int64_t batch = x.size(0), tokens = x.size(1), width = o.hidden_size, heads = o.num_attention_heads;
  std::vector<SketchTensor> states{x};
  for (std::int64_t n = 0; n < o.num_hidden_layers; ++n) {
    const std::string layer = path + ".encoder.layers." + std::to_string(n);
    const auto project = [&](const char* name, const SketchTensor& of) {
      return l.linear(of, {layer + name, width, width});
    };
    const std::vector<std::int64_t> split{batch, heads, tokens, width / heads}, square{batch, heads, tokens, tokens};
    SketchTensor attended;
    {
      const SketchTensor normal = l.layer_norm(states.back(), false, layer + ".layer_norm1");
      const SketchTensor q = l.scale(project(".self_attn.q_proj", normal)).view(split),
                         k = project(".self_attn.k_proj", normal).view(split),
                         v = project(".self_attn.v_proj", normal).view(split);
      SketchTensor scores = l.matmul(q, k, square);
      scores = l.scale(scores);  // the mask is added
      const SketchTensor mixed = l.copy(l.matmul(l.softmax(scores), v, split), q.element());
      attended = l.add(states.back(), project(".self_attn.out_proj", mixed.view(x.sizes())));
    }
    const SketchTensor normal = l.layer_norm(attended, false, layer + ".layer_norm2");
    const SketchTensor hidden = l.linear(normal, {layer + ".mlp.fc1", width, o.intermediate_size});
    SketchTensor active;
    if (o.hidden_act == "quick_gelu") {
      const SketchTensor gate = l.softmax(l.scale(hidden));  // a sigmoid keeps its output too
      active = l.multiply(hidden, gate);
    } else {
      active = l.activation(hidden);
    }
    states.push_back(l.add(attended, l.linear(active, {layer + ".mlp.fc2", o.intermediate_size, width})));
  }
  return states.back();
}

}  // namespace reward_tuner
