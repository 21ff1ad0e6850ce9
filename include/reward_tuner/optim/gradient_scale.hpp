// The factor on gradients inside networks of half precision, whose small numbers would be 0 without it.
#pragma once
#include <cstdint>

namespace reward_tuner {

/// A power of two times the first factor: halved when gradients overflow, doubled after many optimizer steps without
/// (Micikevicius et al. 2018, "Mixed Precision Training", section 3.2; torch.amp.GradScaler). `value` 0: not in use.
struct GradientScale {
  double value = 0;
  std::int64_t steps = 0;      ///< optimizer steps since it last changed
  std::int64_t overflows = 0;  ///< how often it was lowered

  /// What gradients are multiplied by: 1 if it is not in use.
  double factor() const { return value > 0 ? value : 1; }
  /// Brings it into use, unless it is.
  void begin(double first) {
    if (value == 0) value = first;
  }
  /// An optimizer step was made. Doubled after `growth` in a row, 0: never.
  void stepped(int growth) {
    constexpr double kLargest = 0x1p64;  // gradients of 1e-20 are in range then; float32 ends at 2^127
    if (value == 0 || growth == 0 || ++steps < growth) return;
    steps = 0;
    if (value < kLargest) value *= 2;
  }
  /// A gradient was not finite. Not below 1, where the scale is not the reason.
  void overflowed() {
    if (value <= 1) return;
    value = value / 2 < 1 ? 1 : value / 2;
    steps = 0;
    ++overflows;
  }

  bool operator==(const GradientScale&) const = default;
};

}  // namespace reward_tuner
