// What the threads of the CUDA kernels do, one after another on the CPU, against the operators in double: the same
// source that a card runs, with the joins of its warps.
#include <doctest/doctest.h>

#include <ATen/ops/full.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/silu.h>
#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include <reward_tuner/tensor/rng.hpp>

#include <src/fused_threads.hpp>
#include <tests/reference/fused_reference.hpp>

namespace fused_kernels_test {
namespace {

using namespace reward_tuner;
using fused::kThreads;
using fused::Moments;
using reference::fused_error;
using reference::geglu_in_double;
using reference::norm_silu_in_double;

/// In the first of them, pairwise, as shuffles within a warp do.
void join(Moments* first, std::size_t count) {
  for (std::size_t shift = count / 2; shift > 0; shift /= 2)
    for (std::size_t i = 0; i < shift; ++i) first[i] = fused::joined(first[i], first[i + shift]);
}

Tensor norm_on_host(const GroupNormSilu& call, std::int64_t narrow = fused::kNarrow) {
  const auto launch = [](const auto& work, std::int64_t blocks) {
    for (std::uint32_t block = 0; block < static_cast<std::uint64_t>(blocks); ++block) {
      std::vector<Moments> own;
      for (std::uint32_t thread = 0; thread < kThreads; ++thread) own.push_back(work.moments(block, thread));
      std::vector<Moments> warps(32, Moments{0, 0, 0});
      for (std::size_t warp = 0; warp < kThreads / 32; ++warp) {
        join(&own[32 * warp], 32);
        warps[warp] = own[32 * warp];
      }
      join(warps.data(), 32);
      for (std::uint32_t thread = 0; thread < kThreads; ++thread) work.write(block, thread, warps[0]);
    }
  };
  return fused::group_norm_silu(call, launch, narrow);
}

Tensor geglu_on_host(const Tensor& x, std::int64_t narrow = fused::kNarrow) {
  const auto launch = [](const auto& work, std::int64_t blocks) {
    using Index = decltype(work.count);
    const auto threads = static_cast<Index>(blocks * kThreads);
    for (Index thread = 0; thread < threads; ++thread) work.write(thread, threads);
  };
  return fused::geglu(x, launch, narrow);
}

/// One rounding.
double bound(at::ScalarType type) { return type == at::kFloat ? 4e-6 : type == at::kHalf ? 5e-4 : 4e-3; }

}  // namespace
}  // namespace fused_kernels_test

TEST_CASE("a kernel's group normalization with SiLU is right in every type, layout, shape and width of an index") {
  using namespace fused_kernels_test;
  Rng rng(3);
  for (const auto& [batch, channels, height, width, groups] :
       {std::tuple{2, 320, 16, 16, 32}, std::tuple{1, 1280, 8, 8, 32}, std::tuple{2, 128, 32, 32, 32},
        std::tuple{3, 12, 5, 7, 4}, std::tuple{1, 6, 1, 1, 3}, std::tuple{2, 4, 33, 31, 1},
        std::tuple{1, 1, 40, 40, 1}})
    for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast})
      for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
        CAPTURE(std::string(c10::toString(type)));
        const Tensor x = (rng.normal({batch, channels, height, width}) * 0.5 + 3).to(type).contiguous(format);
        CAPTURE(x.size(1));
        const Tensor w = (1 + 0.2 * rng.normal({channels})).to(type), b = (0.2 * rng.normal({channels})).to(type);
        const Tensor got = norm_on_host({x, groups, w, b, 1e-5});
        CHECK((got.scalar_type() == type));
        CHECK(got.strides() == x.strides());
        CHECK(fused_error(got, norm_silu_in_double(x, groups, w, b)) < bound(type));
        CHECK(norm_on_host({x, groups, w, b, 1e-5}, /*narrow=*/0).equal(got));
      }
}

TEST_CASE("a kernel's variance does not cancel where the mean is large, nor where the first number is far off") {
  using namespace fused_kernels_test;
  Rng rng(4);
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast})
    for (const std::int64_t side : {64, 512}) {
      CAPTURE(side);
      Tensor x = (rng.normal({1, 8, side, side}) * 0.1 + 1e3).contiguous(format);
      const Tensor w = at::full({8}, 1.0), b = at::full({8}, 0.0);
      CHECK(fused_error(norm_on_host({x, 2, w, b, 1e-5}), norm_silu_in_double(x, 2, w, b)) < 4e-6);
      // the operator itself: its last step cancels, and channels last its variance does
      const Tensor theirs = at::silu(at::group_norm(x.contiguous(), 2, w, b, 1e-5)).to(at::kDouble);
      CHECK(fused_error(norm_on_host({x, 2, w, b, 1e-5}), theirs) < 1e-3);
      for (const int channel : {0, 4}) x.select(1, channel).select(1, 0).select(1, 0).fill_(0);  // of both groups
      CHECK(fused_error(norm_on_host({x, 2, w, b, 1e-5}), norm_silu_in_double(x, 2, w, b)) < 6e-5);
    }
}

TEST_CASE("a kernel's numbers that lie at an odd address, or in rows of an odd width, are read one by one") {
  using namespace fused_kernels_test;
  Rng rng(5);
  const Tensor w = at::full({4}, 1.0), b = at::full({4}, 0.5);
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const Tensor x = rng.normal({2 * 4 * 8 * 8 + 1}).to(type).narrow(0, 1, 2 * 4 * 8 * 8).view({2, 4, 8, 8});
    CHECK(fused_error(norm_on_host({x, 2, w.to(type), b.to(type), 1e-5}), norm_silu_in_double(x, 2, w, b)) <
          bound(type));
    CHECK(fused_error(geglu_on_host(x), geglu_in_double(x)) < bound(type));
  }
}

TEST_CASE("a kernel's GEGLU is right in every type, shape and width of an index") {
  using namespace fused_kernels_test;
  Rng rng(6);
  for (const auto& [batch, tokens, width] :
       {std::tuple{2, 64, 1280}, std::tuple{1, 3, 5}, std::tuple{3, 7, 2}, std::tuple{1, 1024, 640}})
    for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const Tensor x = (2 * rng.normal({batch, tokens, 2 * width})).to(type);
      CAPTURE(x.size(2));
      const Tensor got = geglu_on_host(x);
      CHECK(fused_error(got, geglu_in_double(x)) < bound(type));
      CHECK(geglu_on_host(x, /*narrow=*/0).equal(got));
    }
}

TEST_CASE("a kernel finds its group behind 2^31 numbers and more") {
  using namespace fused_kernels_test;
  const std::uint64_t pixels = std::uint64_t{1} << 30;
  const fused::GroupNormWork<float, 1, false, std::uint64_t> first{{}, {}, {}, {}, 4, pixels, 32, 0};
  CHECK(first.first(33) == (std::int64_t{1} << 37) + (std::int64_t{1} << 32));
  const fused::GroupNormWork<float, 1, true, std::uint64_t> last{{}, {}, {}, {}, 4, pixels, 32, 0};
  CHECK(last.first(33) == (std::int64_t{1} << 37) + 4);
  // an image of fewer numbers, and many of them
  const fused::GroupNormWork<float, 1, false, std::uint32_t> many{{}, {}, {}, {}, 4, 1u << 20, 32, 0};
  CHECK(many.first(32 * 1000 + 1) == std::int64_t{1000} * (1 << 27) + (1 << 22));
}

TEST_CASE("a kernel refuses layouts and sizes that it does not know, and leaves nothing to do undone") {
  using namespace fused_kernels_test;
  Rng rng(7);
  const Tensor w = at::full({4}, 1.0), b = at::full({4}, 0.0), x = rng.normal({2, 4, 3, 6});
  const auto says = [](const std::string& words, const auto& call) {
    try {
      call();
      return false;
    } catch (const c10::Error& error) {
      return std::string(error.what()).find(words) != std::string::npos;
    }
  };
  const std::string layout = "expected images [B,C,H,W], contiguous or channels last";
  CHECK(says(layout, [&] { norm_on_host({x.narrow(3, 0, 2), 2, w, b, 1e-5}); }));
  CHECK(says(layout, [&] { norm_on_host({x.transpose(0, 1), 2, w.narrow(0, 0, 2), b.narrow(0, 0, 2), 1e-5}); }));
  CHECK(says(layout, [&] { norm_on_host({x.flatten(2), 2, w, b, 1e-5}); }));
  CHECK(says("expected groups that divide 4 channels", [&] { norm_on_host({x, 3, w, b, 1e-5}); }));
  CHECK(says("a weight and a bias of each", [&] { norm_on_host({x, 2, w.narrow(0, 0, 2), b, 1e-5}); }));
  CHECK(says("expected Float, BFloat16 or Half", [&] { norm_on_host({x.to(at::kDouble), 2, w, b, 1e-5}); }));
  CHECK(says("contiguous rows of an even width", [&] { geglu_on_host(x.narrow(3, 0, 2)); }));
  CHECK(says("contiguous rows of an even width", [&] { geglu_on_host(rng.normal({2, 3})); }));
  CHECK(norm_on_host({x.narrow(0, 0, 0), 2, w, b, 1e-5}).sizes() == at::IntArrayRef({0, 4, 3, 6}));
  CHECK(geglu_on_host(x.narrow(0, 0, 0)).sizes() == at::IntArrayRef({0, 4, 3, 3}));
}
