// The arithmetic of the operators that LibTorch runs, from their names and the shapes of their inputs.
#pragma once
#include <ATen/record_function.h>
#include <c10/util/accumulate.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace reward_tuner::reference {

namespace detail {

// LibTorch's own inputs() asserts on a field that only its debug builds set, wherever NDEBUG is not defined: the member
// itself is read instead. An explicit instantiation may name what is private.
using RecordedInputs = c10::ArrayRef<const c10::IValue> at::RecordFunction::*;
RecordedInputs recorded_inputs();
template <RecordedInputs kMember>
struct Opened {
  friend RecordedInputs recorded_inputs() { return kMember; }
};
template struct Opened<&at::RecordFunction::inputs_>;

}  // namespace detail

/// What the products, convolutions and attentions of one operator take; 0 for any other.
inline std::int64_t operator_flops(const at::RecordFunction& function) {
  const std::string_view name = function.name();
  const auto in = [&](std::size_t i) {
    return (function.*detail::recorded_inputs())[i];
  };  // only some operators have them
  const auto sizes = [&](std::size_t i) { return in(i).toTensor().sizes().vec(); };
  const auto numbers = [&](std::size_t i) { return c10::multiply_integers(sizes(i)); };
  const auto pixels = [&](std::size_t i) { return sizes(i)[0] * sizes(i)[2] * sizes(i)[3]; };
  if (name == "aten::mm" || name == "aten::bmm") return 2 * numbers(0) * sizes(1).back();
  if (name == "aten::addmm" || name == "aten::addmm_" || name == "aten::baddbmm")
    return 2 * numbers(1) * sizes(2).back();
  if (name == "aten::convolution") {
    if (in(6).toBool()) return 2 * numbers(1) * pixels(0);     // transposed: each input pixel meets the whole kernel
    const auto along = [&](std::size_t i, std::size_t side) {  // one number stands for both sides
      const auto list = in(i).toIntVector();
      return list.size() > 1 ? list[side] : list[0];
    };
    const auto after = [&](std::size_t side) {
      return (sizes(0)[2 + side] + 2 * along(4, side) - sizes(1)[2 + side]) / along(3, side) + 1;
    };
    return 2 * numbers(1) * sizes(0)[0] * after(0) * after(1);
  }
  if (name == "aten::convolution_backward") {
    const auto wanted = in(10).toBoolList();
    const std::int64_t results = (wanted.get(0) ? 1 : 0) + (wanted.get(1) ? 1 : 0);
    return 2 * results * numbers(2) * pixels(in(7).toBool() ? 1 : 0);
  }
  // q k^T and its product with v; five such in the backward
  if (name == "aten::_scaled_dot_product_flash_attention_for_cpu") return 2 * 2 * numbers(0) * sizes(1)[2];
  if (name == "aten::_scaled_dot_product_flash_attention_for_cpu_backward") return 5 * 2 * numbers(1) * sizes(2)[2];
  return 0;
}

/// Counts operators of this thread while it lives.
class ObservedFlops {
 public:
  ObservedFlops()
      : handle_(at::addThreadLocalCallback(
            at::RecordFunctionCallback([](const at::RecordFunction& f) -> std::unique_ptr<at::ObserverContext> {
              sum += operator_flops(f);
              return nullptr;
            })
                .needsInputs(true)
                .scopes({at::RecordScope::FUNCTION}))) {
    clear();
  }
  ~ObservedFlops() { at::removeCallback(handle_); }
  ObservedFlops(const ObservedFlops&) = delete;
  ObservedFlops& operator=(const ObservedFlops&) = delete;

  std::int64_t flops() const { return sum; }
  void clear() { sum = 0; }

 private:
  static inline thread_local std::int64_t sum = 0;
  at::CallbackHandle handle_;
};

}  // namespace reward_tuner::reference
