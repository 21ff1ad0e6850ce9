// Which of LibTorch's kernels computes attention of a shape the fastest on this card: measured when the shape comes
// first, then kept.
#pragma once
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <string_view>
#include <utility>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// The kernels behind at::scaled_dot_product_attention.
enum class AttentionKernel {
  kDefault,    ///< the one that LibTorch takes by its own rules
  kFlash,      ///< FlashAttention
  kEfficient,  ///< the memory-efficient one of xFormers
  kCudnn,      ///< cuDNN's
  kMath,       ///< plain products, with all weights of the attention in memory
};

/// "default", "flash", "efficient", "cudnn", "math".
std::string_view attention_kernel_name(AttentionKernel kernel);

/// softmax(q k^T / sqrt(d)) v by that kernel.  q [B,heads,L,d], k and v [B,heads,S,d] -> [B,heads,L,d]
/// Errors: LibTorch's own, where the kernel does not take these tensors.
Tensor attention_by(AttentionKernel kernel, const Tensor& q, const Tensor& k, const Tensor& v);

/// What calls have in common that share a choice.
struct AttentionForm {
  at::DeviceType device = at::kCPU;
  at::DeviceIndex index = -1;
  at::ScalarType type = at::kFloat;
  std::int64_t rows = 0;     ///< samples times heads
  std::int64_t queries = 0;  ///< L
  std::int64_t keys = 0;     ///< S
  std::int64_t width = 0;    ///< d
  auto operator<=>(const AttentionForm&) const = default;
};

/// The chosen kernel of every form that came. Of one thread at a time.
class AttentionChoice {
 public:
  /// Seconds of one `run` of a kernel on the device.
  using Timer = std::function<double(AttentionKernel kernel, at::Device device, const std::function<void()>& run)>;
  /// How a kernel is called: as attention_by.
  using Attend = std::function<Tensor(AttentionKernel kernel, const Tensor& q, const Tensor& k, const Tensor& v)>;
  /// What was measured of a form.
  struct Measured {
    AttentionKernel kernel = AttentionKernel::kDefault;  ///< the chosen one
    std::map<AttentionKernel, double> seconds = {};      ///< of a call, of those that took it
  };
  /// Times by the device's own events.
  AttentionChoice();
  explicit AttentionChoice(Timer timer, Attend attend = attention_by)
      : timer_(std::move(timer)), attend_(std::move(attend)) {}

  /// Whether a choice is made for this call: nothing to be differentiated, in float32, bfloat16 or half, outside of
  /// autocast, OperatorsAlone and LibTorch's deterministic algorithms. A choice by a clock is another one in another
  /// run: calls whose bits must repeat do not depend on it.
  static bool suits(const Tensor& q, const Tensor& k, const Tensor& v);
  /// The kernel of this call. The first call of a form times each kernel that may take it, on these tensors: the
  /// fastest is kept if it saves a twentieth of the default's time and its answer is the default's up to rounding. A
  /// kernel that throws is left out. While a call is recorded nothing is measured: a new form has the default then.
  /// Cost: of the first call of a form some twenty calls by each kernel, and a wait for the device.
  AttentionKernel of(const Tensor& q, const Tensor& k, const Tensor& v);
  /// Attention by that kernel, as attention_by.
  Tensor operator()(const Tensor& q, const Tensor& k, const Tensor& v) { return attend_(of(q, k, v), q, k, v); }
  /// All forms so far.
  const std::map<AttentionForm, Measured>& measured() const { return measured_; }

 private:
  Measured measure(const AttentionForm& form, const Tensor& q, const Tensor& k, const Tensor& v) const;

  Timer timer_;
  Attend attend_;
  std::map<AttentionForm, Measured> measured_;
};

/// While one lives, calls of dot_product_attention in this thread that suit `choice` go by it; by none with nullptr.
class AttentionScope {
 public:
  explicit AttentionScope(AttentionChoice* choice) : before_(std::exchange(now(), choice)) {}
  ~AttentionScope() { now() = before_; }
  AttentionScope(const AttentionScope&) = delete;
  AttentionScope& operator=(const AttentionScope&) = delete;

  /// The choice in force, or nullptr.
  static AttentionChoice*& now() {
    thread_local AttentionChoice* choice = nullptr;
    return choice;
  }

 private:
  AttentionChoice* before_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/layers/attention_choice.ipp>
#endif
