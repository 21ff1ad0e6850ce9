// Definitions of package.hpp.
#pragma once
#include <reward_tuner/rewards/package.hpp>

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <c10/core/Device.h>
#include <c10/util/Exception.h>
#include <dlfcn.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/types.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/tensor/out_of_memory.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

namespace detail {

/// The line of what LibTorch says that names the problem: the first, or the last of TorchScript's interpreter.
inline std::string package_problem(const std::exception& e) {
  const auto* own = dynamic_cast<const c10::Error*>(&e);
  const std::string text = own != nullptr ? own->what_without_backtrace() : e.what();
  const std::size_t last = text.rfind("RuntimeError: "), begin = last == std::string::npos ? 0 : last;
  return text.substr(begin, text.find('\n', begin) - begin);
}

/// A package's library wants libtorch.so, of which a program uses nothing itself, so that its linker may have left it
/// out: loads the one beside the library that this program runs on. Without one the package's own error tells.
inline void load_libtorch() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&at::globalContext), &info) == 0 || info.dli_fname == nullptr) return;
  ::dlopen((std::filesystem::path(info.dli_fname).parent_path() / "libtorch.so").c_str(), RTLD_NOW | RTLD_GLOBAL);
}

/// scores [B], slopes [B,3,H,W] of them -> scores whose gradient to the images those slopes are.
struct PackageGradient : torch::autograd::Function<PackageGradient> {
  static Tensor forward(torch::autograd::AutogradContext* context, [[maybe_unused]] const Tensor& images,
                        const Tensor& scores, const Tensor& slopes) {
    context->save_for_backward({slopes});
    return scores.clone();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const Tensor slopes = context->get_saved_variables()[0];                 // [B,3,H,W]
    return {gradients[0].view({-1, 1, 1, 1}) * slopes, Tensor(), Tensor()};  // [B,3,H,W]
  }
};

}  // namespace detail

class PackageReward::File {
 public:
  File(std::filesystem::path path, PromptTokens tokens) : path_(std::move(path)), tokens_(std::move(tokens)) {}
  virtual ~File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  virtual bool differentiable() const = 0;
  /// The scores, with a graph where the images carry a gradient.
  virtual Tensor scores(const Tensor& images, const std::vector<Tensor>& rest) const = 0;

  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "PackageReward");
    const bool gradient = at::GradMode::is_enabled() && input.images.requires_grad();
    REWARD_TUNER_CHECK(differentiable() || !gradient, "[PackageReward] expected a package with a gradient, got ",
                       path_.string(), ", which was exported without: use it with a policy gradient method");
    std::vector<Tensor> rest;
    if (tokens_) {
      check_reward_prompts(input, "PackageReward");
      const Tensor tokens = tokens_(input.prompts);  // int64 [B,L]
      REWARD_TUNER_CHECK(tokens.defined() && tokens.scalar_type() == at::kLong && tokens.dim() == 2 &&
                             tokens.size(0) == input.images.size(0),
                         "[PackageReward] tokens expected int64 [", input.images.size(0), ",L], got ",
                         tokens.defined() ? tokens.sizes() : at::IntArrayRef());
      rest.push_back(beside(input.images, tokens).contiguous());
    }
    Tensor scores;
    try {
      scores = this->scores(input.images, rest);
    } catch (const Error&) {
      throw;
    } catch (const std::exception& e) {
      if (is_out_of_memory(e)) throw;  // no fault of the file
      detail::fail("[PackageReward] ", path_.string(), " could not score images ", input.images.sizes(), ": ",
                   detail::package_problem(e));
    }
    REWARD_TUNER_CHECK(scores.defined() && scores.dim() == 1 && scores.size(0) == input.images.size(0),
                       "[PackageReward] expected scores [", input.images.size(0), "] from ", path_.string(), ", got ",
                       scores.defined() ? scores.sizes() : at::IntArrayRef());
    return {scores.to(input.images.scalar_type())};  // [B]
  }

 protected:
  const std::filesystem::path& path() const { return path_; }
  bool has_tokens() const { return static_cast<bool>(tokens_); }

 private:
  std::filesystem::path path_;
  PromptTokens tokens_;
};

class PackageReward::Package final : public PackageReward::File {
 public:
  Package(const std::filesystem::path& file, PromptTokens tokens, std::optional<at::Device> device)
      : File(file, std::move(tokens)) {
    using Loader = torch::inductor::AOTIModelPackageLoader;
    const auto attempt = [&](const auto& step) {
      try {
        step();
      } catch (const std::exception& e) {
        detail::fail("[PackageReward] expected an AOTInductor package that this program can run in ", file.string(),
                     ", got: ", detail::package_problem(e));
      }
    };
    attempt([&] {
      about_ = Loader::load_metadata_from_package(file.string(), "model");
      place_ = at::Device(about_.at("AOTI_DEVICE_KEY"));
    });
    REWARD_TUNER_CHECK(!device || device->type() == place_.type(), "[PackageReward] ", file.string(),
                       " was exported for ", place_.type(), ": expected that device, got ", *device);
    attempt([&] {
      detail::load_libtorch();
      place_ = at::empty({0}, device.value_or(place_)).device();  // with its number: the code is loaded for one device
      loader_ = std::make_unique<Loader>(file.string(), "model", /*run_single_threaded=*/false, /*num_runners=*/1,
                                         place_.index());
    });
    static const std::map<std::string, at::ScalarType> kTypes = {
        {"float32", at::kFloat}, {"float64", at::kDouble}, {"bfloat16", at::kBFloat16}, {"float16", at::kHalf}};
    const auto type = kTypes.find(about("dtype"));
    REWARD_TUNER_CHECK(type != kTypes.end(), "[PackageReward] expected dtype float32, float64, bfloat16 or float16 in ",
                       file.string(), ", got ", about("dtype"));
    dtype_ = type->second;
    REWARD_TUNER_CHECK(about("outputs") == "score" || about("outputs") == "score,gradient",
                       "[PackageReward] expected outputs score or score,gradient in ", file.string(), ", got ",
                       about("outputs"));
    gradient_ = about("outputs") == "score,gradient";
    height_ = number("height");
    width_ = number("width");
    length_ = number("tokens");
    REWARD_TUNER_CHECK(has_tokens() == (length_ > 0), "[PackageReward] ", file.string(),
                       length_ > 0 ? " reads tokens of the prompts: expected a function that makes them, got none"
                                   : " reads images alone: expected no function that makes tokens, got one");
  }

  bool differentiable() const override { return gradient_; }

  Tensor scores(const Tensor& images, const std::vector<Tensor>& rest) const override {
    // the compiled code reads memory without asking what is there
    REWARD_TUNER_CHECK(images.device() == place_, "[PackageReward] ", path().string(), " runs on ", place_,
                       ": expected images there, got them on ", images.device());
    REWARD_TUNER_CHECK(images.size(2) == height_ && images.size(3) == width_, "[PackageReward] ", path().string(),
                       " was exported for images of ", height_, "x", width_, ", got ", images.size(2), "x",
                       images.size(3));
    REWARD_TUNER_CHECK(rest.empty() || rest[0].size(1) == length_, "[PackageReward] ", path().string(),
                       " was exported for ", length_, " tokens a prompt, got ", rest.empty() ? 0 : rest[0].size(1));
    std::vector<Tensor> out;
    {
      const torch::NoGradGuard no_grad;
      std::vector<Tensor> inputs = {images.detach().to(dtype_).contiguous()};  // [B,3,H,W]
      inputs.insert(inputs.end(), rest.begin(), rest.end());
      out = loader_->run(inputs);
    }
    REWARD_TUNER_CHECK(out.size() == (gradient_ ? 2U : 1U), "[PackageReward] expected ", gradient_ ? 2 : 1,
                       " outputs of ", path().string(), ", got ", out.size());
    if (!gradient_ || !at::GradMode::is_enabled() || !images.requires_grad()) return out[0];
    REWARD_TUNER_CHECK(out[1].sizes() == images.sizes(), "[PackageReward] expected a gradient ", images.sizes(),
                       " from ", path().string(), ", got ", out[1].sizes());
    return detail::PackageGradient::apply(images, out[0].to(images.scalar_type()), out[1].to(images.scalar_type()));
  }

 private:
  const std::string& about(const std::string& key) const {
    const auto found = about_.find("reward_tuner." + key);
    REWARD_TUNER_CHECK(found != about_.end(), "[PackageReward] expected a package made by script/export_reward in ",
                       path().string(), ", got one that does not say its ", key);
    return found->second;
  }

  std::int64_t number(const std::string& key) const {
    const std::string& text = about(key);
    std::int64_t value = -1;
    std::from_chars(text.data(), text.data() + text.size(), value);
    REWARD_TUNER_CHECK(value >= 0, "[PackageReward] expected a number as ", key, " of ", path().string(), ", got '",
                       text, "'");
    return value;
  }

  std::unique_ptr<torch::inductor::AOTIModelPackageLoader> loader_;
  std::unordered_map<std::string, std::string> about_;
  at::Device place_ = at::kCPU;
  at::ScalarType dtype_ = at::kFloat;
  bool gradient_ = false;
  std::int64_t height_ = 0, width_ = 0, length_ = 0;
};

class PackageReward::Script final : public PackageReward::File {
 public:
  Script(const std::filesystem::path& file, PromptTokens tokens, std::optional<at::Device> device)
      : File(file, std::move(tokens)) {
    note("[PackageReward] ", file.string(),
         " is a TorchScript module: PyTorch has deprecated them, and "
         "script/export_reward makes a .pt2 of the same function");
    try {
      module_ = torch::jit::load(file.string(), device);
    } catch (const std::exception& e) {
      detail::fail("[PackageReward] expected a TorchScript module in ", file.string(),
                   ", got: ", detail::package_problem(e));
    }
    module_.eval();
    for (const Tensor& weight : module_.parameters()) weight.requires_grad_(false);
    const std::size_t wanted = module_.get_method("forward").function().getSchema().arguments().size() - 1;  // self
    REWARD_TUNER_CHECK(wanted == (has_tokens() ? 2U : 1U), "[PackageReward] ", file.string(), " reads ", wanted,
                       " inputs: expected ", has_tokens() ? "images and tokens" : "images alone");
  }

  bool differentiable() const override { return true; }

  Tensor scores(const Tensor& images, const std::vector<Tensor>& rest) const override {
    Tensor given = images;
    const auto check_place = [&](const Tensor& weight) {
      REWARD_TUNER_CHECK(weight.device() == images.device(), "[PackageReward] ", path().string(), " runs on ",
                         weight.device(), ": expected images there, got them on ", images.device());
    };
    for (const Tensor& weight : module_.parameters()) {
      check_place(weight);
      if (weight.is_floating_point()) given = images.to(weight.scalar_type());
    }
    for (const Tensor& buffer : module_.buffers())
      if (buffer.dim() > 0) check_place(buffer);  // single numbers serve every device
    std::vector<torch::jit::IValue> inputs = {given};
    inputs.insert(inputs.end(), rest.begin(), rest.end());
    const std::lock_guard lock(mutex_);
    const torch::jit::IValue out = torch::jit::Module(module_).forward(std::move(inputs));
    REWARD_TUNER_CHECK(out.isTensor(), "[PackageReward] expected scores [B] from ", path().string(), ", got a ",
                       out.tagKind());
    return out.toTensor();
  }

 private:
  torch::jit::Module module_;
  mutable std::mutex mutex_;
};

REWARD_TUNER_INLINE PackageReward::PackageReward(const std::filesystem::path& file, PromptTokens tokens,
                                                 std::optional<at::Device> device) {
  REWARD_TUNER_CHECK(std::filesystem::is_regular_file(file), "[PackageReward] expected a file, got none at ",
                     file.string());
  const std::string kind = file.extension().string();
  REWARD_TUNER_CHECK(kind == ".pt2" || kind == ".pt",
                     "[PackageReward] expected a package NAME.pt2 or a TorchScript "
                     "module NAME.pt, got ",
                     file.string());
  if (kind == ".pt2") file_ = std::make_shared<const Package>(file, std::move(tokens), device);
  else file_ = std::make_shared<const Script>(file, std::move(tokens), device);
}

REWARD_TUNER_INLINE bool PackageReward::differentiable() const { return file_->differentiable(); }

REWARD_TUNER_INLINE RewardResult PackageReward::score(const RewardInput& input) const { return file_->score(input); }

}  // namespace reward_tuner
