// Lists of tensors as tests compare them: whole sets of parameters or gradients.
#pragma once
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace reward_tuner::reference {

inline std::vector<at::Tensor> copies(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> out;
  for (const at::Tensor& t : tensors) out.push_back(t.detach().clone());
  return out;
}

inline bool bit_equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const at::Tensor& x, const at::Tensor& y) { return x.equal(y); });
}

/// |a - b| / |b| over all elements.
inline double distance(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i)
    difference += (a[i] - b[i]).square().sum().item<double>(), size += b[i].square().sum().item<double>();
  return std::sqrt(difference / size);
}

}  // namespace reward_tuner::reference
