// Definitions of remote.hpp.
#pragma once
#include <reward_tuner/rewards/remote.hpp>

#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <reward_tuner/core/by_threads.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/report/png.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/http_post.hpp>
#include <reward_tuner/rewards/remote_protocol.hpp>
#include <reward_tuner/rewards/request_places.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

/// One server, its protocol and its connections. Any number of threads may ask at once.
class RemoteReward::Client {
 public:
  Client(RemoteOptions options, AnswerGrader grader)
      : options_(checked(std::move(options), grader)),
        grader_(std::move(grader)),
        scores_(options_),
        places_(options_.concurrency),
        post_(options_.url, {.timeout_seconds = options_.timeout_seconds,
                             .connect_seconds = options_.connect_seconds,
                             .proxy_from_environment = options_.proxy_from_environment,
                             .headers = key(options_)}) {
    if (options_.protocol == RemoteProtocol::kChat) chat_.emplace(options_.chat);
    if (!options_.expect_server) return;
    const std::string failure = post_.connect();
    REWARD_TUNER_CHECK(failure.empty(), "[RemoteReward] expected a server at ", options_.url, ", got none: ", failure);
  }

  const RemoteOptions& options() const { return options_; }

  /// images float [B,3,H,W] on the CPU -> one answer for each; those of images that are not finite hold NaN.
  std::vector<RemoteScore> ask(const Tensor& images, const std::vector<std::string>& prompts) const {
    const auto count = static_cast<std::size_t>(images.size(0));
    const Tensor sound = at::isfinite(images).flatten(1).all(1).contiguous();  // bool [B]
    std::vector<RemoteScore> out(count, {.value = std::numeric_limits<double>::quiet_NaN()});
    std::vector<std::size_t> sent;
    for (std::size_t i = 0; i < count; ++i)
      if (sound.const_data_ptr<bool>()[i]) sent.push_back(i);
    const auto at_once = static_cast<std::size_t>(chat_ ? 1 : options_.batch);
    RequestPlaces::Call call = places_.call(options_.total_seconds);
    by_threads((sent.size() + at_once - 1) / at_once, static_cast<std::size_t>(options_.concurrency),
               [&](std::size_t part) {
                 const std::size_t begin = part * at_once, end = std::min(sent.size(), begin + at_once);
                 std::vector<RemoteImage> own;
                 for (std::size_t i = begin; i < end; ++i)
                   own.push_back({std::to_string(sent[i]), prompts[sent[i]],
                                  base64(encode_png(images[static_cast<std::int64_t>(sent[i])]))});
                 std::vector<RemoteScore> scores = attempts(own, call);
                 for (std::size_t i = begin; i < end; ++i) out[sent[i]] = std::move(scores[i - begin]);
               });
    return out;
  }

 private:
  static RemoteOptions checked(RemoteOptions o, const AnswerGrader& grader) {
    const auto positive = [](double seconds, const char* name) {
      REWARD_TUNER_CHECK(std::isfinite(seconds) && seconds > 0, "[RemoteReward] ", name, " must be > 0, got ", seconds);
    };
    positive(o.timeout_seconds, "timeout_seconds");
    positive(o.connect_seconds, "connect_seconds");
    positive(o.total_seconds, "total_seconds");
    REWARD_TUNER_CHECK(o.batch >= 1, "[RemoteReward] batch must be >= 1, got ", o.batch);
    REWARD_TUNER_CHECK(o.concurrency >= 1, "[RemoteReward] concurrency must be >= 1, got ", o.concurrency);
    REWARD_TUNER_CHECK(o.retries >= 0, "[RemoteReward] retries must be >= 0, got ", o.retries);
    REWARD_TUNER_CHECK(std::isfinite(o.backoff_seconds) && o.backoff_seconds >= 0,
                       "[RemoteReward] backoff_seconds must be >= 0, got ", o.backoff_seconds);
    check_options(o.chat);
    REWARD_TUNER_CHECK(o.protocol == RemoteProtocol::kChat || !o.reward.empty(),
                       "[RemoteReward] reward expected the name of one of the server's rewards, got none");
    REWARD_TUNER_CHECK(o.protocol == RemoteProtocol::kChat || !grader,
                       "[RemoteReward] a grader reads a model's words: expected RemoteProtocol::kChat, got kScores");
    return o;
  }

  /// The key never stands in options, which runs write into files.
  static std::vector<std::string> key(const RemoteOptions& o) {
    if (o.key_variable.empty()) return {};
    const char* value = std::getenv(o.key_variable.c_str());
    REWARD_TUNER_CHECK(value != nullptr && *value != '\0',
                       "[RemoteReward] key_variable expected the name of an "
                       "environment variable that holds the server's key, got '",
                       o.key_variable, "', which is not set");
    return {std::string("Authorization: Bearer ") + value};
  }

  /// Asks until each image has a score, no attempt is left or the time is over.
  std::vector<RemoteScore> attempts(const std::vector<RemoteImage>& images, RequestPlaces::Call& call) const {
    std::vector<RemoteScore> out(images.size());
    std::vector<std::size_t> open(images.size());
    for (std::size_t i = 0; i < open.size(); ++i) open[i] = i;
    constexpr double kLongest = 1e9;  // of a pause: clocks count in integers
    double wait = options_.backoff_seconds;
    for (int attempt = 0;; ++attempt) {
      std::vector<RemoteImage> asked;
      for (const std::size_t i : open) asked.push_back(images[i]);
      double server_wait = 0;
      std::vector<RemoteScore> scores = once(asked, call, server_wait);
      std::vector<std::size_t> still;
      for (std::size_t j = 0; j < open.size(); ++j) {
        if (!scores[j].failure.empty()) still.push_back(open[j]);
        out[open[j]] = std::move(scores[j]);
      }
      open = std::move(still);
      if (open.empty()) return out;
      const double pause = std::max(wait, server_wait);
      if (attempt < options_.retries && pause < call.left()) {
        std::this_thread::sleep_for(std::chrono::duration<double>(std::min(pause, kLongest)));
        wait *= 2;
        continue;
      }
      if (options_.failed == FailedScores::kMask) return out;
      detail::fail("[RemoteReward] expected a score of each image from ", options_.url, ", got none for ", open.size(),
                   " of ", images.size(), " after ", attempt + 1, " attempt", attempt == 0 ? "" : "s",
                   attempt < options_.retries ? " and total_seconds" : "", ": ", out[open.front()].failure);
    }
  }

  /// One request.
  std::vector<RemoteScore> once(const std::vector<RemoteImage>& images, RequestPlaces::Call& call,
                                double& server_wait) const {
    const auto place = places_.take(call);
    if (!place) return std::vector<RemoteScore>(images.size(), {.failure = "total_seconds were over"});
    const HttpAnswer answer = post_.post(chat_ ? chat_->request(images[0]) : scores_.request(images), call.left());
    server_wait = answer.retry_after;
    if (!answer.failure.empty()) return std::vector<RemoteScore>(images.size(), {.failure = answer.failure});
    if (answer.status < 200 || answer.status >= 300) {
      const bool later = answer.status >= 500 || answer.status == 408 || answer.status == 425 || answer.status == 429;
      const std::string said =
          "HTTP status " + std::to_string(answer.status) + " with " + detail::remote_excerpt(answer.body);
      REWARD_TUNER_CHECK(later, "[RemoteReward] expected ", options_.url, " to take the request, got ", said);
      return std::vector<RemoteScore>(images.size(), {.failure = said});
    }
    if (!chat_) return scores_.scores(answer.body, images);
    std::string said;
    RemoteScore score = ChatProtocol::text(answer.body, said);
    if (score.failure.empty()) score = grader_ ? graded(said, images[0].prompt) : chat_->score(said);
    return {score};
  }

  RemoteScore graded(const std::string& said, const std::string& prompt) const {
    RemoteScore score{.value = grader_(said, prompt)};
    if (!std::isfinite(score.value)) score.failure = "the grader found no score in " + detail::remote_excerpt(said);
    return score;
  }

  RemoteOptions options_;
  AnswerGrader grader_;
  ScoresProtocol scores_;
  std::optional<ChatProtocol> chat_;
  mutable RequestPlaces places_;
  HttpPost post_;
};

namespace detail {

/// The answers as tensors of `images`' kind.
inline RewardResult remote_result(const std::vector<RemoteScore>& scores, const at::TensorOptions& options) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const auto tensor = [&](const std::vector<double>& numbers) {
    const Tensor here = at::tensor(at::ArrayRef<double>(numbers), at::kDouble);  // [B]
    return to_device(here.to(options.dtype().toScalarType()), options.device());
  };
  std::vector<double> values;
  std::vector<std::uint8_t> failed;
  std::map<std::string, std::vector<double>> metrics;
  std::size_t with_metrics = 0;
  for (const RemoteScore& score : scores) {
    const bool scored = score.failure.empty();
    values.push_back(scored ? score.value : kNone);
    failed.push_back(scored ? 0 : 1);
    if (!scored || std::isnan(score.value)) continue;
    ++with_metrics;
    for (const auto& [name, number] : score.metrics) metrics[name].push_back(number);
  }
  RewardResult result{tensor(values)};
  for (const auto& [name, numbers] : metrics) {
    if (numbers.size() != with_metrics) continue;
    std::vector<double> all;
    for (const RemoteScore& score : scores) {
      const auto found = score.metrics.find(name);
      all.push_back(score.failure.empty() && found != score.metrics.end() ? found->second : kNone);
    }
    result.components.emplace(name, tensor(all));
  }
  if (std::ranges::any_of(failed, [](std::uint8_t f) { return f != 0; }))
    result.failed = to_device(at::tensor(at::ArrayRef<std::uint8_t>(failed), at::kByte).to(at::kBool),
                              options.device());  // [B]
  return result;
}

}  // namespace detail

REWARD_TUNER_INLINE RemoteReward::RemoteReward(RemoteOptions options, AnswerGrader grader)
    : client_(std::make_shared<const Client>(std::move(options), std::move(grader))) {}

REWARD_TUNER_INLINE const RemoteOptions& RemoteReward::options() const { return client_->options(); }

REWARD_TUNER_INLINE std::future<RewardResult> RemoteReward::score_later(const RewardInput& input) const {
  check_reward_images(input.images, "RemoteReward");
  check_reward_prompts(input, "RemoteReward");
  const auto options = input.images.options().requires_grad(false);
  Tensor images = input.images.detach().to(at::kCPU, at::kFloat, /*non_blocking=*/false, /*copy=*/true);  // [B,3,H,W]
  return std::async(std::launch::async,
                    [client = client_, images = std::move(images), prompts = input.prompts, options] {
                      return detail::remote_result(client->ask(images, prompts), options);
                    });
}

REWARD_TUNER_INLINE RewardResult RemoteReward::score(const RewardInput& input) const {
  return score_later(input).get();
}

}  // namespace reward_tuner
