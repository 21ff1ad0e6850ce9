// What the threads of fused_kernels.cu do: compiled for a card there, and by a test for the CPU, which runs one thread
// after another. Arithmetic is in float32, rounded once at the end.
#pragma once
#include <reward_tuner/layers/fused_kernels.hpp>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/macros/Macros.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace reward_tuner::fused {

constexpr int kThreads = 512;                            // of a block
constexpr std::int64_t kNarrow = std::int64_t{1} << 31;  // fewer numbers than these are counted in 32 bits
constexpr std::int64_t kMostBlocks = kNarrow - 1;        // of a launch

/// V numbers that are loaded and stored at once.
template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
  T values[V];
};

/// How many numbers, their mean, and the sum of their squared distances from it. Never E[x^2] - E[x]^2, which cancels
/// where the mean is large.
struct Moments {
  float count, mean, squares;
};

/// The moments of all numbers of two sets (Chan, Golub and LeVeque 1979).
C10_HOST_DEVICE inline Moments joined(const Moments& a, const Moments& b) {
  const float count = a.count + b.count;
  if (count == 0) return {0, 0, 0};
  const float share = b.count / count, apart = b.mean - a.mean;
  return {count, a.mean + apart * share, a.squares + b.squares + apart * apart * a.count * share};
}

/// silu(group_norm(x)): a block takes a group of an image, a thread every kThreads-th pack of it. Every thread takes
/// moments(), which are joined, then all of them write().
template <class T, int V, bool kChannelsLast, class Index>
struct GroupNormWork {
  using P = Pack<T, V>;
  const T *x, *weight, *bias;
  T* y;
  Index channels, pixels, groups;  // a group of an image has channels * pixels numbers
  float eps;

  /// Where the block's group begins in x.
  C10_HOST_DEVICE std::int64_t first(std::uint32_t block) const {
    const std::int64_t image = block / static_cast<std::uint32_t>(groups), group = group_of(block);
    const std::int64_t count = static_cast<std::int64_t>(channels) * static_cast<std::int64_t>(pixels);
    return image * count * static_cast<std::int64_t>(groups) +
           group * (kChannelsLast ? static_cast<std::int64_t>(channels) : count);
  }

  /// Of the thread's numbers, about the group's first. That one may lie far from all others, which costs its distance
  /// in units of float32's precision: at most sqrt(channels * pixels) of those of the deviation.
  C10_HOST_DEVICE Moments moments(std::uint32_t block, std::uint32_t thread) const {
    const T* from = x + first(block);
    const float origin = static_cast<float>(*from);
    Moments all{0, 0, 0};
    for (Index i = thread * V; i < channels * pixels; i += kThreads * V) {
      Index channel;
      const P p = *reinterpret_cast<const P*>(from + place(i, channel));
      float mean = 0, squares = 0;
      for (int v = 0; v < V; ++v) mean += (static_cast<float>(p.values[v]) - origin) / V;
      for (int v = 0; v < V; ++v) {
        const float apart = static_cast<float>(p.values[v]) - origin - mean;
        squares += apart * apart;
      }
      all = joined(all, {V, mean, squares});
    }
    return all;
  }

  /// The thread's numbers of y, by the moments of the group.
  C10_HOST_DEVICE void write(std::uint32_t block, std::uint32_t thread, const Moments& group) const {
    const T* from = x + first(block);
    T* to = y + first(block);
    const Index parameters = group_of(block) * channels;
    const float origin = static_cast<float>(*from), scale = 1.f / std::sqrt(group.squares / group.count + eps);
    for (Index i = thread * V; i < channels * pixels; i += kThreads * V) {
      Index channel;
      const Index at = place(i, channel);
      const P p = *reinterpret_cast<const P*>(from + at);
      P out;
      for (int v = 0; v < V; ++v) {
        const Index c = parameters + (kChannelsLast ? channel + v : channel);
        const float n =
            (static_cast<float>(p.values[v]) - origin - group.mean) * scale * static_cast<float>(weight[c]) +
            static_cast<float>(bias[c]);
        out.values[v] = static_cast<T>(n / (1.f + std::exp(-n)));
      }
      *reinterpret_cast<P*>(to + at) = out;
    }
  }

 private:
  C10_HOST_DEVICE std::uint32_t group_of(std::uint32_t block) const {
    return block % static_cast<std::uint32_t>(groups);
  }
  /// Where the i-th number of a group lies, counted from its first, and which of the group's channels it is of.
  C10_HOST_DEVICE Index place(Index i, Index& channel) const {
    if constexpr (kChannelsLast) {
      channel = i % channels;
      return i / channels * (channels * groups) + channel;
    } else {
      channel = i / pixels;
      return i;
    }
  }
};

/// a * gelu(b) of rows [a, b]: a thread takes every so many-th pack of y.
template <class T, int V, class Index>
struct GegluWork {
  using P = Pack<T, V>;
  const T* x;
  T* y;
  Index count, width;  // of y and of its rows

  C10_HOST_DEVICE void write(Index thread, Index threads) const {
    for (Index i = thread * V; i < count; i += threads * V) {
      const Index from = i + i / width * width;  // a row's second half lies between the rows
      const P a = *reinterpret_cast<const P*>(x + from), b = *reinterpret_cast<const P*>(x + from + width);
      P out;
      for (int v = 0; v < V; ++v) {
        const float g = static_cast<float>(b.values[v]);
        out.values[v] = static_cast<T>(static_cast<float>(a.values[v]) * 0.5f * g * (1.f + std::erf(g * 0.70710678f)));
      }
      *reinterpret_cast<P*>(y + i) = out;
    }
  }
};

/// Calls launch(pack) with the widest pack of at most 16 bytes that divides `run` numbers and whose alignment the
/// tensors have.
template <class T, class Launch>
void widest(std::int64_t run, std::initializer_list<const at::Tensor*> tensors, const Launch& launch) {
  const auto fits = [&](int v) {
    return run % v == 0 && std::all_of(tensors.begin(), tensors.end(), [&](const at::Tensor* t) {
             return reinterpret_cast<std::uintptr_t>(t->const_data_ptr()) % (sizeof(T) * v) == 0;
           });
  };
  constexpr int kMost = 16 / sizeof(T);
  if (fits(kMost)) return launch(Pack<T, kMost>());
  if (fits(2)) return launch(Pack<T, 2>());
  launch(Pack<T, 1>());
}

template <class Launch>
void by_type(at::ScalarType type, const Launch& launch) {
  if (type == at::kFloat) return launch(float());
  if (type == at::kBFloat16) return launch(c10::BFloat16());
  TORCH_CHECK(type == at::kHalf, "[fused_kernels] expected Float, BFloat16 or Half, got ", type);
  launch(c10::Half());
}

/// silu(group_norm(x)) in the layout of x; launch(GroupNormWork, blocks) does the work. From `narrow` numbers an image
/// on they are counted in 64 bits.
/// Errors: x that is neither contiguous nor channels last, or of another type than its weights.
template <class Launch>
at::Tensor group_norm_silu(const GroupNormSilu& call, const Launch& launch, std::int64_t narrow = kNarrow) {
  const at::Tensor& x = call.x;
  const bool last = !x.is_contiguous();
  TORCH_CHECK(x.dim() == 4 && (!last || x.is_contiguous(at::MemoryFormat::ChannelsLast)),
              "[fused_kernels] expected images [B,C,H,W], contiguous or channels last, got sizes ", x.sizes(),
              " and strides ", x.strides());
  TORCH_CHECK(call.groups > 0 && x.size(1) % call.groups == 0 && call.weight.numel() == x.size(1) &&
                  call.bias.numel() == x.size(1),
              "[fused_kernels] expected groups that divide ", x.size(1), " channels, and a weight and a bias of each, ",
              "got ", call.groups, ", ", call.weight.numel(), " and ", call.bias.numel());
  const std::int64_t blocks = x.size(0) * call.groups;
  TORCH_CHECK(blocks <= kMostBlocks, "[fused_kernels] expected at most ", kMostBlocks, " groups in all, got ", blocks);
  at::Tensor y = at::empty_like(x);
  if (x.numel() == 0) return y;
  const at::Tensor weight = call.weight.contiguous(), bias = call.bias.contiguous();
  const std::int64_t channels = x.size(1) / call.groups, pixels = x.size(2) * x.size(3);
  by_type(x.scalar_type(), [&]<class T>(T) {
    widest<T>(last ? channels : pixels, {&x, &y}, [&]<int V>(Pack<T, V>) {
      const auto with = [&]<class Work, class Index>(Work*, Index) {
        launch(Work{x.const_data_ptr<T>(), weight.const_data_ptr<T>(), bias.const_data_ptr<T>(),
                    y.mutable_data_ptr<T>(), static_cast<Index>(channels), static_cast<Index>(pixels),
                    static_cast<Index>(call.groups), static_cast<float>(call.eps)},
               blocks);
      };
      const auto counted = [&]<class Index>(Index index) {
        if (last) with(static_cast<GroupNormWork<T, V, true, Index>*>(nullptr), index);
        else with(static_cast<GroupNormWork<T, V, false, Index>*>(nullptr), index);
      };
      if (x.numel() / x.size(0) < narrow) counted(std::uint32_t());
      else counted(std::uint64_t());
    });
  });
  return y;
}

/// GEGLU of contiguous x; launch(GegluWork, blocks) does the work. From `narrow` numbers on x is counted in 64 bits.
/// Errors: x that is not contiguous, or whose rows have no halves.
template <class Launch>
at::Tensor geglu(const at::Tensor& x, const Launch& launch, std::int64_t narrow = kNarrow) {
  TORCH_CHECK(x.dim() > 0 && x.size(-1) % 2 == 0 && x.is_contiguous(),
              "[fused_kernels] expected contiguous rows of an even width, got sizes ", x.sizes(), " and strides ",
              x.strides());
  std::vector<std::int64_t> shape = x.sizes().vec();
  const std::int64_t width = shape.back() /= 2;
  at::Tensor y = at::empty(shape, x.options());
  if (y.numel() == 0) return y;
  by_type(x.scalar_type(), [&]<class T>(T) {
    widest<T>(width, {&x, &y}, [&]<int V>(Pack<T, V>) {
      const std::int64_t blocks = std::min<std::int64_t>((y.numel() / V + kThreads - 1) / kThreads, 1 << 16);
      const auto with = [&]<class Index>(Index) {
        launch(GegluWork<T, V, Index>{x.const_data_ptr<T>(), y.mutable_data_ptr<T>(), static_cast<Index>(y.numel()),
                                      static_cast<Index>(width)},
               blocks);
      };
      if (x.numel() < narrow) with(std::uint32_t());
      else with(std::uint64_t());
    });
  });
  return y;
}

}  // namespace reward_tuner::fused
