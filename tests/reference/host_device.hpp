// A second device for tests: LibTorch's PrivateUse1 with its memory in the host's and its kernels the CPU's, so that
// numbers are the CPU's to the bit. It refuses to compute on tensors of both, as a card does, and counts what a card
// would make the program wait for.
#pragma once
#include <ATen/EmptyTensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/view_native.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/DeviceType.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>
#include <torch/types.h>

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <tests/reference/test_device.hpp>

namespace reward_tuner::reference {

/// The device, and what it was waited for: values read by the host, copies in either direction that wait, and kernels
/// whose result has a size that the host must learn. Copies of constants that do not wait are not counted.
class HostDevice {
 public:
  static at::Device device() { return {at::kPrivateUse1, 0}; }
  static std::map<std::string, int> waits() {
    const std::lock_guard lock(mutex());
    return counted();
  }
  static int wait_count() {
    int sum = 0;
    for (const auto& [name, count] : waits()) sum += count;
    return sum;
  }
  static void forget() {
    const std::lock_guard lock(mutex());
    counted().clear();
  }

 private:
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  static std::map<std::string, int>& counted() {
    static std::map<std::string, int> all;
    return all;
  }
  static void wait_for(const std::string& what) {
    const std::lock_guard lock(mutex());
    ++counted()[what];
  }

  // ---- memory
  struct Allocator : c10::Allocator {
    c10::DataPtr allocate(std::size_t bytes) override {
      auto held = std::make_unique<c10::DataPtr>(c10::GetCPUAllocator()->allocate(bytes));
      void* const data = held->get();
      return {data, held.release(), &free, device()};
    }
    static void free(void* held) { delete static_cast<c10::DataPtr*>(held); }
    c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
    void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }
  };
  static Allocator& allocator() {
    static Allocator one;
    return one;
  }
  template <class Held>
  static at::Tensor over(Held held, const at::Tensor& like, const c10::Storage& storage, at::Device device) {
    auto* const kept = new Held(std::move(held));
    c10::Storage same(c10::Storage::use_byte_size_t(), storage.nbytes(),
                      c10::DataPtr(
                          storage.mutable_data(), kept, [](void* p) { delete static_cast<Held*>(p); }, device),
                      device.is_cpu() ? c10::GetCPUAllocator() : &allocator(), /*resizable=*/true);
    return shaped(same, like, device);
  }
  static at::Tensor shaped(const c10::Storage& storage, const at::Tensor& like, at::Device device) {
    auto out = at::detail::make_tensor<c10::TensorImpl>(
        c10::Storage(storage),
        c10::DispatchKeySet(device.is_cpu() ? c10::DispatchKey::CPU : c10::DispatchKey::PrivateUse1), like.dtype());
    out.unsafeGetTensorImpl()->set_storage_offset(like.storage_offset());
    out.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides());
    return out;
  }
  /// The same memory as the CPU sees it.
  static at::Tensor on_host(const at::Tensor& t) {
    return t.defined() && t.is_privateuseone() ? over(t.storage(), t, t.storage(), at::kCPU) : t;
  }
  /// What the CPU computed, as a tensor of the device; a view of an argument stays one.
  static at::Tensor on_device(const at::Tensor& t, const std::vector<at::Tensor>& arguments) {
    if (!t.defined() || !t.is_cpu()) return t;
    for (const at::Tensor& a : arguments)
      if (a.storage().data() == t.storage().data() && a.storage().nbytes() > 0) return shaped(a.storage(), t, device());
    return over(t.storage(), t, t.storage(), device());
  }

  // ---- kernels
  static void run_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
    const auto& schema = op.schema();
    const std::size_t count = schema.arguments().size(), first = stack->size() - count;
    std::vector<at::Tensor> own;                             // arguments on the device
    std::vector<at::Tensor> written(count), aliases(count);  // by position
    const auto moved = [&](const at::Tensor& t) {
      if (t.defined() && t.is_cpu() && t.dim() > 0)
        throw std::runtime_error("tensors on two devices: " + toString(schema.operator_name()) + " has one on the CPU");
      if (t.defined() && t.is_privateuseone()) own.push_back(t);
      return on_host(t);
    };
    for (std::size_t i = 0; i < count; ++i) {
      c10::IValue& value = (*stack)[first + i];
      if (value.isTensor()) {
        written[i] = value.toTensor();
        value = aliases[i] = moved(written[i]);
      } else if (value.isTensorList()) {
        std::vector<at::Tensor> all;
        for (const at::Tensor& t : value.toTensorVector()) all.push_back(moved(t));
        value = c10::IValue(all);
      } else if (value.isOptionalTensorList()) {
        c10::List<std::optional<at::Tensor>> all;
        for (const std::optional<at::Tensor>& t : value.toOptionalTensorVector())
          all.push_back(t ? std::optional(moved(*t)) : t);
        value = c10::IValue(all);
      } else if (value.isDevice()) {
        value = c10::IValue(at::Device(at::kCPU));
      }
    }
    const std::string name = schema.name();
    for (const char* sized : {"aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim"})
      if (name == sized) wait_for(name);
    op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
    for (std::size_t i = 0; i < count; ++i) {  // an output that was resized has other memory
      if (!aliases[i].defined() || !written[i].is_privateuseone()) continue;
      c10::TensorImpl* const target = written[i].unsafeGetTensorImpl();
      if (aliases[i].storage().data() != written[i].storage().data())
        target->set_storage_keep_dtype(
            over(aliases[i].storage(), aliases[i], aliases[i].storage(), device()).storage());
      if (aliases[i].sizes() != written[i].sizes())
        target->set_sizes_and_strides(aliases[i].sizes(), aliases[i].strides());
    }
    const std::size_t results = schema.returns().size(), begin = stack->size() - results;
    for (std::size_t i = 0; i < results; ++i) {
      c10::IValue& value = (*stack)[begin + i];
      const auto* alias = schema.returns()[i].alias_info();
      if (alias != nullptr && alias->isWrite()) {  // the argument itself
        for (std::size_t a = 0; a < count; ++a)
          if (const auto* of = schema.arguments()[a].alias_info(); of != nullptr && *of == *alias) value = written[a];
      } else if (value.isTensor()) {
        value = on_device(value.toTensor(), own);
      } else if (value.isTensorList()) {
        std::vector<at::Tensor> all;
        for (const at::Tensor& t : value.toTensorVector()) all.push_back(on_device(t, own));
        value = c10::IValue(all);
      } else {
        wait_for(name);  // a value of the host
      }
    }
  }

  static at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                          std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
    return at::detail::empty_generic(size, &allocator(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                     dtype.value_or(at::kFloat), format);
  }
  static at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                                  std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
    return at::detail::empty_strided_generic(
        size, stride, &allocator(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), dtype.value_or(at::kFloat));
  }
  static at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
    if (from.numel() > 0 && to.is_cpu()) wait_for("copy to the host");
    if (from.numel() > 0 && from.is_cpu() && !non_blocking) wait_for("copy from the host");
    on_host(to).copy_(on_host(from));
    return to;
  }
  static at::Scalar value_of(const at::Tensor& t) {
    wait_for("item");
    return on_host(t).item();
  }
  static at::Tensor convolution(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& b,
                                at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation,
                                bool transposed, at::IntArrayRef output_padding, std::int64_t groups) {
    const auto bias = b ? std::optional(on_host(*b)) : b;
    return on_device(
        at::convolution(on_host(x), on_host(w), bias, stride, padding, dilation, transposed, output_padding, groups),
        {});
  }
  static std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(
      const at::Tensor& g, const at::Tensor& x, const at::Tensor& w, at::IntArrayRef stride, at::IntArrayRef padding,
      at::IntArrayRef dilation, bool transposed, at::IntArrayRef output_padding, std::int64_t groups,
      std::array<bool, 3> mask) {
    const std::array<std::int64_t, 1> bias = {transposed ? w.size(1) * groups : w.size(0)};
    auto [for_x, for_w, for_b] =
        at::convolution_backward(on_host(g), on_host(x), on_host(w), at::IntArrayRef(bias), stride, padding, dilation,
                                 transposed, output_padding, groups, mask);
    return {on_device(for_x, {}), on_device(for_w, {}), on_device(for_b, {})};
  }
  static std::int64_t attention_by_products(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                            const std::optional<at::Tensor>&, double, bool, std::optional<double>,
                                            bool) {
    return 0;
  }

  struct Guard : c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::PrivateUse1> {
    c10::Device exchangeDevice(c10::Device) const override { return device(); }
    c10::Device getDevice() const override { return device(); }
    c10::Stream getStream(c10::Device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, device()); }
  };

  struct Hooks : at::PrivateUse1HooksInterface {
    bool isBuilt() const override { return true; }
    bool isAvailable() const override { return true; }
    bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  };

  static bool install() {
    if (!test_device().is_cpu() && !test_device().is_privateuseone()) return false;  // beside a card autograd takes one
    static Hooks hooks;
    c10::register_privateuse1_backend("host");
    at::RegisterPrivateUse1HooksInterface(&hooks);
    static const Guard guard;
    static const c10::impl::DeviceGuardImplRegistrar registered(c10::DeviceType::PrivateUse1, &guard);
    static torch::Library every(torch::Library::IMPL, "_", c10::DispatchKey::PrivateUse1, __FILE__, __LINE__);
    every.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
    static torch::Library aten(torch::Library::IMPL, "aten", c10::DispatchKey::PrivateUse1, __FILE__, __LINE__);
    aten.impl("empty.memory_format", TORCH_FN(empty));
    aten.impl("empty_strided", TORCH_FN(empty_strided));
    aten.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
    aten.impl("view", TORCH_FN(at::native::view));
    aten.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
    aten.impl("_copy_from", TORCH_FN(copy_from));
    aten.impl("_local_scalar_dense", TORCH_FN(value_of));
    aten.impl("convolution_overrideable", TORCH_FN(convolution));
    aten.impl("convolution_backward_overrideable", TORCH_FN(convolution_backward));
    aten.impl("_fused_sdp_choice", TORCH_FN(attention_by_products));
    // composed of others elsewhere, in another order than on the CPU
    for (const char* name : {"native_group_norm", "native_group_norm_backward", "native_layer_norm",
                             "native_layer_norm_backward", "silu_backward"})
      aten.impl(name, torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
    return true;
  }
  // before the first backward of the program, which starts a thread for each device
  inline static const bool installed_ = install();
};

}  // namespace reward_tuner::reference
