// CUDA kernels of layers/fused_kernels.hpp. Arithmetic is in float32, rounded once at the end.
#include <reward_tuner/layers/fused_kernels.hpp>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace reward_tuner::cuda {
namespace {

constexpr int kThreads = 512, kWarp = 32;

/// V numbers that are loaded and stored at once.
template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
  T values[V];
};

__device__ inline float2 operator+(float2 a, float2 b) { return {a.x + b.x, a.y + b.y}; }

/// The block's sum, in every thread.
__device__ float2 block_sum(float2 value) {
  __shared__ float2 warps[kThreads / kWarp];
  const auto within = [](float2 v) {
    for (int shift = kWarp / 2; shift > 0; shift /= 2)
      v = v + float2{__shfl_xor_sync(0xffffffffu, v.x, shift), __shfl_xor_sync(0xffffffffu, v.y, shift)};
    return v;
  };
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  value = within(value);
  if (lane == 0) warps[warp] = value;
  __syncthreads();
  return within(lane < kThreads / kWarp ? warps[lane] : float2{0, 0});
}

/// The sizes of a normalization. A group of an image has `channels * pixels` numbers.
struct Sizes {
  std::uint32_t channels, pixels, groups;
};

/// Where the i-th number of a group lies in x, counted from the group's first, and which of its channels it is of.
template <bool kChannelsLast>
__device__ std::uint32_t place(const Sizes& s, std::uint32_t i, std::uint32_t& channel) {
  if constexpr (kChannelsLast) {
    channel = i % s.channels;
    return i / s.channels * (s.channels * s.groups) + channel;
  } else {
    channel = i / s.pixels;
    return i;
  }
}

/// One block a group of an image. The first pass takes both moments about the group's first number, so that nothing
/// cancels that did not before; the second normalizes.
template <class T, int V, bool kChannelsLast>
__global__ void __launch_bounds__(kThreads)
    group_norm_silu_kernel(const T* x, const T* weight, const T* bias, T* y, Sizes s, float eps) {
  using P = Pack<T, V>;
  const std::uint32_t group = blockIdx.x % s.groups, image = blockIdx.x / s.groups;
  const std::uint32_t count = s.channels * s.pixels;
  const std::int64_t size = static_cast<std::int64_t>(count) * s.groups;  // of an image
  const std::int64_t first =
      image * size + (kChannelsLast ? group * s.channels : static_cast<std::int64_t>(group) * count);
  x += first, y += first, weight += group * s.channels, bias += group * s.channels;
  const float origin = static_cast<float>(*x);
  float2 sums{0, 0};
  for (std::uint32_t i = threadIdx.x * V; i < count; i += kThreads * V) {
    std::uint32_t channel;
    const P p = *reinterpret_cast<const P*>(x + place<kChannelsLast>(s, i, channel));
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const float d = static_cast<float>(p.values[v]) - origin;
      sums = sums + float2{d, d * d};
    }
  }
  sums = block_sum(sums);
  const float shift = sums.x / count, variance = fmaxf(sums.y / count - shift * shift, 0.f);
  const float mean = origin + shift, scale = rsqrtf(variance + eps);
  for (std::uint32_t i = threadIdx.x * V; i < count; i += kThreads * V) {
    std::uint32_t channel;
    const std::uint32_t at = place<kChannelsLast>(s, i, channel);
    const P p = *reinterpret_cast<const P*>(x + at);
    P out;
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const std::uint32_t c = kChannelsLast ? channel + v : channel;
      const float n = (static_cast<float>(p.values[v]) - mean) * scale * static_cast<float>(weight[c]) +
                      static_cast<float>(bias[c]);
      out.values[v] = static_cast<T>(n / (1.f + expf(-n)));
    }
    *reinterpret_cast<P*>(y + at) = out;
  }
}

template <class T, int V>
__global__ void __launch_bounds__(kThreads) geglu_kernel(const T* x, T* y, std::int64_t count, std::int64_t width) {
  using P = Pack<T, V>;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads * V;
  for (std::int64_t i = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * V; i < count; i += stride) {
    const std::int64_t from = i + i / width * width;  // the row's second half lies between the rows
    const P a = *reinterpret_cast<const P*>(x + from), b = *reinterpret_cast<const P*>(x + from + width);
    P out;
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const float g = static_cast<float>(b.values[v]);
      out.values[v] = static_cast<T>(static_cast<float>(a.values[v]) * 0.5f * g * (1.f + erff(g * 0.70710678f)));
    }
    *reinterpret_cast<P*>(y + i) = out;
  }
}

/// Calls launch(pack) with the widest pack of at most 16 bytes that divides `run` numbers and whose alignment the
/// tensors have.
template <class T, class Launch>
void widest(std::int64_t run, std::initializer_list<const at::Tensor*> tensors, Launch launch) {
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
void by_type(at::ScalarType type, Launch launch) {
  if (type == at::kFloat) return launch(float());
  if (type == at::kBFloat16) return launch(c10::BFloat16());
  TORCH_CHECK(type == at::kHalf, "[fused_kernels] expected Float, BFloat16 or Half, got ", type);
  launch(c10::Half());
}

template <class T, int V>
constexpr int width_of(const Pack<T, V>&) {
  return V;
}

}  // namespace

at::Tensor group_norm_silu(const GroupNormSilu& call) {
  const at::Tensor& x = call.x;
  const c10::cuda::CUDAGuard guard(x.device());
  const bool last = !x.is_contiguous();
  at::Tensor y = at::empty_like(x);
  const at::Tensor weight = call.weight.contiguous(), bias = call.bias.contiguous();
  const std::int64_t channels = x.size(1) / call.groups, pixels = x.size(2) * x.size(3);
  TORCH_CHECK(channels * pixels * call.groups < std::int64_t{1} << 31,
              "[fused_kernels] expected images of fewer than 2^31 numbers, got ", channels * pixels * call.groups);
  const Sizes sizes{static_cast<std::uint32_t>(channels), static_cast<std::uint32_t>(pixels),
                    static_cast<std::uint32_t>(call.groups)};
  const auto blocks = static_cast<unsigned>(x.size(0) * call.groups);
  const auto stream = c10::cuda::getCurrentCUDAStream();
  by_type(x.scalar_type(), [&]<class T>(T) {
    widest<T>(last ? channels : pixels, {&x, &y}, [&](auto pack) {
      constexpr int kV = width_of(decltype(pack)());
      const auto launch = [&](auto kernel) {
        kernel<<<blocks, kThreads, 0, stream>>>(x.const_data_ptr<T>(), weight.const_data_ptr<T>(),
                                                bias.const_data_ptr<T>(), y.mutable_data_ptr<T>(), sizes,
                                                static_cast<float>(call.eps));
      };
      if (last) launch(group_norm_silu_kernel<T, kV, true>);
      else launch(group_norm_silu_kernel<T, kV, false>);
      C10_CUDA_KERNEL_LAUNCH_CHECK();
    });
  });
  return y;
}

at::Tensor geglu(const at::Tensor& x) {
  const c10::cuda::CUDAGuard guard(x.device());
  std::vector<std::int64_t> shape = x.sizes().vec();
  TORCH_CHECK(!shape.empty() && shape.back() % 2 == 0, "[fused_kernels] expected an even last dimension, got ",
              x.sizes());
  const std::int64_t width = shape.back() /= 2;
  at::Tensor y = at::empty(shape, x.options());
  const auto stream = c10::cuda::getCurrentCUDAStream();
  by_type(x.scalar_type(), [&]<class T>(T) {
    widest<T>(width, {&x, &y}, [&](auto pack) {
      constexpr int kV = width_of(decltype(pack)());
      const std::int64_t blocks = (y.numel() / kV + kThreads - 1) / kThreads;
      geglu_kernel<T, kV><<<static_cast<unsigned>(std::min<std::int64_t>(blocks, 1 << 16)), kThreads, 0, stream>>>(
          x.const_data_ptr<T>(), y.mutable_data_ptr<T>(), y.numel(), width);
      C10_CUDA_KERNEL_LAUNCH_CHECK();
    });
  });
  return y;
}

}  // namespace reward_tuner::cuda
