// Definitions of remote_file.hpp.
#pragma once
#include <reward_tuner/rewards/remote_file.hpp>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>

namespace reward_tuner {

namespace detail {

/// One of two words.
inline bool remote_word(ConfigReader& reader, const char* key, const char* word, const char* other) {
  const auto said = reader.optional<std::string>(key, word);
  REWARD_TUNER_CHECK(said == word || said == other, "[RemoteReward] ", reader.where(), ": expected ", word, " or ",
                     other, " as ", key, ", got ", said);
  return said == other;
}

inline ChatOptions chat_options(const nlohmann::json& json, const std::string& where) {
  ConfigReader reader(json, where);
  ChatOptions o;
  o.model = reader.required<std::string>("model");
  o.system = reader.optional("system", o.system);
  o.question = reader.optional("question", o.question);
  o.pattern = reader.optional("pattern", o.pattern);
  const auto answers = reader.optional<nlohmann::json>("answers", nlohmann::json::object());
  REWARD_TUNER_CHECK(answers.is_object(), "[RemoteReward] ", where, ": expected answers as {TEXT: SCORE, ...}, got ",
                     answers.dump());
  for (const auto& [text, score] : answers.items()) {
    REWARD_TUNER_CHECK(score.is_number(), "[RemoteReward] ", where, ": expected a number as the score of the answer '",
                       text, "', got ", score.dump());
    o.answers.push_back({text, score.get<double>()});
  }
  o.low = reader.optional("low", o.low);
  o.high = reader.optional("high", o.high);
  o.max_tokens = reader.optional("max_tokens", o.max_tokens);
  o.temperature = reader.optional("temperature", o.temperature);
  reader.finish();
  return o;
}

}  // namespace detail

REWARD_TUNER_INLINE RemoteOptions remote_options(const nlohmann::json& json, const std::string& where) {
  ConfigReader reader(json, where);
  RemoteOptions o;
  o.url = reader.required<std::string>("url");
  const bool chat = detail::remote_word(reader, "protocol", "scores", "chat");
  o.protocol = chat ? RemoteProtocol::kChat : RemoteProtocol::kScores;
  for (const char* key : {"reward", "metric", "batch"})
    REWARD_TUNER_CHECK(!chat || !reader.has_value(key), "[RemoteReward] ", where, ": expected no ", key,
                       " with the protocol chat, which asks for one image's score at a time, got one");
  REWARD_TUNER_CHECK(chat == reader.has_value("chat"), "[RemoteReward] ", where, ": expected ",
                     chat ? "the question under chat, got none" : "no chat without \"protocol\": \"chat\", got one");
  if (chat) o.chat = detail::chat_options(reader.required<nlohmann::json>("chat"), where + ": chat");
  o.reward = reader.optional("reward", o.reward);
  o.metric = reader.optional("metric", o.metric);
  o.batch = reader.optional("batch", o.batch);
  o.concurrency = reader.optional("concurrency", o.concurrency);
  o.timeout_seconds = reader.optional("timeout_seconds", o.timeout_seconds);
  o.connect_seconds = reader.optional("connect_seconds", o.connect_seconds);
  o.total_seconds = reader.optional("total_seconds", o.total_seconds);
  o.retries = reader.optional("retries", o.retries);
  o.backoff_seconds = reader.optional("backoff_seconds", o.backoff_seconds);
  o.failed = detail::remote_word(reader, "failed", "error", "mask") ? FailedScores::kMask : FailedScores::kError;
  o.key_variable = reader.optional("key_variable", o.key_variable);
  o.proxy_from_environment = reader.optional("proxy_from_environment", o.proxy_from_environment);
  o.expect_server = reader.optional("expect_server", o.expect_server);
  reader.finish();
  return o;
}

REWARD_TUNER_INLINE RemoteOptions read_remote_options(const std::filesystem::path& file) {
  return remote_options(read_json(file), file.string());
}

}  // namespace reward_tuner
