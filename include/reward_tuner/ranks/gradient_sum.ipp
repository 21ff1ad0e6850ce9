// Definitions of gradient_sum.hpp.
#pragma once
#include <reward_tuner/ranks/gradient_sum.hpp>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>

namespace reward_tuner {

namespace detail {

/// Parameters begin .. end-1, which travel together: a flag each, whether the sum so far has a gradient of it, and the
/// sums.
struct GradientPiece {
  std::size_t begin = 0, end = 0;
  std::int64_t numbers = 0;  // of the gradients alone
  std::int64_t size() const { return static_cast<std::int64_t>(end - begin) + numbers; }
};

inline std::vector<GradientPiece> gradient_pieces(const std::vector<Tensor>& parameters) {
  constexpr std::int64_t kNumbers = 1 << 18;  // a piece is at least so large: 1 MiB of float32
  std::vector<GradientPiece> pieces;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (pieces.empty() || pieces.back().numbers >= kNumbers) pieces.push_back({i, i, 0});
    pieces.back().end = i + 1;
    pieces.back().numbers += parameters[i].numel();
  }
  return pieces;
}

}  // namespace detail

REWARD_TUNER_INLINE GradientSum::GradientSum(const Ranks& ranks, std::vector<Tensor> parameters)
    : ranks_(ranks), parameters_(std::move(parameters)) {
  if (ranks_.alone()) return;
  for (const Tensor& p : parameters_)
    REWARD_TUNER_CHECK(p.scalar_type() == parameters_.front().scalar_type(),
                       "[Ranks] several ranks expected trained tensors of one dtype, got ",
                       c10::toString(parameters_.front().scalar_type()), " and ", c10::toString(p.scalar_type()));
  if (!ranks_.first()) added_.resize(parameters_.size());
}

REWARD_TUNER_INLINE void GradientSum::next() {
  for (std::size_t i = 0; i < added_.size(); ++i) {
    Tensor& gradient = parameters_[i].mutable_grad();
    if (!gradient.defined()) continue;
    added_[i].push_back(gradient.detach());
    gradient.reset();
  }
}

REWARD_TUNER_INLINE void GradientSum::finish() {
  if (ranks_.alone() || parameters_.empty()) return;
  const torch::NoGradGuard no_grad;
  const StageScope stage(Stage::kCommunication);
  RankLink& link = *ranks_.link();
  const int last = ranks_.size() - 1;
  const auto pieces = detail::gradient_pieces(parameters_);
  std::vector<Tensor> sums;  // on the CPU, of every piece
  /// Calls f(i, flag, numbers) for the parameters of a piece.
  const auto each = [&](const detail::GradientPiece& piece, Tensor& flat, auto f) {
    auto at = static_cast<std::int64_t>(piece.end - piece.begin);
    for (std::size_t i = piece.begin; i < piece.end; ++i) {
      const std::int64_t size = parameters_[i].numel();
      f(i, flat.narrow(0, static_cast<std::int64_t>(i - piece.begin), 1), flat.narrow(0, at, size));
      at += size;
    }
  };
  for (const detail::GradientPiece& piece : pieces) {
    Tensor flat = at::zeros({piece.size()}, at::TensorOptions(parameters_.front().scalar_type()));
    if (!ranks_.first()) link.receive(flat, ranks_.rank() - 1);
    each(piece, flat, [&](std::size_t i, Tensor flag, Tensor sum) {
      const auto add = [&](const Tensor& gradient) {
        const Tensor own = gradient.cpu().reshape({-1});
        if (flag.item<double>() == 0) sum.copy_(own);  // not 0 + own, which would turn -0 into 0
        else sum.add_(own);
        flag.fill_(1);
      };
      if (ranks_.first()) {
        if (parameters_[i].grad().defined()) add(parameters_[i].grad());
      } else {
        for (const Tensor& gradient : added_[i]) add(gradient);
        added_[i].clear();
      }
    });
    if (ranks_.rank() < last) link.send(flat, ranks_.rank() + 1);
    sums.push_back(std::move(flat));
  }
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    link.broadcast(sums[p], last);
    each(pieces[p], sums[p], [&](std::size_t i, const Tensor& flag, const Tensor& sum) {
      Tensor& gradient = parameters_[i].mutable_grad();
      if (flag.item<double>() == 0) return gradient.reset();
      if (!gradient.defined()) gradient = at::empty_like(parameters_[i]).detach();
      gradient.copy_(sum.reshape(parameters_[i].sizes()));
    });
  }
}

}  // namespace reward_tuner
