// A reward that somebody exported from Python: an AOTInductor package (.pt2) with score and gradient, or a TorchScript
// module (.pt).
#pragma once
#include <c10/core/Device.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

/// What a package reads in place of prompts: B prompts -> int64 [B,L] on the CPU, of the length it was exported with.
using PromptTokens = std::function<Tensor(const std::vector<std::string>&)>;

/// values = what the file computes of images [B,3,H,W] (and tokens of the prompts, if it was exported with them).
///   .pt2  made by script/export_reward: outputs score [B] and, if it has one, d score/d image [B,3,H,W]; with it the
///         reward is differentiable, d values/d images being that output times the incoming gradient; without, a black
///         box. It runs native code out of the file: load none that you would not run.
///   .pt   a TorchScript module, images [, tokens] -> score [B], differentiated by autograd.
/// Images are given as they are, in the file's dtype and at its size, and on its device; the file resizes what it needs
/// to. A .pt2 runs on `device`: the kind it was compiled for, and of several of that kind the current one unless a
/// number is given. A .pt is moved to `device`; without one it runs where it was saved.
/// Gradient: as said; asking a black box for one (scoring images that require grad) is an error.
/// Errors: a file that cannot be read, is of another kind, or needs a device that this program has not; a package that
/// script/export_reward did not make, or one for another kind of device than `device`; tokens where the file reads
/// none, none where it does; images of another size or on another device; a score that is not [B].
/// Example: `PackageReward("my_reward.pt2")`.
class PackageReward {
 public:
  using Role = RewardRole;
  /// So that it fits every method at compile time; whether this file has a gradient is differentiable().
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "package";

  explicit PackageReward(const std::filesystem::path& file, PromptTokens tokens = {},
                         std::optional<at::Device> device = {});

  bool differentiable() const;

  /// See the class comment.
  RewardResult score(const RewardInput& input) const;

 private:
  class File;     // what the two kinds have in common
  class Package;  // .pt2
  class Script;   // .pt
  std::shared_ptr<const File> file_;
};
static_assert(RewardPolicy<PackageReward>);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/rewards/package.ipp>
#endif
