// Rewards, judges and the models of rewards by name.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>

#include <examples/shared/rewards.hpp>

#include <tests/reference/test_folder.hpp>

namespace rewards_test {
namespace {

using namespace rt_shared;

TuneSettings with(std::vector<std::string> rewards, std::vector<std::string> judges = {},
                  std::vector<std::string> models = {}) {
  TuneSettings s;
  s.rewards = std::move(rewards);
  s.judges = std::move(judges);
  s.reward_models = std::move(models);
  return s;
}

}  // namespace

TEST_CASE("judges are rewards by name that are not trained") {
  const auto judges = [](const TuneSettings& s) { return make_judges(s, {s.rewards}); };
  const auto two = judges(with({"symmetry:0.5"}, {"jpeg_error", "brightness"}));
  REQUIRE(two.size() == 2);
  CHECK(two[0].name == "jpeg_error");
  CHECK(two[1].reward.name() == "brightness");
  CHECK(judges(with({"symmetry"})).empty());
  const auto refused = [&](const TuneSettings& s, const char* sentence) {
    CHECK_THROWS_WITH_AS(judges(s), doctest::Contains(sentence), rt::Error);
  };
  refused(with({"symmetry:0.5", "brightness"}, {"symmetry"}),
          "[rt-tune] --judge expected a reward that is not trained, got symmetry");
  refused(with({"symmetry"}, {"brightness", "brightness"}), "--judge expected each name once, got brightness again");
  refused(with({"symmetry"}, {"brightness:2"}), "--judge expected one of symmetry, clip_score,");
  CHECK_THROWS_WITH_AS(make_judges(with({"symmetry"}, {"shapes"}), {{"brightness"}, {"shapes:2"}}),
                       doctest::Contains("that is not trained, got shapes"), rt::Error);  // of a task
}

TEST_CASE("a reward's own model is named by its reward") {
  const io_test::Folder folder;
  const std::string there = folder.path.string();
  CHECK(reward_model(with({"clip_score"}), "clip_score").empty());
  CHECK(reward_model(with({}, {}, {"clip_score=" + there}), "clip_score") == folder.path);
  CHECK(reward_model(with({}, {}, {"clip_score=" + there}), "aesthetic").empty());
  CHECK_NOTHROW(check_reward_models(with({"clip_score:2"}, {}, {"clip_score=" + there}), {{"clip_score:2"}}));
  const auto refused = [](const std::vector<std::string>& models, const char* sentence) {
    CHECK_THROWS_WITH_AS(
        {
          const TuneSettings s = with({"symmetry"}, {"clip_score"}, models);
          check_reward_models(s, {s.rewards, s.judges});
          reward_model(s, "clip_score");
        },
        doctest::Contains(sentence), rt::Error);
  };
  for (const char* wrong : {"clip_score", "=x", "clip_score="})
    refused({wrong}, ("[rt-tune] --reward-model expected NAME=PATH, got '" + std::string(wrong) + "'").c_str());
  refused({"pick=" + there}, "--reward-model expected one of symmetry, clip_score,");
  refused({"symmetry=" + there}, "--reward-model expected a reward with a model of its own, got symmetry");
  refused({"clip_score=" + there, "clip_score=" + there}, "expected each name once, got clip_score again");
  refused({"clip_score=/none"}, "--reward-model clip_score expected a folder or file, got nothing at /none");
  CHECK_THROWS_WITH_AS(check_reward_models(with({"symmetry"}, {}, {"clip_score=" + there}), {{"symmetry"}}),
                       "[rt-tune] --reward-model expected a reward that is in use (symmetry), got clip_score",
                       rt::Error);
}

TEST_CASE("several servers have names of their own, and a file says more of each than an address") {
  const io_test::Folder folder;
  const auto file = [&](const char* name, const char* text) {
    io_test::write_text(folder / name, text);
    return (folder / name).string();
  };
  const std::string ocr = file("ocr.json", R"({"url": "http://a:1/score", "reward": "ocr", "expect_server": false})"),
                    moved = file("moved.json", R"({"url": "http://b:2/score", "reward": "ocr", "retries": 9})"),
                    chat = file("chat.json", R"({"url": "http://a:1/v1/chat/completions", "protocol": "chat",
                                                 "chat": {"model": "judge"}, "expect_server": false})");
  const std::vector<std::string> models = {"remote.ocr=" + ocr, "remote.style=" + chat};
  const TuneSettings two = with({"remote.ocr:2", "remote.style"}, {}, models);
  CHECK_NOTHROW(check_reward_models(two, {two.rewards}));
  const ChosenReward sum = make_reward(two);
  CHECK(sum.text == "remote.ocr:2 + remote.style");
  CHECK(sum.black_box == "remote.style");
  const auto judges = make_judges(with({"symmetry"}, {"remote.style", "remote.ocr"}, models), {{"symmetry"}});
  REQUIRE(judges.size() == 2);
  CHECK(judges[0].name == "remote.style");
  CHECK(judges[0].reward.name() == "remote.style");
  const auto digests = [&](const std::string& model) {
    const TuneSettings s = with({"remote"}, {}, {"remote=" + model});
    return reward_model_digests(s, {s.rewards});
  };
  CHECK(digests(ocr) == digests(moved));  // another address, other patience
  CHECK(digests(ocr) != digests(chat));
  const std::string address = "http://a:1/score";
  CHECK(digests(address).size() == 1);
  CHECK(digests(address) == digests("https://b:2"));
  CHECK(digests(address) != digests(ocr));
  const auto same = [&](const char* one, const char* other) {
    return digests(file("one.json", one)) == digests(file("other.json", other));
  };
  // what an address alone says, and what a file leaves out, are the defaults
  CHECK(digests(address) == digests(file("one.json", R"({"url": "http://a:1/score"})")));
  CHECK(digests(address) == digests(file("one.json", R"({"url": "http://c:3", "protocol": "scores", "metric": "",
      "reward": "reward", "failed": "error", "batch": 2, "concurrency": 1, "timeout_seconds": 5, "connect_seconds": 1,
      "total_seconds": 50, "retries": 0, "backoff_seconds": 2, "key_variable": "KEY", "proxy_from_environment": true,
      "expect_server": false})")));
  CHECK(same(R"({"url": "http://a:1", "protocol": "chat", "chat": {"model": "judge"}})",
             R"({"url": "http://a:1", "protocol": "chat", "chat": {"low": 0, "model": "judge", "high": 10.0}})"));
  CHECK_FALSE(same(R"({"url": "http://a:1", "protocol": "chat", "chat": {"model": "judge"}})",
                   R"({"url": "http://a:1", "protocol": "chat", "chat": {"model": "judge", "high": 5}})"));
  CHECK_FALSE(same(R"({"url": "http://a:1", "metric": "cer"})", R"({"url": "http://a:1", "metric": "wer"})"));
  // which images train
  CHECK_FALSE(same(R"({"url": "http://a:1"})", R"({"url": "http://a:1", "failed": "mask"})"));
  const auto refused = [&](const std::string& reward, const std::string& model, const char* sentence) {
    CHECK_THROWS_WITH_AS(make_reward(with({reward}, {}, {model})), doctest::Contains(sentence), rt::Error);
  };
  refused("remote.", "remote.=" + ocr, "--reward expected one of symmetry,");
  refused("clip_score.b", "remote=" + ocr, "--reward expected one of symmetry,");
  refused("remote.b", "remote.ocr=" + ocr, "the reward remote.b expected a model of its own, got none");
  refused("remote", "remote=/none", "expected http://HOST:PORT/PATH or a JSON file, got nothing at /none");
  refused("remote", "remote=" + file("bad.json", "{\"reward\": 1}"), "bad.json: the key 'url' is missing");
}

TEST_CASE("models are told apart by what their files hold, wherever they are; judges' decide nothing, but one's") {
  const io_test::Folder folder;
  const auto digests = [&](const std::string& where) {
    const TuneSettings s = with({"clip_score"}, {}, {"clip_score=" + (folder / where).string()});
    return reward_model_digests(s, {s.rewards});
  };
  for (const char* name : {"a/x.bin", "b/x.bin", "c/x.bin", "d/y.bin"}) {
    std::filesystem::create_directories((folder / name).parent_path());
    io_test::write_text(folder / name, std::string(name) == "c/x.bin" ? "2" : "1");
  }
  CHECK(digests("a").size() == 1);
  CHECK(digests("a") == digests("b"));
  CHECK(digests("a") != digests("c"));
  CHECK(digests("a") != digests("d"));
  CHECK(digests("a/x.bin") == digests("b/x.bin"));
  TuneSettings judged = with({"symmetry"}, {"clip_score", "brightness"}, {"clip_score=" + (folder / "a").string()});
  const auto deciding = [&](const std::string& keep_best) {
    judged.keep_best = keep_best;
    return reward_model_digests(judged, {judged.rewards, deciding_judges(judged)});
  };
  CHECK(deciding("").empty());
  CHECK(deciding("reward").empty());
  CHECK(deciding("brightness").empty());
  CHECK(deciding("clip_score") == digests("a"));  // its scores decide which weights are saved
}

}  // namespace rewards_test
