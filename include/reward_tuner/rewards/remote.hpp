// A reward that another program computes: images and prompts go out by HTTP, numbers come back.
#pragma once
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/remote_options.hpp>  // IWYU pragma: export
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

/// What a judge's words are worth: (answer, prompt) -> score. A result that is not finite is no score.
using AnswerGrader = std::function<double(const std::string& answer, const std::string& prompt)>;

/// values = the numbers of a server, for judges that do not belong into this process: vision-language models, readers
/// of text, detectors. Images are sent as PNG files (8 bits, clamped to [0,1]), several requests at once. Images that
/// got no score are asked for again, with growing waits; what then has none is an error, or is marked as failed and
/// left out (FailedScores). A score is never made up. Two protocols, see remote_protocol.hpp.
/// Gradient: none. Cost: the server's; the caller waits unless it uses score_later, for at most about total_seconds and
/// for the calls before: those that overlap share the requests that may be under way, the oldest first.
/// Components: kScores: the reward's further numbers that every scored image has.
/// An image that is not finite is not sent: its value is NaN, which skips an update as with any reward.
/// Errors: options out of range; with expect_server a server that cannot be reached; an answer of HTTP that says the
/// request is wrong (3xx, 4xx but 408, 425 and 429); images without a score with FailedScores::kError.
/// Example: `RemoteReward({.url = "http://localhost:8080/score", .reward = "aesthetic"})`.
class RemoteReward {
 public:
  using Role = RewardRole;
  using Options = RemoteOptions;
  static constexpr bool kDifferentiable = false;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "remote";

  /// `grader`: kChat only, in place of pattern, answers and range.
  explicit RemoteReward(RemoteOptions options, AnswerGrader grader = {});

  const RemoteOptions& options() const;

  /// See the class comment.
  RewardResult score(const RewardInput& input) const;
  /// The same by threads of its own: returns once the images are copied.
  std::future<RewardResult> score_later(const RewardInput& input) const;

 private:
  class Client;
  std::shared_ptr<const Client> client_;
};
static_assert(RewardPolicy<RemoteReward>);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/rewards/remote.ipp>
#endif
