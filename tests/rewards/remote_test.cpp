// Rewards over HTTP: both protocols against real servers, one of them with every fault, all bounded in time.
#include <doctest/doctest.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>
#include <c10/core/InferenceMode.h>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <future>
#include <limits>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/remote.hpp>

#include <tests/rewards/python_server.hpp>

namespace remote_test {
namespace {

using namespace reward_tuner;
using python_server::PythonServer;

const std::string kFolder = REWARD_TUNER_SOURCE_DIR "/tests/rewards/remote_server";

const PythonServer& faulty() {
  static const PythonServer server({kFolder + "/faulty_server.py"});
  return server;
}

/// Short waits; the image's prompt is its score.
RemoteOptions options(const std::string& fault, FailedScores failed = FailedScores::kError) {
  return {.url = faulty().url() + "/" + fault + "/score",
          .batch = 2,
          .timeout_seconds = 2,
          .retries = 1,
          .backoff_seconds = 0.01,
          .failed = failed};
}

RewardInput input(const std::vector<std::string>& prompts) {
  return {.images = at::rand({static_cast<std::int64_t>(prompts.size()), 3, 4, 6}), .prompts = prompts};
}

std::vector<double> numbers(const Tensor& t) {
  const Tensor x = t.to(at::kDouble).contiguous();
  return {x.const_data_ptr<double>(), x.const_data_ptr<double>() + x.numel()};
}

std::string error(const auto& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

const std::vector<std::string> kFive = {"0.5", "1.5", "-2", "3", "0.25"};
const std::vector<double> kScores = {0.5, 1.5, -2, 3, 0.25};

/// {failed, seconds} of five images masked under a fault.
std::pair<std::vector<bool>, double> masked(RemoteOptions o, const std::vector<std::string>& prompts = kFive) {
  const auto begin = std::chrono::steady_clock::now();
  const RewardResult result = RemoteReward(o).score(input(prompts));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::vector<bool> failed;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    failed.push_back(result.failed.defined() && result.failed[at].item<bool>());
    if (failed.back()) CHECK(std::isnan(result.values[at].item<double>()));
    else CHECK(result.values[at].item<double>() == doctest::Approx(std::stod(prompts[i])));
  }
  return {failed, seconds};
}

const std::vector<bool> kAll(5, true), kNone(5, false);

}  // namespace
}  // namespace remote_test

using namespace remote_test;

TEST_CASE("remote: the example server scores images of any size, with components") {
  const PythonServer server(
      {REWARD_TUNER_SOURCE_DIR "/examples/reward_server/reward_server.py", "small_rewards:brightness", "--port", "0"},
      kFolder);
  RewardInput five = input(kFive);
  five.images = five.images.to(at::kDouble) * 1.4 - 0.2;  // partly outside of [0,1]
  const Tensor expected = (five.images.clamp(0, 1) * 255).round().div(255).flatten(1).mean(1);  // [B]
  const RewardResult result = RemoteReward({.url = server.url(), .batch = 2}).score(five);
  CHECK((result.values.scalar_type() == at::kDouble));
  CHECK((result.values - expected).abs().max().item<double>() < 1e-6);
  CHECK(numbers(result.components.at("width")) == std::vector<double>(5, 6));
  CHECK_FALSE(result.failed.defined());

  five.prompts[3] = "refuse";
  const RewardResult one = RemoteReward({.url = server.url(), .retries = 0, .failed = FailedScores::kMask}).score(five);
  CHECK(numbers(one.failed) == std::vector<double>{0, 0, 0, 1, 0});
  CHECK(std::isnan(one.values[3].item<double>()));
  CHECK(std::isnan(one.components.at("width")[3].item<double>()));
  CHECK((one.values - expected)[4].abs().item<double>() < 1e-6);
  const auto refused = error([&] { RemoteReward({.url = server.url(), .retries = 0}).score(five); });
  CHECK(says(refused, "got none for 1 of 5 after 1 attempt: the server said 'ValueError"));
  CHECK(says(error([&] { RemoteReward({.url = server.url(), .reward = "other"}).score(five); }),
             "got HTTP status 404 with '{\"error\": \"this server has the reward reward, not other\"}'"));
  CHECK(says(error([&] { RemoteReward({.url = server.url(), .metric = "height"}).score(five); }),
             "metric expected one of the reward's numbers, got 'height'"));
}

TEST_CASE("remote: batches and concurrent requests keep each image its score") {
  for (const std::string fault : {"good", "no_ids", "backwards", "fail_once", "hang_up_once", "nan_once"}) {
    CAPTURE(fault);
    CHECK(numbers(RemoteReward(options(fault)).score(input(kFive)).values) == kScores);
  }
  std::vector<std::string> many;
  std::vector<double> scores;
  for (int i = 0; i < 37; ++i) {
    many.push_back(std::to_string(i));
    scores.push_back(i);
  }
  RemoteOptions o = options("slow");
  o.batch = 3;
  o.concurrency = 13;
  const auto begin = std::chrono::steady_clock::now();
  CHECK(numbers(RemoteReward(o).score(input(many)).values) == scores);
  // 13 requests of 0.3 s each
  CHECK(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() < 2);
}

TEST_CASE("remote: a server's wish to wait is heard") {
  const auto [failed, seconds] = masked(options("busy_once", FailedScores::kMask), {"1", "2"});
  CHECK(failed == std::vector<bool>{false, false});
  CHECK(seconds >= 1);
}

TEST_CASE("remote: faults leave images without a score, never with 0, and end in time") {
  for (const std::string fault :
       {"fail", "hang_up", "half", "nonsense", "list", "few", "many", "same_ids", "stuck", "drip", "endless"}) {
    CAPTURE(fault);
    RemoteOptions o = options(fault, FailedScores::kMask);
    o.timeout_seconds = 0.4;
    // fewer images than one batch: ids of one image cannot repeat
    const auto [failed, seconds] = masked(o, {"0.5", "1.5"});
    CHECK(failed == std::vector<bool>{true, true});
    CHECK(seconds < 4);
    o.failed = FailedScores::kError;
    const auto message = error([&] { RemoteReward(o).score(input({"0.5", "1.5"})); });
    CHECK(says(message, "[RemoteReward] expected a score of each image from " + o.url +
                            ", got none for 2 of 2 after 2 attempts: "));
  }
  for (const std::string fault : {"nan", "text"}) {
    CAPTURE(fault);
    CHECK(masked(options(fault, FailedScores::kMask)).first == std::vector<bool>{true, false, true, false, true});
  }
}

TEST_CASE("remote: all requests of a call end with total_seconds") {
  RemoteOptions o = options("stuck", FailedScores::kMask);
  o.timeout_seconds = 30;
  o.total_seconds = 0.5;
  o.concurrency = 1;
  o.retries = 5;
  const auto [failed, seconds] = masked(o);
  CHECK(failed == kAll);
  CHECK(seconds < 3);
}

TEST_CASE("remote: a request that is wrong is an error at once, masked or not") {
  for (const FailedScores failed : {FailedScores::kError, FailedScores::kMask}) {
    CHECK(says(error([&] { RemoteReward(options("wrong", failed)).score(input(kFive)); }),
               "to take the request, got HTTP status 404 with '{\"error\": \"no such model\"}'"));
    CHECK(says(error([&] { RemoteReward(options("moved", failed)).score(input(kFive)); }), "HTTP status 302"));
    CHECK(says(error([&] { RemoteReward(options("several", failed)).score(input(kFive)); }),
               "the reward has several numbers: expected one's name in metric"));
  }
  RemoteOptions named = options("several");
  named.metric = "a";
  const RewardResult result = RemoteReward(named).score(input(kFive));
  CHECK(numbers(result.values) == kScores);
  CHECK(numbers(result.components.at("b")) == std::vector<double>(5, 7));
}

TEST_CASE("remote: a server that is not there is named when the reward is made") {
  const auto message = error([] { RemoteReward({.url = "http://127.0.0.1:1/score"}); });
  CHECK(says(message, "[RemoteReward] expected a server at http://127.0.0.1:1/score, got none: "));
  const RemoteReward later(
      {.url = "http://127.0.0.1:1/score", .retries = 0, .failed = FailedScores::kMask, .expect_server = false});
  CHECK(numbers(later.score(input(kFive)).failed) == std::vector<double>(5, 1));
}

TEST_CASE("remote: keys come from the environment") {
  RemoteOptions o = options("key");
  CHECK(says(error([&] { RemoteReward(o).score(input(kFive)); }), "HTTP status 401"));
  o.key_variable = "REWARD_TUNER_TEST_KEY";
  unsetenv("REWARD_TUNER_TEST_KEY");
  CHECK(says(error([&] { RemoteReward r(o); }), "got 'REWARD_TUNER_TEST_KEY', which is not set"));
  setenv("REWARD_TUNER_TEST_KEY", "sesame", 1);
  CHECK(numbers(RemoteReward(o).score(input(kFive)).values) == kScores);
}

TEST_CASE("remote: judges that chat") {
  RemoteOptions o = options("chat", FailedScores::kMask);
  o.protocol = RemoteProtocol::kChat;
  o.retries = 0;
  o.chat.model = "judge";
  const auto score = [&](const std::vector<std::string>& said, const AnswerGrader& grader = {}) {
    const RewardResult result = RemoteReward(o, grader).score(input(said));
    std::vector<double> values = numbers(result.values);
    for (std::size_t i = 0; i < said.size(); ++i)
      CHECK(std::isnan(values[i]) ==
            (result.failed.defined() && result.failed[static_cast<std::int64_t>(i)].item<bool>()));
    for (double& value : values)
      if (std::isnan(value)) value = -99;
    return values;
  };
  CHECK(score({"7", " 8.5. ", "+3", "11", "-1", "about 7", "nothing", "seven"}) ==
        std::vector<double>{7, 8.5, 3, -99, -99, -99, -99, -99});
  o.chat.pattern = R"(score:\s*(\d+))";
  CHECK(score({"I see 2 cats. Score: 9", "2 cats"}) == std::vector<double>{9, -99});
  o.chat.pattern = R"(^\W*(yes|no)\b)";
  o.chat.answers = {{"yes", 1}, {"no", 0}};
  CHECK(score({"Yes, it does.", "**no**", "nobody knows", std::string(100000, 'y')}) ==
        std::vector<double>{1, 0, -99, -99});
  // words of the prompt that the model's description has: the shape of a BERTScore judge
  CHECK(score({"a red cat", "word"}, [](const std::string& answer, const std::string& prompt) {
          CHECK(answer == prompt);  // the question ends with the prompt, which the server says back
          return answer == "word" ? std::nan("") : 0.5;
        }) == std::vector<double>{0.5, -99});
}

TEST_CASE("remote: the asynchronous form returns at once and gives the same") {
  const RemoteReward reward(options("slow"));
  const auto begin = std::chrono::steady_clock::now();
  RewardInput images = input({"1", "2"});
  auto scores = reward.score_later(images);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  images.images.fill_(std::numeric_limits<double>::quiet_NaN());  // what is sent was copied: NaN would not be sent
  CHECK(seconds < 0.25);
  CHECK(numbers(scores.get().values) == std::vector<double>{1, 2});
  CHECK(says(error([] { RemoteReward(options("fail")).score_later(input({"1"})).get(); }), "got none for 1 of 1"));
}

TEST_CASE("remote: images of inference mode are sent as others, although other threads send them") {
  const RemoteReward reward(options("fine"));
  RewardInput made = input({"1", "2"});
  {
    const c10::InferenceMode inference;
    made.images = made.images.clone();
    CHECK(numbers(reward.score(made).values) == std::vector<double>{1, 2});
  }
  CHECK(numbers(reward.score(made).values) == std::vector<double>{1, 2});
}

TEST_CASE("remote: calls that overlap share the requests that may be under way") {
  RemoteOptions o = options("slow");
  o.concurrency = 1;
  const RemoteReward reward(o);
  const auto begin = std::chrono::steady_clock::now();
  auto first = reward.score_later(input({"1"})), second = reward.score_later(input({"2"}));
  CHECK(numbers(first.get().values) == std::vector<double>{1});
  CHECK(numbers(second.get().values) == std::vector<double>{2});
  // two requests of 0.3 s, one after the other
  CHECK(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() > 0.55);
}

TEST_CASE("remote: waiting for other calls takes nothing of a call's time") {
  RemoteOptions o = options("slow");
  o.concurrency = 1;
  o.total_seconds = 1;  // a request takes 0.3 s, all of them 1.5 s
  const RemoteReward reward(o);
  std::vector<std::future<RewardResult>> results;
  for (const char* prompt : {"1", "2", "3", "4", "5"}) results.push_back(reward.score_later(input({prompt})));
  for (std::size_t i = 0; i < results.size(); ++i)
    CHECK(numbers(results[i].get().values) == std::vector<double>{static_cast<double>(i + 1)});
}

TEST_CASE("remote: a busy place is waited for, however long a call may take") {
  RemoteOptions o = options("slow");
  o.concurrency = 1;
  for (const double seconds : {1e10, 1e300}) {  // more than a clock's integers hold
    o.total_seconds = o.timeout_seconds = o.connect_seconds = seconds;
    const RemoteReward reward(o);
    auto first = reward.score_later(input({"1"})), second = reward.score_later(input({"2"}));
    CHECK(numbers(first.get().values) == std::vector<double>{1});
    CHECK(numbers(second.get().values) == std::vector<double>{2});
  }
}

TEST_CASE("remote: images and options out of range") {
  RewardInput bad = input(kFive);
  bad.images[1][0][0][0] = std::numeric_limits<double>::quiet_NaN();
  const RewardResult result = RemoteReward(options("good")).score(bad);
  CHECK_FALSE(result.failed.defined());  // a NaN image skips the update, as with any reward
  CHECK(std::isnan(result.values[1].item<double>()));
  CHECK(result.values[2].item<double>() == -2);
  RewardInput few = input(kFive);
  few.prompts.pop_back();
  CHECK(says(error([&] { RemoteReward(options("good")).score(few); }), "expected one prompt per image (5), got 4"));
  few = input(kFive);
  few.images = few.images.narrow(2, 0, 1);
  CHECK(says(error([&] { RemoteReward(options("good")).score(few); }), "at least 2x2 pixels"));
  few = input({"1", "b\xff"});
  CHECK(says(error([&] { RemoteReward(options("good")).score(few); }), "expected prompts in UTF-8, got 'b\xff'"));
  const RewardResult large = RemoteReward(options("good")).score({at::full({1, 3, 4096, 4096}, 0.5), {"1"}});
  CHECK(numbers(large.values) == std::vector<double>{1});

  const auto made = [](auto change) {
    RemoteOptions o = options("good");
    change(o);
    return error([&] { RemoteReward r(o); });
  };
  CHECK(says(made([](auto& o) { o.url = "localhost:80"; }), "expected an address http://... or https://..., got"));
  CHECK(says(made([](auto& o) { o.url = "ftp://x"; }), "got 'ftp://x'"));
  CHECK(says(made([](auto& o) { o.batch = 0; }), "batch must be >= 1, got 0"));
  CHECK(says(made([](auto& o) { o.concurrency = 0; }), "concurrency must be >= 1, got 0"));
  CHECK(says(made([](auto& o) { o.timeout_seconds = 0; }), "timeout_seconds must be > 0, got 0"));
  CHECK(says(made([](auto& o) { o.total_seconds = -1; }), "total_seconds must be > 0, got -1"));
  CHECK(says(made([](auto& o) { o.retries = -1; }), "retries must be >= 0, got -1"));
  CHECK(says(made([](auto& o) { o.backoff_seconds = std::nan(""); }), "backoff_seconds must be >= 0, got nan"));
  CHECK(says(made([](auto& o) { o.reward = ""; }), "reward expected the name"));
  CHECK(says(made([](auto& o) { o.protocol = RemoteProtocol::kChat; }), "chat.model expected the model's name"));
  CHECK(says(made([](auto& o) {
               o.protocol = RemoteProtocol::kChat;
               o.chat = {.model = "m", .pattern = "("};
             }),
             "chat.pattern expected a regular expression, got '('"));
  CHECK(says(error([] { RemoteReward(options("good"), [](const auto&, const auto&) { return 1.0; }); }),
             "expected RemoteProtocol::kChat, got kScores"));
}
