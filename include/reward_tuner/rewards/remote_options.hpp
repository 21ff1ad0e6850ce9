// What a RemoteReward is told: where its server is, what it speaks, and how long it is waited for.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/option_fields.hpp>

namespace reward_tuner {

/// What the server speaks.
enum class RemoteProtocol {
  /// images and prompts in, named scores out: examples/reward_server and UniRL's reward service
  kScores,
  kChat,  ///< an OpenAI-compatible chat completion over one image, as vLLM, SGLang and others serve it
};

/// What happens to an image whose score could not be had.
enum class FailedScores {
  kError,  ///< the update ends with an error
  kMask,   ///< the image is left out of the round, and counted in the report
};

/// A text that a judge may answer with, and its score.
struct ScoredAnswer {
  std::string text;  ///< compared without regard to case
  double score = 0;  ///< finite
  bool operator==(const ScoredAnswer&) const = default;
};
REWARD_TUNER_FIELDS(ScoredAnswer, text, score);

/// What RemoteProtocol::kChat asks, and how it reads the answer.
struct ChatOptions {
  std::string model = {};   ///< name of the model; required
  std::string system = {};  ///< the system message; empty: none
  /// the question beside the image; {prompt} stands for the image's prompt
  std::string question =
      "On a scale from 0 to 10, how well does the image show the following text? Answer with the number alone.\n"
      "{prompt}";
  /// a regular expression (ECMAScript, any case) that must be found in the answer; its group 1, or all it found where
  /// there is none, is looked up in `answers` or read as a number
  std::string pattern = R"(^\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*\.?\s*$)";
  std::vector<ScoredAnswer> answers = {};  ///< texts and their scores, as {{"yes", 1}, {"no", 0}}; empty: numbers
  double low = 0, high = 10;               ///< a number outside is no score, low < high; unused with `answers`
  int max_tokens = 16;                     ///< of the answer, >= 1
  double temperature = 0;                  ///< >= 0; above 0 the same image may score differently each time
};
REWARD_TUNER_FIELDS(ChatOptions, model, system, question, pattern, answers, low, high, max_tokens, temperature);

/// Errors: a number out of range, also where RemoteOptions::protocol reads none of them.
inline void check_options(const ChatOptions& o) {
  REWARD_TUNER_CHECK(o.low < o.high && std::isfinite(o.low) && std::isfinite(o.high),
                     "[RemoteReward] chat expected low < high, got ", o.low, " and ", o.high);
  REWARD_TUNER_CHECK(o.max_tokens >= 1, "[RemoteReward] chat.max_tokens must be >= 1, got ", o.max_tokens);
  REWARD_TUNER_CHECK(std::isfinite(o.temperature) && o.temperature >= 0,
                     "[RemoteReward] chat.temperature must be >= 0, got ", o.temperature);
  for (const ScoredAnswer& answer : o.answers)
    REWARD_TUNER_CHECK(std::isfinite(answer.score), "[RemoteReward] chat.answers expected finite scores, got ",
                       answer.score, " for '", answer.text, "'");
}

/// Options of RemoteReward.
struct RemoteOptions {
  std::string url = {};                               ///< the whole address, "http://host:8080/score"; required
  RemoteProtocol protocol = RemoteProtocol::kScores;  ///< what the server speaks
  std::string reward = "reward";                      ///< kScores: which of the server's rewards
  std::string metric = {};       ///< kScores: which number of that reward; empty: its only one, or that of its own name
  ChatOptions chat = {};         ///< kChat: question and answer
  int batch = 8;                 ///< kScores: images in one request, >= 1; kChat asks for one image at a time
  int concurrency = 4;           ///< requests under way at once, >= 1
  double timeout_seconds = 60;   ///< of one request, > 0
  double connect_seconds = 10;   ///< of it for the connection, > 0
  double total_seconds = 600;    ///< of a call from its first request to the last, retries and waits included, > 0
  int retries = 3;               ///< further attempts for images without a score, >= 0
  double backoff_seconds = 0.5;  ///< wait before the first of them, doubled before each further one, >= 0
  FailedScores failed = FailedScores::kError;  ///< see FailedScores
  std::string key_variable = {};  ///< environment variable that holds the server's key (a bearer token); empty: none
  bool proxy_from_environment = false;  ///< obey http_proxy and https_proxy
  bool expect_server = true;  ///< connect once when the reward is made, so that a missing server is named then
};
REWARD_TUNER_FIELDS(RemoteOptions, url, protocol, reward, metric, chat, batch, concurrency, timeout_seconds,
                    connect_seconds, total_seconds, retries, backoff_seconds, failed, key_variable,
                    proxy_from_environment, expect_server);

}  // namespace reward_tuner
