// Mixed precision for the length of a scope: LibTorch's autocast with its state restored.
#pragma once
#include <ATen/autocast_mode.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <optional>

namespace reward_tuner {

/// Convolutions, linear layers and attention on `device` run in `dtype` (bfloat16 or half) inside the scope; without a
/// dtype the scope does nothing. Casts of trainable weights are cached until the outermost scope ends, so a scope must
/// not span a change of weights or of the gradient mode.
class AutocastScope {
 public:
  AutocastScope(c10::DeviceType device, std::optional<c10::ScalarType> dtype)
      : device_(device), active_(dtype.has_value()) {
    if (!active_) return;
    enabled_before_ = at::autocast::is_autocast_enabled(device_);
    dtype_before_ = at::autocast::get_autocast_dtype(device_);
    at::autocast::set_autocast_enabled(device_, true);
    at::autocast::set_autocast_dtype(device_, *dtype);
    at::autocast::increment_nesting();
  }
  ~AutocastScope() {
    if (!active_) return;
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device_, enabled_before_);
    at::autocast::set_autocast_dtype(device_, dtype_before_);
  }
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  c10::DeviceType device_;
  bool active_, enabled_before_ = false;
  c10::ScalarType dtype_before_ = c10::ScalarType::Undefined;
};

/// While one lives, autocast keeps no casts of trainable weights in this thread and takes none that it kept.
class UncachedAutocast {
 public:
  UncachedAutocast() { at::autocast::set_autocast_cache_enabled(false); }
  ~UncachedAutocast() { at::autocast::set_autocast_cache_enabled(before_); }
  UncachedAutocast(const UncachedAutocast&) = delete;
  UncachedAutocast& operator=(const UncachedAutocast&) = delete;

 private:
  bool before_ = at::autocast::is_autocast_cache_enabled();
};

/// The autocast dtype in force on `device`, nothing if autocast is off.
inline std::optional<c10::ScalarType> autocast_dtype(c10::DeviceType device) {
  if (!at::autocast::is_autocast_enabled(device)) return std::nullopt;
  return at::autocast::get_autocast_dtype(device);
}

}  // namespace reward_tuner
