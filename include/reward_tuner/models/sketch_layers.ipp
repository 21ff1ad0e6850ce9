// Definitions of sketch_layers.hpp.
#pragma once
#include <reward_tuner/models/sketch_layers.hpp>

#include <algorithm>
#include <utility>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

/// Channels in oneDNN's blocks.
inline std::int64_t blocked(std::int64_t channels) { return (channels + 15) / 16 * 16; }

/// Queries in a block of LibTorch's attention on the CPU.
inline std::int64_t query_block(std::int64_t length) { return length >= 768 ? 256 : length >= 192 ? 64 : 32; }

}  // namespace detail

REWARD_TUNER_INLINE std::int64_t SketchLayers::rank(const SketchLayer& layer) {
  const auto [place, fresh] = ranks_.try_emplace(layer.path, 0);
  if (!fresh) return place->second;
  place->second = training_.rank ? training_.rank(layer.path, layer.kernel == 0) : 0;
  if (place->second > 0) {
    const std::int64_t area = layer.kernel == 0 ? 1 : layer.kernel * layer.kernel;
    adapter_numbers_ += place->second * (layer.in * area + layer.out);
    adapted_weight_numbers_ += layer.in * layer.out * area;
  }
  return place->second;
}

REWARD_TUNER_INLINE void SketchLayers::add_gradient(const std::string& name, std::vector<std::int64_t> sizes,
                                                    std::int64_t element) {
  sketch_.accumulate(parameters_[name], sketch_.empty(std::move(sizes), element));
}

REWARD_TUNER_INLINE std::int64_t SketchLayers::gradient_bytes() const {
  std::int64_t bytes = 0;
  for (const auto& [name, parameter] : parameters_) bytes += parameter.gradient.bytes();
  return bytes;
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::plain_conv(const SketchTensor& x, const SketchLayer& layer,
                                                          bool trained) {
  const std::int64_t batch = x.size(0), height = x.size(2), width = x.size(3);
  const auto after = [&](std::int64_t side) { return (side + 2 * layer.padding - layer.kernel) / layer.stride + 1; };
  const std::vector<std::int64_t> sizes{batch, layer.out, after(height), after(width)};
  const std::int64_t e = element(x), area = layer.kernel * layer.kernel;
  const bool copies = machine_.cpu && layer.kernel > 1;
  SketchTensor cast, weight;  // autocast's copies of input and frozen weight
  if (machine_.autocast && x.element() != 2) cast = sketch_.empty(x.sizes(), 2);
  if (machine_.autocast) weight = sketch_.empty({layer.in * layer.out * area}, 2);
  const auto run = [=, this](std::int64_t from, std::int64_t to, const std::vector<std::int64_t>& of_from,
                             const std::vector<std::int64_t>& of_to, bool copy_from) {
    if (!copies) return sketch_.empty(of_to, e);
    SketchTensor source;
    if (copy_from) source = sketch_.empty({of_from[0], detail::blocked(from), of_from[2], of_from[3]}, e);
    SketchTensor kernel = sketch_.empty({detail::blocked(from) * detail::blocked(to) * area}, e);
    const SketchTensor blocks = sketch_.empty({of_to[0], detail::blocked(to), of_to[2], of_to[3]}, e);
    kernel = source = {};
    return sketch_.empty(of_to, e);  // while the blocks are there
  };
  SketchTensor y = run(layer.in, layer.out, x.sizes(), sizes, layer.in >= 16);
  sketch_.multiply_add(y.numel(), layer.in * area);
  std::vector<SketchTensor> saved;
  if (trained) saved.push_back(cast.defined() ? cast : x);
  if (weight.defined()) saved.push_back(weight);
  const bool wanted = x.requires_grad();
  sketch_.record(
      {&y}, {x}, std::move(saved),
      [=, this, from = x.sizes(), input = x.element()](std::vector<SketchTensor> g) {
        SketchTensor gradient;
        if (wanted) {
          const SketchTensor shape = trained ? SketchTensor() : sketch_.empty(from, e);
          gradient = run(layer.out, layer.in, sizes, from, true);
          sketch_.multiply_add(SketchTensor::numel(sizes), layer.in * area);
          if (copies && layer.stride > 1) sketch_.workspace(gradient.bytes());
        }
        if (trained) {
          if (copies) sketch_.workspace(g[0].bytes() + SketchTensor::numel(from) * e);
          sketch_.multiply_add(SketchTensor::numel(sizes), layer.in * area);
          add_gradient(layer.path + ".weight", {layer.out, layer.in, layer.kernel, layer.kernel}, input);
          if (layer.bias) add_gradient(layer.path + ".bias", {layer.out}, input);
        }
        if (gradient.defined() && input != e) gradient = sketch_.empty(from, input);
        return detail::only(std::move(gradient));
      },
      trained);
  return y;
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::adapter_conv(const SketchTensor& x, const SketchLayer& layer,
                                                            std::int64_t rank, const SketchTensor& y) {
  // two ordinary convolutions, whose trained weights keep their inputs
  SketchLayer down = layer, up = layer;
  down.path += ".lora_A";
  down.out = up.in = rank;
  up.path += ".lora_B";
  up.kernel = up.stride = 1;
  up.padding = 0;
  down.bias = up.bias = false;
  const SketchTensor low = plain_conv(x, down, training_.adapters);
  return add(y, plain_conv(low, up, training_.adapters));
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::conv(const SketchTensor& x, const SketchLayer& layer) {
  const std::int64_t r = rank(layer);
  SketchTensor y = plain_conv(x, layer, training_.weights);
  if (r == 0 || (merged_ && !sketch_.recording())) return y;
  return adapter_conv(x, layer, r, y);
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::upsampled_conv(const SketchTensor& x, const SketchLayer& layer) {
  const std::int64_t r = rank(layer);
  const std::vector<std::int64_t> doubled{x.size(0), layer.in, 2 * x.size(2), 2 * x.size(3)};
  if (!machine_.cpu) {
    SketchTensor large = sketch_.empty(doubled, x.element());
    sketch_.record({&large}, {x}, {}, [this, small = x.sizes(), e = x.element()](const std::vector<SketchTensor>&) {
      return detail::only(sketch_.empty(small, e));
    });
    return conv(large, layer);
  }
  const std::int64_t e = element(x);
  const auto once = [&](const SketchLayer& of, bool trained) {
    const std::vector<std::int64_t> to{x.size(0), of.out, doubled[2], doubled[3]};
    const auto forward = [this, e, of](const std::vector<std::int64_t>& from, const std::vector<std::int64_t>& larger) {
      SketchTensor kernel = sketch_.empty({of.in * of.out * 16}, e);
      SketchTensor y = sketch_.empty(larger, e);
      sketch_.multiply_add(SketchTensor::numel(from), of.out * 16);
      sketch_.multiply_add(of.in * of.out * 16, 9);  // the kernel
      const std::int64_t source = SketchTensor::numel(from) / of.in * detail::blocked(of.in) * e;
      sketch_.workspace(std::max(2 * y.bytes(), source + kernel.bytes()));
      return std::pair(std::move(y), std::move(kernel));
    };
    auto [y, kernel] = forward(x.sizes(), to);
    std::vector<SketchTensor> saved;
    if (trained) saved = {x, kernel};
    if (machine_.autocast) saved.push_back(sketch_.empty({of.in * of.out * 9}, 2));
    sketch_.record(
        {&y}, {x}, std::move(saved),
        [=, this, from = x.sizes(), input = x.element()](std::vector<SketchTensor> g) {
          const SketchTensor weights = sketch_.empty({of.in * of.out * 16}, e);
          sketch_.workspace(g[0].bytes() / of.out * detail::blocked(of.out) + weights.bytes() +
                            SketchTensor::numel(from) * e);
          SketchTensor gradient = sketch_.empty(from, e);
          sketch_.multiply_add((trained ? 2 : 1) * gradient.numel(), of.out * 16);
          sketch_.multiply_add(of.in * of.out * 16, 9);
          if (trained) {
            sketch_.workspace(g[0].bytes() + gradient.bytes() + weights.bytes());
            add_gradient(of.path + ".weight", {of.out, of.in, 3, 3}, input);
            if (of.bias) add_gradient(of.path + ".bias", {of.out}, input);
          }
          if (input != e) gradient = sketch_.empty(from, input);
          return detail::only(std::move(gradient));
        },
        trained);
    return y;
  };
  SketchTensor y = once(layer, training_.weights);
  if (r == 0 || (merged_ && !sketch_.recording())) return y;
  SketchLayer down = layer, up = layer;
  down.path += ".lora_A";
  down.out = up.in = r;
  up.path += ".lora_B";
  up.kernel = 1;
  up.padding = 0;
  down.bias = up.bias = false;
  const SketchTensor low = once(down, training_.adapters);
  return add(y, plain_conv(low, up, training_.adapters));
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::linear(const SketchTensor& x, const SketchLayer& layer) {
  const std::int64_t r = rank(layer), e = element(x);
  std::vector<std::int64_t> sizes = x.sizes();
  sizes.back() = layer.out;
  const std::int64_t rows = x.numel() / layer.in;
  SketchTensor cast = machine_.autocast && x.element() != 2 ? sketch_.empty(x.sizes(), 2) : SketchTensor();
  SketchTensor weight = machine_.autocast ? sketch_.empty({layer.in * layer.out}, 2) : SketchTensor();
  SketchTensor y = sketch_.empty(sizes, e);
  const bool adapted = r > 0 && !(merged_ && !sketch_.recording());
  const bool trained = training_.weights || (adapted && training_.adapters);
  sketch_.multiply_add(rows, layer.in * layer.out + (adapted ? r * (layer.in + layer.out) : 0));
  std::vector<SketchTensor> saved;
  if (weight.defined() && !adapted) saved.push_back(weight);
  if (trained) saved.push_back(adapted || !cast.defined() ? x : cast);
  if (adapted) saved.push_back(sketch_.empty({r, rows}, e));
  const bool wanted = x.requires_grad(), whole = training_.weights;
  sketch_.record(
      {&y}, {x}, std::move(saved),
      [=, this, from = x.sizes(), input = x.element()](const std::vector<SketchTensor>&) {
        SketchTensor gradient;
        SketchTensor inner = adapted ? sketch_.empty({r, rows}, e) : SketchTensor();
        if (wanted) gradient = sketch_.empty(from, e);
        if (gradient.defined() && input != e) gradient = sketch_.empty(from, input);
        sketch_.multiply_add(rows, ((wanted ? 1 : 0) + (whole ? 1 : 0)) * layer.in * layer.out);
        if (adapted) sketch_.multiply_add(rows, r * (layer.out + (wanted ? layer.in : 0)));
        if (adapted && training_.adapters) sketch_.multiply_add(rows, r * (layer.in + layer.out));
        if (adapted && training_.adapters) {
          const std::int64_t factor = std::max<std::int64_t>(4, machine_.element);
          add_gradient(layer.path + ".lora_A", {r, layer.in}, factor);
          add_gradient(layer.path + ".lora_B", {layer.out, r}, factor);
        }
        if (whole) {
          add_gradient(layer.path + ".weight", {layer.out, layer.in}, input);
          if (layer.bias) add_gradient(layer.path + ".bias", {layer.out}, input);
        }
        return detail::only(std::move(gradient));
      },
      trained);
  return y;
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::group_norm(const SketchTensor& x, std::int64_t groups,
                                                          const std::string& path) {
  SketchTensor y = sketch_.like(x);
  const SketchTensor numbers = sketch_.empty({2, x.size(0), groups}, x.element());
  const bool trained = training_.weights;
  sketch_.record(
      {&y}, {x}, {x, numbers},
      [this, trained, path, wanted = x.requires_grad(), from = x.sizes(),
       e = x.element()](const std::vector<SketchTensor>&) {
        if (trained) add_gradient(path, {2, from[1]}, e);
        return detail::only(wanted ? sketch_.empty(from, e) : SketchTensor());
      },
      trained);
  return y;
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::layer_norm(const SketchTensor& x, bool transposed,
                                                          const std::string& path) {
  SketchTensor y = sketch_.like(x);
  const bool copies = transposed && machine_.cpu;
  const SketchTensor numbers = sketch_.empty({2, x.numel() / x.sizes().back()}, x.element());
  if (copies) sketch_.workspace(x.bytes());
  const bool trained = training_.weights;
  sketch_.record(
      {&y}, {x}, {x, numbers},
      [=, this, wanted = x.requires_grad(), from = x.sizes(), e = x.element()](const std::vector<SketchTensor>&) {
        if (trained) add_gradient(path, {2, from.back()}, e);
        SketchTensor gradient = wanted ? sketch_.empty(from, e) : SketchTensor();
        if (copies) sketch_.workspace(SketchTensor::numel(from) * e);
        return detail::only(std::move(gradient));
      },
      trained);
  return y;
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::activation(const SketchTensor& x) {
  SketchTensor y = sketch_.like(x);
  sketch_.record({&y}, {x}, {x}, [this, from = x.sizes(), e = x.element()](const std::vector<SketchTensor>&) {
    return detail::only(sketch_.empty(from, e));
  });
  return y;
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::softmax(const SketchTensor& x) {
  SketchTensor y = sketch_.like(x);
  sketch_.record({&y}, {x}, {y}, [this, from = x.sizes(), e = x.element()](const std::vector<SketchTensor>&) {
    return detail::only(sketch_.empty(from, e));
  });
  return y;
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::add(const SketchTensor& a, const SketchTensor& b) {
  SketchTensor y = sketch_.like(a.numel() >= b.numel() ? a : b);
  sketch_.record({&y}, {a, b}, {},
                 [this, first = a.sizes(), second = b.sizes(), of_a = a.requires_grad(),
                  of_b = b.requires_grad()](std::vector<SketchTensor> g) {
                   const auto share = [&](bool wanted, const std::vector<std::int64_t>& sizes) {
                     if (!wanted) return SketchTensor();
                     return SketchTensor::numel(sizes) == g[0].numel() ? g[0] : sketch_.empty(sizes, g[0].element());
                   };
                   return std::vector<SketchTensor>{share(of_a, first), share(of_b, second)};
                 });
  return y;
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::scale(const SketchTensor& x) {
  SketchTensor y = sketch_.like(x);
  sketch_.record({&y}, {x}, {}, [this](std::vector<SketchTensor> g) { return detail::only(sketch_.like(g[0])); });
  return y;
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::copy(const SketchTensor& x, std::int64_t element) {
  SketchTensor y = sketch_.empty(x.sizes(), element);
  sketch_.record({&y}, {x}, {}, [this, e = x.element()](std::vector<SketchTensor> g) {
    return detail::only(e == g[0].element() ? g[0] : sketch_.empty(g[0].sizes(), e));
  });
  return y;
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::concatenate(const std::vector<SketchTensor>& parts,
                                                           std::size_t dimension) {
  std::vector<std::int64_t> sizes = parts.front().sizes();
  for (std::size_t i = 1; i < parts.size(); ++i) sizes[dimension] += parts[i].size(dimension);
  SketchTensor y = sketch_.empty(std::move(sizes), parts.front().element());
  std::vector<std::vector<std::int64_t>> shapes;
  for (const SketchTensor& part : parts) shapes.push_back(part.sizes());
  sketch_.record({&y}, parts, {}, [shapes](std::vector<SketchTensor> g) {
    std::vector<SketchTensor> views;  // which keep the whole gradient alive
    for (const auto& shape : shapes) views.push_back(g[0].view(shape));
    return views;
  });
  return y;
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::multiply(const SketchTensor& a, const SketchTensor& b) {
  SketchTensor y = sketch_.like(a);
  sketch_.record({&y}, {a, b}, {a, b}, [this](std::vector<SketchTensor> g) {
    return std::vector<SketchTensor>{sketch_.like(g[0]), sketch_.like(g[0])};
  });
  return y;
}

REWARD_TUNER_INLINE std::vector<SketchTensor> SketchLayers::halves(const SketchTensor& x) {
  std::vector<std::int64_t> sizes = x.sizes();
  sizes.back() /= 2;
  std::vector<SketchTensor> parts{x.view(sizes), x.view(sizes)};
  for (SketchTensor& part : parts) part = part.detach();
  sketch_.record({&parts[0], &parts[1]}, {x}, {},
                 [this, from = x.sizes(), e = x.element()](const std::vector<SketchTensor>&) {
                   return detail::only(sketch_.empty(from, e));
                 });
  return parts;
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::matmul(const SketchTensor& a, const SketchTensor& b,
                                                      std::vector<std::int64_t> sizes) {
  SketchTensor y = sketch_.empty(std::move(sizes), element(a));
  sketch_.multiply_add(y.numel(), a.sizes().back());
  std::vector<SketchTensor> saved;
  if (b.requires_grad()) saved.push_back(a);
  if (a.requires_grad()) saved.push_back(b);
  sketch_.record({&y}, {a, b}, std::move(saved),
                 [this, products = y.numel(), first = a.sizes(), second = b.sizes(), of_a = a.requires_grad(),
                  of_b = b.requires_grad(), e = a.element()](const std::vector<SketchTensor>&) {
                   sketch_.multiply_add(products * ((of_a ? 1 : 0) + (of_b ? 1 : 0)), first.back());
                   SketchTensor for_a = of_a ? sketch_.empty(first, e) : SketchTensor();
                   SketchTensor for_b = of_b ? sketch_.empty(second, e) : SketchTensor();
                   return std::vector<SketchTensor>{std::move(for_a), std::move(for_b)};
                 });
  return y;
}

REWARD_TUNER_INLINE SketchTensor SketchLayers::attention(const SketchTensor& q, const SketchTensor& k,
                                                         const SketchTensor& v) {
  const std::int64_t length = q.size(2), keys = k.size(2), width = q.size(3);
  constexpr std::int64_t kSmall = std::int64_t{1} << 25;  // as layers/dot_product_attention.hpp
  if (machine_.cpu && q.element() == 2 && q.size(0) * q.size(1) * length * keys <= kSmall) {
    const std::vector<std::int64_t> weights{q.size(0), q.size(1), length, keys};
    return matmul(softmax(matmul(scale(q), k, weights)), v, q.sizes());
  }
  SketchTensor y = sketch_.like(q);
  const SketchTensor sums = sketch_.empty({q.size(0), q.size(1), length}, 4);
  const std::int64_t weights = q.size(0) * q.size(1) * length * keys;
  sketch_.multiply_add(2 * weights, width);
  const std::int64_t block = detail::query_block(length), seen = std::min<std::int64_t>(512, keys);
  if (machine_.cpu) sketch_.workspace(machine_.threads * block * (seen + 2 + width) * 4);
  sketch_.record(
      {&y}, {q, k, v}, {q, k, v, y, sums},
      [=, this, of_q = q.requires_grad(), of_k = k.requires_grad(), of_v = v.requires_grad(), first = q.sizes(),
       second = k.sizes(), e = q.element()](const std::vector<SketchTensor>&) {
        std::vector<SketchTensor> out;  // the kernel makes all three, and the weights once more
        sketch_.multiply_add(5 * weights, width);
        for (const auto* sizes : {&first, &second, &second}) out.push_back(sketch_.empty(*sizes, e));
        sketch_.workspace(machine_.cpu ? machine_.threads * 2 * block * seen * 4 : SketchTensor::numel(first) * 4);
        if (!of_q) out[0] = {};
        if (!of_k) out[1] = {};
        if (!of_v) out[2] = {};
        return out;
      });
  return y;
}

REWARD_TUNER_INLINE std::vector<SketchTensor> SketchLayers::checkpointed(
    std::function<std::vector<SketchTensor>(const std::vector<SketchTensor>&)> function,
    const std::vector<SketchTensor>& inputs) {
  const bool trains = training_.weights || adapter_numbers_ > 0 || training_.rank != nullptr;
  if (!sketch_.records(inputs, trains)) return function(inputs);
  std::vector<SketchTensor> outputs;
  {
    const Sketch::Recording off(sketch_, false);
    outputs = function(inputs);
  }
  std::vector<SketchTensor*> made;
  for (SketchTensor& output : outputs) {
    output = output.detach();
    made.push_back(&output);
  }
  std::vector<bool> wanted;
  std::vector<SketchTensor> plain;
  for (const SketchTensor& input : inputs) {
    wanted.push_back(input.requires_grad());
    plain.push_back(input.detach());
  }
  sketch_.record(
      made, inputs, plain,
      [this, function = std::move(function), wanted, plain](std::vector<SketchTensor> cotangents) {
        std::vector<SketchTensor> leaves;
        std::vector<std::shared_ptr<SketchParameter>> collected;
        for (std::size_t i = 0; i < plain.size(); ++i) {
          collected.push_back(std::make_shared<SketchParameter>());
          leaves.push_back(wanted[i] ? sketch_.leaf(plain[i], collected[i]) : plain[i]);
        }
        std::vector<std::pair<SketchTensor, SketchTensor>> roots;
        {
          const Sketch::Recording on(sketch_, true);
          std::vector<SketchTensor> again = function(leaves);
          for (std::size_t i = 0; i < again.size(); ++i)
            if (again[i].requires_grad() && cotangents[i].defined()) roots.emplace_back(again[i], cotangents[i]);
        }
        sketch_.backward(roots);
        std::vector<SketchTensor> out;
        for (auto& parameter : collected) out.push_back(parameter->gradient);
        return out;
      },
      trains);
  return outputs;
}

}  // namespace reward_tuner
