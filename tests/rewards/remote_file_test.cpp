// A RemoteReward's options as JSON: every field, the defaults, and what is refused.
#include <doctest/doctest.h>

#include <string>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/rewards/remote_file.hpp>
#include <reward_tuner/run/options_json.hpp>

#include <tests/reference/test_folder.hpp>

namespace remote_file_test {
namespace {

using namespace reward_tuner;
using Json = nlohmann::json;

const Json kScoresText = Json::parse(R"({
  "url": "http://a:1/score", "reward": "ocr", "metric": "cer", "batch": 3, "concurrency": 2, "timeout_seconds": 5,
  "connect_seconds": 1.5, "total_seconds": 50, "retries": 0, "backoff_seconds": 0.25, "failed": "mask",
  "key_variable": "KEY", "proxy_from_environment": true, "expect_server": false})");
const Json kChatText = Json::parse(R"json({
  "url": "https://b/v1/chat/completions", "protocol": "chat", "chat": {"model": "judge", "system": "Be strict.",
  "question": "Is it so? {prompt}", "pattern": "(yes|no)", "answers": {"no": -1, "yes": 1.5}, "low": 1, "high": 5,
  "max_tokens": 4, "temperature": 0.5
}
})json");

/// The fields of options by their names.
Json fields(const RemoteOptions& options) { return options_json(options); }

}  // namespace

TEST_CASE("remote file: every field is read by its name, and what is left out has its default") {
  const RemoteOptions plain{.url = "http://a:1/score"};
  CHECK(fields(remote_options({{"url", "http://a:1/score"}})) == fields(plain));
  RemoteOptions wanted{.url = "http://a:1/score",
                       .reward = "ocr",
                       .metric = "cer",
                       .batch = 3,
                       .concurrency = 2,
                       .timeout_seconds = 5,
                       .connect_seconds = 1.5,
                       .total_seconds = 50,
                       .retries = 0,
                       .backoff_seconds = 0.25,
                       .failed = FailedScores::kMask,
                       .key_variable = "KEY",
                       .proxy_from_environment = true,
                       .expect_server = false};
  CHECK(fields(remote_options(kScoresText)) == fields(wanted));
  const RemoteOptions chat{.url = "https://b/v1/chat/completions",
                           .protocol = RemoteProtocol::kChat,
                           .chat = {.model = "judge",
                                    .system = "Be strict.",
                                    .question = "Is it so? {prompt}",
                                    .pattern = "(yes|no)",
                                    .answers = {{"no", -1}, {"yes", 1.5}},
                                    .low = 1,
                                    .high = 5,
                                    .max_tokens = 4,
                                    .temperature = 0.5}};
  CHECK(fields(remote_options(kChatText)) == fields(chat));
  const io_test::Folder folder;
  io_test::write_text(folder / "ocr.json", kScoresText.dump());
  CHECK(fields(read_remote_options(folder / "ocr.json")) == fields(wanted));
}

TEST_CASE("remote file: what does not fit is named") {
  const auto got = [](Json json, const std::string& key, const Json& value, const char* sentence) {
    json[key] = value;
    CHECK_THROWS_WITH_AS(remote_options(json, "ocr.json"), doctest::Contains(sentence), Error);
  };
  got({}, "reward", "a", "ocr.json: the key 'url' is missing");
  got(kScoresText, "retry", 3, "retry");
  got(kScoresText, "batch", "3", "the key 'batch' must be an integer");
  got(kScoresText, "protocol", "rpc", "ocr.json: expected scores or chat as protocol, got rpc");
  got(kScoresText, "failed", "zero", "expected error or mask as failed, got zero");
  got(kScoresText, "chat", {{"model", "m"}}, "expected no chat without \"protocol\": \"chat\"");
  got(kChatText, "batch", 2, "expected no batch with the protocol chat");
  got(kChatText, "chat", nullptr, "expected the question under chat, got none");
  got(kChatText, "chat", {{"system", "x"}}, "ocr.json: chat: the key 'model' is missing");
  got(kChatText, "chat", {{"model", "m"}, {"answers", {{"yes", "1"}}}}, "the score of the answer 'yes', got \"1\"");
  got(kChatText, "chat", {{"model", "m"}, {"answers", {1}}}, "expected answers as {TEXT: SCORE, ...}, got [1]");
  got(kChatText, "chat", {{"model", "m"}, {"words", 3}}, "words");
}

}  // namespace remote_file_test
