// What a RemoteReward sends and how it reads what comes back: text in, text out, without a network.
#pragma once
#include <map>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/rewards/remote_options.hpp>

namespace reward_tuner {

/// One image to score.
struct RemoteImage {
  std::string id;      ///< by which its answer is found
  std::string prompt;  ///< what it should show
  std::string png;     ///< a PNG file in base64
};

/// What the server said of one image.
struct RemoteScore {
  double value = 0;                            ///< the score, finite, unless `failure` says why there is none
  std::map<std::string, double> metrics = {};  ///< kScores: further numbers by name, finite
  std::string failure = {};                    ///< empty: there is a score
};

namespace detail {

/// The beginning of what a server sent, in one line, for messages.
std::string remote_excerpt(std::string_view text);

}  // namespace detail

/// The bytes in base64.
std::string base64(const std::string& bytes);

/// RemoteProtocol::kScores, over a batch of images:
///   {"requests": [{"history": [{"text": PROMPT, "image_b64": PNG}], "required_rewards": [REWARD],
///                  "metadata": {"id": ID}}, ...]}
/// and back, one for each request:
///   {"results": [{REWARD: {METRIC: NUMBER, ...}}, ...], "errors": [{REWARD: TEXT}, ...], "ids": [ID, ...]}
/// `errors` may be left out. With `ids` answers may come in any order; without, as UniRL's service answers, they come
/// in that of the requests.
class ScoresProtocol {
 public:
  explicit ScoresProtocol(const RemoteOptions& options) : reward_(options.reward), metric_(options.metric) {}

  /// Errors: a prompt that is not UTF-8.
  std::string request(const std::vector<RemoteImage>& images) const;

  /// One for each image. An answer that is no such JSON, of another number of images or with unknown or repeated ids
  /// is a failure of all; a number that is missing or not finite one of its image.
  /// Errors: several metrics of which none is named by the options, a metric that is not among those of the reward.
  std::vector<RemoteScore> scores(const std::string& answer, const std::vector<RemoteImage>& images) const;

 private:
  std::string reward_, metric_;
};

/// RemoteProtocol::kChat, over one image.
class ChatProtocol {
 public:
  /// Errors: no model, a pattern that is no regular expression, numbers out of range.
  explicit ChatProtocol(ChatOptions options);

  /// Errors: a prompt that is not UTF-8.
  std::string request(const RemoteImage& image) const;

  /// The text that the model answered with; the failure if there is none.
  static RemoteScore text(const std::string& answer, std::string& said);

  /// The score in that text; a failure where the pattern is not found, the text is none of the answers, or the number
  /// is out of range.
  RemoteScore score(const std::string& said) const;

 private:
  ChatOptions options_;
  std::regex pattern_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/rewards/remote_protocol.ipp>
#endif
