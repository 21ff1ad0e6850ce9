// The trainer's promises: bit-exact resume after any kill, refusals by name, complete run folders.
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/run/trainer.hpp>

#include <doctest/doctest.h>

#include <ATen/ops/full.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <reward_tuner/exploration/dynamic_guidance.hpp>
#include <reward_tuner/methods/b2_diffurl.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/dpok.hpp>
#include <reward_tuner/methods/grpo.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>
#include <reward_tuner/shapes/shape_evaluation.hpp>

#include <tests/reference/same_run.hpp>
#include <tests/reference/small_run.hpp>
#include <tests/reference/tiny_folder.hpp>

namespace trainer_test {
namespace {

namespace rt = reward_tuner;

using Model = rt::reference::TinyModel;
using rt::reference::bytes;
using rt::reference::check_same_run;
using rt::reference::killed;

rt::TrainerOptions six_updates() { return rt::reference::small_run_options(6, 3, 2); }

rt::TrainingOutcome run(const Model& model, const std::filesystem::path& folder, const rt::TrainerOptions& options,
                        double guidance = 2.0) {
  return rt::reference::small_run(model.path(), folder, options, guidance);
}

}  // namespace

TEST_CASE("judges are reported beside the trained reward, in records, report and curve, and train nothing") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  auto options = six_updates();
  const auto plain = run(model, runs / "plain", options);
  // what the library reports anyway, and a judge of the same kName as another
  options.judges = {{"jpeg", rt::AnyReward(rt::JpegErrorReward())},
                    {"dark", rt::AnyReward(rt::black_box([](const rt::Tensor& x) { return -x.mean({1, 2, 3}); }))}};
  const auto judged = run(model, runs / "judged", options);
  CHECK(judged.progress.rewards == plain.progress.rewards);
  CHECK(bytes(runs / "judged/lora/pytorch_lora_weights.safetensors") ==
        bytes(runs / "plain/lora/pytorch_lora_weights.safetensors"));
  for (const auto& evaluation : judged.progress.evaluations) {
    CHECK(evaluation.metrics.at("judge.jpeg") == doctest::Approx(-evaluation.metrics.at("jpeg_error")));
    CHECK(evaluation.metrics.contains("judge.dark"));
    CHECK(evaluation.metrics.contains("reward"));
  }
  CHECK(bytes(runs / "judged/evaluations.jsonl").find("\"judge.dark\"") != std::string::npos);
  const auto held_out = rt::read_json(runs / "judged/report.json").at("held_out");
  REQUIRE(held_out.size() == 3);  // updates 0, 3 and 6
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& metrics = judged.progress.evaluations[i].metrics;
    CHECK(held_out[i].at("update") == 3 * i);
    CHECK(held_out[i].at("trained") == nlohmann::json{{"reward", metrics.at("reward")}});
    CHECK(held_out[i].at("judges") ==
          nlohmann::json{{"jpeg", metrics.at("judge.jpeg")}, {"dark", metrics.at("judge.dark")}});
  }
  const std::string curve = bytes(runs / "judged/reward.svg");
  CHECK(curve.find("Reward (symmetry)") < curve.find("Judge (jpeg), not trained"));
  CHECK(curve.find("Judge (jpeg), not trained") < curve.find("Judge (dark), not trained"));
  CHECK(curve.find("Judge (dark), not trained") != std::string::npos);
  CHECK(rt::read_json(runs / "judged/config.json").at("run").at("judges") == nlohmann::json{"jpeg", "dark"});
  CHECK_FALSE(rt::read_json(runs / "plain/report.json").contains("held_out"));
  // a resumed run may get other judges; evaluations before lack them
  options.updates = 7;
  options.resume = true;
  options.judges = {{"late", options.judges[1].reward}};
  CHECK(run(model, runs / "judged", options).end == rt::RunEnd::kCompleted);
  const auto later = rt::read_json(runs / "judged/report.json").at("held_out");
  REQUIRE(later.size() == 4);
  CHECK(later[0].at("judges").empty());
  CHECK(later[3].at("judges").contains("late"));
}

TEST_CASE("a run stops when the judges fall while its reward rises, if it is told to") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  const auto end = [&](const std::string& name, double judge_step, std::int64_t evaluations) {
    rt::TrainerOptions options = rt::reference::small_run_options(4, 1, 0);
    options.judges_fall_evaluations = evaluations;
    const auto calls = std::make_shared<int>(0), judged = std::make_shared<int>(0);
    options.judges = {{"counts", rt::AnyReward(rt::black_box([=](const rt::Tensor& images) {
                         return at::full({images.size(0)}, judge_step * (*judged)++, images.options());
                       }))}};
    const auto rises =
        rt::differentiable([=](const rt::Tensor& images) { return images.mean({1, 2, 3}) + (*calls)++; });
    return rt::reference::small_run(model.path(), runs / name, options, 2.0, rises, [](const auto&) {});
  };
  const auto stopped = end("stopped", -1, 2);
  CHECK(stopped.end == rt::RunEnd::kJudgesFell);
  CHECK(stopped.progress.done() == 2);  // evaluated at 0, 1 and 2
  CHECK(rt::to_string(stopped.end) == std::string("the judges fell while the reward rose"));
  CHECK(std::filesystem::exists(runs / "stopped/lora/pytorch_lora_weights.safetensors"));
  CHECK(end("not asked", -1, 0).end == rt::RunEnd::kCompleted);
  CHECK(end("rising", 1, 2).end == rt::RunEnd::kCompleted);
  const auto refused = [&](auto change, const char* sentence) {
    rt::TrainerOptions options;
    change(options);
    CHECK_THROWS_WITH_AS(rt::check_options(options), sentence, rt::Error);
  };
  const rt::AnyReward any{rt::JpegErrorReward()};
  refused([](auto& o) { o.judges_fall_evaluations = 2; },
          "[Trainer] judges_fall_evaluations expected judges, got none");
  refused([](auto& o) { o.judges_fall_evaluations = -1; },
          "[Trainer] judges_fall_evaluations must be >= 0 (0: never), got -1");
  refused([&](auto& o) { o.judges_fall_evaluations = 2, o.judges = {{"a", any}}; },
          "[Trainer] judges_fall_evaluations expected evaluations during the run, evaluate_every >= 1, got 0");
  refused([&](auto& o) { o.judges = {{"a", any}, {"a", any}}; },
          "[Trainer] judges expected different names, got two 'a'");
  refused([&](auto& o) { o.judges = {{"", any}}; }, "[Trainer] judges expected different names, got an empty one");
}

TEST_CASE("the weights of the best evaluation are kept and saved, by the trained reward or by a judge") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  // brightness is trained and rises; how near it is to `target` rises and falls
  const auto nearness = [](const rt::Tensor& images, double target) {
    return -(images.mean({1, 2, 3}) - target).abs();
  };
  const auto reward = [=](std::optional<double> target) {
    return rt::differentiable([=](const rt::Tensor& images) {
      const rt::Tensor mean = images.mean({1, 2, 3});  // [N]
      return target ? nearness(images, *target).detach() + mean - mean.detach() : mean;
    });
  };
  const auto options = [](std::int64_t updates, const std::string& keep_best = {}) {
    rt::TrainerOptions o = rt::reference::small_run_options(updates, 1, 2);
    o.keep_best = keep_best;
    return o;
  };
  const auto run = [&](const std::string& name, const rt::TrainerOptions& o, std::optional<double> target = {}) {
    return rt::reference::small_run(model.path(), runs / name, o, 2.0, reward(target), [](const auto&) {});
  };
  const std::string lora = "lora/pytorch_lora_weights.safetensors";
  const auto plain = run("plain", options(6));
  CHECK_FALSE(plain.kept.has_value());
  CHECK_FALSE(rt::read_json(runs / "plain/report.json").contains("best"));
  std::vector<double> brightness;
  for (const auto& e : plain.progress.evaluations) brightness.push_back(e.metrics.at("reward"));
  REQUIRE(brightness.size() == 7);
  for (std::size_t i = 1; i < 7; ++i) REQUIRE(brightness[i] > brightness[i - 1]);
  const double target = brightness[3];  // reached after three updates
  run("three", options(3));

  SUBCASE("by the trained reward") {
    const auto kept = run("kept", options(6, rt::kTrainedReward), target);
    REQUIRE(kept.kept.has_value());
    CHECK(kept.kept->update == 3);
    CHECK(kept.kept->value == kept.progress.evaluations[3].metrics.at("reward"));
    CHECK(bytes(runs / "kept" / lora) == bytes(runs / "three" / lora));
    CHECK(bytes(runs / "kept" / lora) != bytes(runs / "plain" / lora));
    const auto report = rt::read_json(runs / "kept/report.json");
    CHECK(report.at("best") == nlohmann::json{{"by", "reward"}, {"update", 3}, {"value", kept.kept->value}});
    CHECK(report.at("after").at("reward") == kept.kept->value);
    CHECK(report.at("updates") == 6);
    CHECK(bytes(runs / "kept/before_after.png") == bytes(runs / "three/before_after.png"));
    // the run itself went on as ever
    const auto last = rt::CheckpointFolder(runs / "kept/checkpoints").load(6),
               same = rt::CheckpointFolder(runs / "plain/checkpoints").load(6);
    for (const auto& saved : same.tensors)
      CHECK_MESSAGE(at::equal(saved.second, last.tensors.at(saved.first)), saved.first);
    for (const std::int64_t at : {3, 4, 5}) {
      const std::string name = "killed" + std::to_string(at);
      auto dies = options(6, rt::kTrainedReward);
      dies.on_update = [at](const rt::UpdateReport& update) {
        if (update.update == at) ::kill(::getpid(), SIGKILL);
      };
      killed([&] { run(name, dies, target); });
      auto again = options(6, rt::kTrainedReward);
      again.resume = true;
      CHECK(run(name, again, target).kept == kept.kept);
      check_same_run(runs / "kept", runs / name, 6);
      CHECK(rt::read_json(runs / name / "report.json").at("best") == report.at("best"));
    }
    auto other = options(7);
    other.resume = true;
    CHECK_THROWS_WITH_AS(run("kept", other, target), doctest::Contains("keep_best was \"reward\", is now \"\""),
                         rt::Error);
  }
  SUBCASE("by a judge, beside the stop by judges") {
    auto judged = options(6, "near");
    judged.judges = {
        {"near", rt::AnyReward(rt::black_box([=](const rt::Tensor& images) { return nearness(images, target); }))}};
    judged.judges_fall_evaluations = 2;
    const auto kept = run("judged", judged);
    CHECK(kept.end == rt::RunEnd::kJudgesFell);
    CHECK(kept.progress.done() == 5);
    REQUIRE(kept.kept.has_value());
    CHECK(kept.kept->update == 3);
    CHECK(bytes(runs / "judged" / lora) == bytes(runs / "three" / lora));
    CHECK(rt::read_json(runs / "judged/report.json").at("best").at("by") == "near");
  }
  SUBCASE("what cannot be kept is refused before the run") {
    const auto refused = [](rt::TrainerOptions o, const char* sentence) {
      CHECK_THROWS_WITH_AS(rt::check_options(o), sentence, rt::Error);
    };
    auto never = options(6, rt::kTrainedReward);
    never.evaluate_every = 0;
    refused(never, "[Trainer] keep_best expected evaluations during the run, evaluate_every >= 1, got 0");
    refused(options(6, "near"), "[Trainer] keep_best expected 'reward' or the name of a judge, got 'near'");
  }
}

TEST_CASE("a run folder is complete and its report says what happened") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  const auto folder = runs / "a";
  auto options = six_updates();
  options.evaluation_rewards = rt::shapes::shape_evaluation_rewards({"a red circle"});
  const auto outcome = run(model, folder, options);
  CHECK(outcome.end == rt::RunEnd::kCompleted);
  CHECK(outcome.progress.done() == 6);
  for (const char* file :
       {"config.json", "metrics.jsonl", "evaluations.jsonl", "timings.jsonl", "before_after.png", "reward.svg",
        "report.json", "images/update-000000.png", "images/update-000003.png", "images/update-000006.png",
        "lora/pytorch_lora_weights.safetensors", "checkpoints/update-000006/state.json"})
    CHECK_MESSAGE(std::filesystem::is_regular_file(folder / file), file);
  const auto report = rt::read_json(folder / "report.json");
  for (const char* key : {"method", "reward", "model", "updates", "seed", "seconds", "before", "after", "sentinels",
                          "network", "peak_tensor_bytes", "skipped_updates", "versions"})
    CHECK_MESSAGE(report.contains(key), key);
  CHECK(report.size() == 14);
  CHECK(report.at("reward_queries") > 0);
  for (const char* key :
       {"symmetry_error", "jpeg_error", "color_accuracy", "shape_accuracy", "blank_share", "reward"}) {
    CHECK_MESSAGE(report.at("before").contains(key), key);
    CHECK_MESSAGE(report.at("after").contains(key), key);
  }
  CHECK(report.at("before") != report.at("after"));
  CHECK(report.at("updates") == 6);
  CHECK(report.at("network").at("forwards").get<int>() > 6 * 3);

  std::ifstream lines(folder / "metrics.jsonl");
  std::vector<double> rates;
  for (std::string line; std::getline(lines, line);) {
    const auto record = nlohmann::json::parse(line);
    rates.push_back(record.at("learning_rate").get<double>());
    CHECK_FALSE(record.contains("seconds"));
  }
  CHECK(rates == std::vector<double>{0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01});
}

TEST_CASE("a run logs the arithmetic of its updates, its speed, its share of a peak and the seconds of its stages") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  const auto folder = runs / "a";
  auto options = six_updates();
  options.updates = 3;
  options.peak_tflops = 0.5;
  std::ostringstream bar;
  options.progress = &bar;
  std::vector<rt::UpdateReport> reports;
  options.on_update = [&](const rt::UpdateReport& report) { reports.push_back(report); };
  run(model, folder, options);
  std::ifstream timings(folder / "timings.jsonl");
  std::int64_t total = 0;
  for (const rt::UpdateReport& report : reports) {
    CAPTURE(report.update);
    std::string line;
    std::getline(timings, line);
    const auto timing = nlohmann::json::parse(line);
    const auto flops = timing.at("flops");
    CHECK(flops == nlohmann::json{{"forward", report.flops.forward},
                                  {"replayed", report.flops.replayed},
                                  {"backward", report.flops.backward}});
    CHECK(flops.at("forward") > 0);
    CHECK(flops.at("replayed") > 0);
    CHECK(flops.at("backward") > 0);
    total += report.flops.total();
    double sum = 0;
    for (const char* stage : {"rollout", "decode", "reward", "backward"}) {
      CHECK(timing.at("stages").at(stage) > 0);
      sum += timing.at("stages").at(stage).get<double>();
    }
    CHECK(timing.at("stages").at("communication") == 0);
    CHECK(sum <= timing.at("seconds").get<double>());
    const double speed = 1e-12 * static_cast<double>(report.flops.total()) / report.seconds;
    CHECK(timing.at("tflop_per_second").get<double>() == doctest::Approx(speed));
    CHECK(timing.at("share_of_peak").get<double>() == doctest::Approx(speed / 0.5));
  }
  const auto network = rt::read_json(folder / "report.json").at("network");
  CHECK(network.at("flops") == total);
  CHECK(network.at("share_of_peak").get<double>() ==
        doctest::Approx(network.at("tflop_per_second").get<double>() / 0.5));
  CHECK(bar.str().find("TFLOP/s ") != std::string::npos);
  CHECK(bar.str().find("% of peak)") != std::string::npos);
  options.peak_tflops = -1;
  CHECK_THROWS_WITH_AS(rt::check_options(options), "[Trainer] peak_tflops must be >= 0 (0: unknown), got -1",
                       rt::Error);
}

TEST_CASE("a trace holds the stages and network calls of the first two updates, and is refused before the run") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  auto options = six_updates();
  options.trace = runs / "trace.json";
  std::int64_t forwards = 0;
  options.on_update = [&](const rt::UpdateReport& report) { forwards += report.update <= 2 ? report.forwards : 0; };
  run(model, runs / "traced", options);
  options.trace.clear();
  options.on_update = {};
  run(model, runs / "plain", options);
  check_same_run(runs / "traced", runs / "plain", 6);
  std::map<std::string, std::int64_t> count;
  double end = 0;
  std::vector<std::pair<double, double>> open;  // spans around the present one
  const auto events = rt::read_json(runs / "trace.json").at("traceEvents");
  for (const auto& event : events) {
    ++count[event.at("name").get<std::string>()];
    const double begin = event.at("ts").get<double>(), last = begin + event.at("dur").get<double>();
    while (!open.empty() && open.back().second <= begin) open.pop_back();
    if (!open.empty()) CHECK(last <= open.back().second + 1e-3);  // spans nest
    open.emplace_back(begin, last);
    end = std::max(end, last);
  }
  CHECK(count.at("update") == 2);
  CHECK(count.at("network") == forwards);
  for (const char* stage : {"rollout", "decode", "reward", "backward"}) CHECK(count.at(stage) >= 2);
  CHECK(end > 0);
  SUBCASE("a resumed run leaves it as it is and says so, but one that has made no update makes it") {
    const std::string whole = bytes(runs / "trace.json");
    for (const std::int64_t done : {1, 2, 4}) {
      const std::string name = "after" + std::to_string(done);
      options.updates = done;
      options.resume = false;
      options.trace.clear();
      run(model, runs / name, options);
      options.updates = 5;
      options.resume = true;
      options.trace = runs / "trace.json";
      std::ostringstream said;
      options.progress = &said;
      run(model, runs / name, options);
      options.progress = nullptr;
      CHECK(said.str().find("note: a trace is of a run's first two updates") != std::string::npos);
      CHECK(bytes(runs / "trace.json") == whole);
    }
    options.resume = false;
    options.trace = runs / "killed.json";
    options.on_update = [](const rt::UpdateReport&) { ::kill(::getpid(), SIGKILL); };
    killed([&] { run(model, runs / "killed", options); });
    options.on_update = {};
    options.resume = true;
    run(model, runs / "killed", options);
    CHECK(bytes(runs / "killed.json").find("\"update\"") != std::string::npos);
  }
  options.resume = false;
  options.trace = "/dev/null/trace.json";
  CHECK_THROWS_WITH_AS(run(model, runs / "refused", options), doctest::Contains("[File] expected a folder"), rt::Error);
  CHECK_FALSE(std::filesystem::exists(runs / "refused" / "metrics.jsonl"));
}

TEST_CASE("a killed and resumed run equals an uninterrupted one bit for bit") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  run(model, runs / "whole", six_updates());

  SUBCASE("killed between two updates") {
    for (const std::int64_t last : {1, 4, 5}) {
      CAPTURE(last);
      const auto folder = runs / ("after" + std::to_string(last));
      auto options = six_updates();
      options.on_update = [last](const rt::UpdateReport& report) {
        if (report.update == last) ::kill(::getpid(), SIGKILL);
      };
      killed([&] { run(model, folder, options); });
      CHECK_FALSE(std::filesystem::exists(folder / "report.json"));
      auto again = six_updates();
      again.resume = true;
      CHECK(run(model, folder, again).end == rt::RunEnd::kCompleted);
      check_same_run(runs / "whole", folder, 6);
    }
  }
  SUBCASE("killed while the third checkpoint is written") {
    for (const auto stage :
         {rt::SaveStage::kBegun, rt::SaveStage::kTensors, rt::SaveStage::kState, rt::SaveStage::kInPlace}) {
      CAPTURE(static_cast<int>(stage));
      const auto folder = runs / ("stage" + std::to_string(static_cast<int>(stage)));
      auto options = six_updates();
      int saves = 0;
      options.on_save = [&](rt::SaveStage at) {
        if (at == rt::SaveStage::kBegun) ++saves;
        if (saves == 3 && at == stage) ::kill(::getpid(), SIGKILL);
      };
      killed([&] { run(model, folder, options); });
      auto again = six_updates();
      again.resume = true;
      run(model, folder, again);
      check_same_run(runs / "whole", folder, 6);
    }
  }
  SUBCASE("interrupted politely, also inside an evaluation") {
    for (const int questions : {1, 2, 5}) {
      CAPTURE(questions);
      const auto folder = runs / ("polite" + std::to_string(questions));
      auto options = six_updates();
      int asked = 0;
      options.interrupted = [&] { return ++asked >= questions; };
      CHECK(run(model, folder, options).end == rt::RunEnd::kInterrupted);
      CHECK_FALSE(std::filesystem::exists(folder / "report.json"));
      auto again = six_updates();
      again.resume = true;
      run(model, folder, again);
      check_same_run(runs / "whole", folder, 6);
    }
  }
  SUBCASE("resumed after its end: the last evaluation, which no checkpoint holds, is not logged twice") {
    auto last = six_updates();
    last.evaluate_every = 0;
    run(model, runs / "ended", last);
    const std::string evaluations = bytes(runs / "ended" / "evaluations.jsonl");
    last.resume = true;
    run(model, runs / "ended", last);
    CHECK(bytes(runs / "ended" / "evaluations.jsonl") == evaluations);
  }
  SUBCASE("continued beyond its first end") {
    auto half = six_updates();
    half.updates = 3;
    run(model, runs / "half", half);
    auto rest = six_updates();
    rest.resume = true;
    run(model, runs / "half", rest);
    check_same_run(runs / "whole", runs / "half", 6);
  }
}

TEST_CASE("a falling learning rate is its closed form over the planned updates, and comes back on a resume") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  const auto options = [](std::int64_t updates, bool resume) {
    rt::TrainerOptions o = rt::reference::small_run_options(updates, 0, 2);
    o.learning_rate = {.decay = rt::LearningRateDecay::kCosine, .floor = 0.2, .warm_up = 2};
    o.resume = resume;
    return o;
  };
  const auto rates = [&](const char* folder) {
    std::ifstream lines(runs / folder / "metrics.jsonl");
    std::vector<double> out;
    for (std::string line; std::getline(lines, line);)
      out.push_back(nlohmann::json::parse(line).at("learning_rate").get<double>());
    return out;
  };
  run(model, runs / "whole", options(6, false));
  REQUIRE(rates("whole").size() == 6);
  for (std::int64_t i = 0; i < 6; ++i)
    CHECK(rates("whole")[static_cast<std::size_t>(i)] ==
          1e-2 * rt::learning_rate_factor(options(6, false).learning_rate, i, 6));
  CHECK(rates("whole")[4] == doctest::Approx(1e-2 * 0.6));
  auto dies = options(6, false);
  dies.on_update = [](const rt::UpdateReport& report) {
    if (report.update == 5) ::kill(::getpid(), SIGKILL);
  };
  killed([&] { run(model, runs / "killed", dies); });
  run(model, runs / "killed", options(6, true));
  check_same_run(runs / "whole", runs / "killed", 6);
  // planned with 3 updates: beyond them the floor
  run(model, runs / "short", options(3, false));
  run(model, runs / "short", options(5, true));
  CHECK(rates("short")[2] == 1e-2);
  CHECK(rates("short")[3] == doctest::Approx(2e-3));
  CHECK(rates("short")[4] == doctest::Approx(2e-3));
  auto other = options(6, true);
  other.learning_rate.floor = 0.3;
  CHECK_THROWS_WITH_AS(run(model, runs / "whole", other),
                       doctest::Contains("learning_rate_schedule/floor was 0.2, is now 0.3"), rt::Error);
  CHECK(rt::read_json(runs / "whole/config.json").at("learning_rate_schedule") ==
        nlohmann::json{{"decay", "kCosine"}, {"floor", 0.2}, {"warm_up", 2}});
}

namespace {

/// A user's own optimizer: the first tensor at one rate, the others at a tenth of it.
class TwoRates {
 public:
  explicit TwoRates(std::vector<rt::Tensor> all)
      : all_(all),
        first_({all[0]}, {.learning_rate = 1e-2}),
        others_({all.begin() + 1, all.end()}, {.learning_rate = 1e-3}) {}
  void step() { first_.step(), others_.step(); }
  void zero_grad() { first_.zero_grad(), others_.zero_grad(); }
  const std::vector<rt::Tensor>& parameters() const { return all_; }
  void scale_learning_rate(double factor) {
    first_.scale_learning_rate(factor), others_.scale_learning_rate(factor);
    seen.emplace_back(first_.learning_rate(), others_.learning_rate());
  }
  double learning_rate() const { return first_.learning_rate(); }
  std::map<std::string, rt::Tensor> state() const { return {}; }
  void load_state(const std::map<std::string, rt::Tensor>&) {}
  std::vector<std::pair<double, double>> seen;

 private:
  std::vector<rt::Tensor> all_;
  rt::AdamW first_, others_;
};
static_assert(rt::ScheduledOptimizer<TwoRates>);

/// One whose rate nobody can change.
struct FixedRate : TwoRates {
  using TwoRates::TwoRates;
  void scale_learning_rate(double) = delete;
};
static_assert(!rt::ScheduledOptimizer<FixedRate>);
struct FixedAdamW : rt::AdamW {
  using AdamW::AdamW;
  void scale_learning_rate(double) = delete;
};
static_assert(!rt::ScheduledOptimizer<FixedAdamW>);

template <class Optim>
std::vector<std::pair<double, double>> run_with(const Model& model, const std::filesystem::path& folder,
                                                const rt::LearningRateSchedule& schedule) {
  auto pipeline = rt::StableDiffusion::load(model.path());
  const auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 2});
  Optim optimizer(lora.parameters());
  auto tuner = rt::make<rt::DRTune>(rt::SymmetryReward(), {.sampler = {.num_steps = 2, .guidance = 1.0},
                                                           .steps = {.num_trained = 1, .max_early_stop = 0}});
  auto options = rt::reference::small_run_options(4, 0, 0);
  options.learning_rate = schedule;
  const std::vector<std::string> prompts = {"a red circle"};
  rt::Trainer(tuner, pipeline, optimizer, rt::PromptSet(prompts),
              {folder, rt::trained_weights(lora), rt::evaluation_pairs(prompts, 1)}, options)
      .run();
  return optimizer.seen;
}

}  // namespace

TEST_CASE("a schedule scales every group's own rate, and is refused of an optimizer that cannot follow") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  const auto seen = run_with<TwoRates>(model, runs / "two", {.decay = rt::LearningRateDecay::kLinear});
  REQUIRE(seen.size() == 5);  // in full when the run begins, then before every update
  for (std::size_t i = 1; i < 5; ++i) {
    CHECK(seen[i].first == doctest::Approx(1e-2 * (1 - 0.25 * static_cast<double>(i - 1))));
    CHECK(seen[i].second == doctest::Approx(0.1 * seen[i].first));
  }
  CHECK_NOTHROW(run_with<FixedRate>(model, runs / "fixed", {}));
  CHECK_THROWS_WITH_AS(run_with<FixedRate>(model, runs / "none", {.warm_up = 1}),
                       doctest::Contains("needs an optimizer with scale_learning_rate and learning_rate"), rt::Error);
}

TEST_CASE("runs of methods that remember rewards or learn a baseline resume byte for byte") {
  const Model model;
  const auto brightness = [] { return rt::black_box([](const rt::Tensor& images) { return images.mean({1, 2, 3}); }); };
  SUBCASE("DDPO: rewards by prompt") {
    rt::reference::check_resumes(model.path(), [&] {
      return rt::make<rt::DDPO>(brightness(),
                                {.sampler = {.num_steps = 4, .guidance = 2.0},
                                 .objective = {.clip = 1e-2, .round = {.epochs = 2, .updates_per_epoch = 2}},
                                 .advantage = {.window = 4, .min_count = 2}});
    });
  }
  SUBCASE("B2-DiffuRL: rewards of earlier rounds, and a growing window") {
    rt::reference::check_resumes(model.path(), [&] {
      return rt::make<rt::B2DiffuRL>(brightness(), {.sampler = {.num_steps = 4, .guidance = 2.0},
                                                    .steps = {.initial = 2, .rounds = 5},
                                                    .objective = {.clip = 1e-2},
                                                    .advantage = {.rounds = 2},
                                                    .branching = {.threshold = 0.2}});
    });
  }
  SUBCASE("DPOK: a baseline with its optimizer") {
    rt::reference::check_resumes(model.path(), [&] {
      return rt::make<rt::DPOK>(brightness(), {.sampler = {.num_steps = 4, .guidance = 2.0},
                                               .objective = {.clip = 1e-2, .value = {.learning_rate = 1e-2}}});
    });
  }
}

TEST_CASE("windows and explorations learn the run's length from the trainer, and keep it when a run goes on") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  const auto run = [&](const char* folder, std::int64_t updates, std::optional<std::int64_t> length,
                       std::int64_t planned, bool resume) {
    auto options = rt::reference::small_run_options(updates, 0, 2);
    options.planned_updates = planned;
    options.resume = resume;
    rt::DdimOptions sampler{.num_steps = 4, .guidance = 2.0};
    auto tuner = rt::make<rt::B2DiffuRL, rt::DynamicGuidance>(
        rt::black_box([](const rt::Tensor& images) { return images.mean({1, 2, 3}); }),
        {.sampler = sampler,
         .steps = {.initial = 1, .rounds = length},
         .exploration = {.low = 1.0, .threshold = 0.5, .span = {.share = 0.5, .updates = length}},
         .objective = {.clip = 1e-2},
         .branching = {.threshold = 0.0}});
    return rt::reference::small_run_of(std::move(tuner), model.path(), runs / folder, options);
  };
  const auto same = [&](const char* a, const char* b) {
    return bytes(runs / a / "metrics.jsonl") == bytes(runs / b / "metrics.jsonl");
  };
  run("fixed", 6, 6, 0, false);
  run("learned", 6, {}, 0, false);
  CHECK(same("fixed", "learned"));
  run("short", 6, 3, 0, false);
  CHECK_FALSE(same("fixed", "short"));
  run("planned", 6, {}, 3, false);  // 3 updates are planned of 6
  CHECK(same("short", "planned"));

  run("goes_on", 3, {}, 0, false);
  run("goes_on", 6, {}, 0, true);  // was planned with 3 updates, and no step of it changes afterwards
  CHECK(same("short", "goes_on"));
  CHECK(rt::read_json(runs / "goes_on" / "config.json").at("planned_updates") == 3);
  CHECK_THROWS_WITH_AS(run("goes_on", 8, {}, 8, true), doctest::Contains("planned_updates was 3, is now 8"), rt::Error);
  CHECK_THROWS_WITH_AS(run("wrong", 6, {}, -1, false), doctest::Contains("planned_updates must be >= 0"), rt::Error);
}

TEST_CASE("a rollout in bfloat16 disagrees with the replay in float, and the report says so") {
  const Model model;
  const auto update = [&](std::optional<at::ScalarType> dtype, bool recompute = false) {
    auto pipeline = rt::StableDiffusion::load(model.path());
    const auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 2, .targets = {"all"}});
    rt::AdamW optimizer(lora.parameters(), {.learning_rate = 1e-2});
    rt::Rng rng(1);
    auto tuner = rt::make<rt::DDPO>(
        rt::SymmetryReward(),
        {.sampler = {.num_steps = 6, .guidance = 5.0},
         .objective = {.clip = 1e-2,
                       .round = {.reduction = rt::LogProbReduction::kSum, .recompute_log_probs = recompute}},
         .engine = {.rollout_dtype = dtype}});
    return tuner.update(pipeline, optimizer, {"a red circle", "a blue square"}, rng);
  };
  const auto whole = update({}), low = update(at::kBFloat16);
  MESSAGE("first ratio off by ", whole.ratio_deviation, " in float, ", low.ratio_deviation,
          " with rollouts in bfloat16");
  CHECK(whole.warning.empty());
  CHECK(low.ratio_deviation > 1e-3);
  CHECK(low.warning.starts_with("the first ratio of new to old probability should be 1 and is off by "));
  CHECK(low.warning.ends_with(
      ", with a clip range of 0.01: rollout and replay disagree (half precision of weights, rollout_dtype or "
      "autocast, kernels of a card for calls without gradient, or a model with dropout); "
      "objective.round.recompute_log_probs makes them agree"));
  // taken again by the network that is trained, at the price of one more forward of every row
  const auto again = update(at::kBFloat16, true);
  CHECK(again.ratio_deviation < 1e-3);
  CHECK(again.warning.empty());
  CHECK(again.forward_samples == low.forward_samples + 2 * 6);
  std::ostringstream line;
  line << low;
  CHECK(line.str().ends_with("  WARNING: " + low.warning));
}

TEST_CASE("folders and options that do not fit are refused by name") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  const auto folder = runs / "a";
  auto two = six_updates();
  two.updates = 2;
  run(model, folder, two);
  const std::string report = bytes(folder / "report.json");
  CHECK_THROWS_WITH_AS(run(model, folder, two), doctest::Contains("holds a run already"), rt::Error);

  auto other = two;
  other.resume = true;
  other.updates = 4;
  other.batch = 3;
  CHECK_THROWS_WITH_AS(run(model, folder, other, 5.0),
                       doctest::Contains("batch was 2, is now 3; options/guidance was 2.0, is now 5.0"), rt::Error);
  CHECK(bytes(folder / "report.json") == report);

  auto resume = two;
  resume.resume = true;
  CHECK_THROWS_WITH_AS(run(model, runs / "nowhere", resume), doctest::Contains("got no folder"), rt::Error);
  std::filesystem::create_directory(runs / "empty");
  CHECK_THROWS_WITH_AS(run(model, runs / "empty", resume), doctest::Contains("no usable one"), rt::Error);
  std::ofstream(runs / "file") << "x";
  CHECK_THROWS_WITH_AS(run(model, runs / "file" / "run", two), doctest::Contains("expected a folder to write at"),
                       rt::Error);
  two.batch = 0;
  CHECK_THROWS_WITH_AS(run(model, runs / "b", two), doctest::Contains("batch"), rt::Error);
  CHECK_FALSE(std::filesystem::exists(runs / "b"));
}

TEST_CASE("a resume with other options of the tuner, the optimizer or the adapter is refused, whoever made them") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  struct Changed {
    int trained = 2;
    double threshold = 0.5, beta2 = 0.999, alpha = 0, rate = 1e-2;
    int skipped = 5;
  };
  const auto run_by = [&]<class Optim>(std::type_identity<Optim>, const Changed& c, bool resume) {
    auto pipeline = rt::StableDiffusion::load(model.path());
    const auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 2, .alpha = c.alpha, .targets = {"all"}});
    Optim optimizer(lora.parameters(), {.learning_rate = c.rate, .beta2 = c.beta2});
    auto tuner = rt::make<rt::DRTune, rt::DynamicGuidance>(rt::SymmetryReward(),
                                                           {.sampler = {.num_steps = 4, .guidance = 2.0},
                                                            .steps = {.num_trained = c.trained},
                                                            .exploration = {.threshold = c.threshold},
                                                            .engine = {.max_skipped_in_a_row = c.skipped}});
    const std::vector<std::string> prompts = {"a red circle", "a blue square"};
    auto options = rt::reference::small_run_options(resume ? 2 : 1, 0, 1);
    options.resume = resume;
    if (!rt::ScheduledOptimizer<Optim>) options.learning_rate = {};
    rt::Trainer trainer(tuner, pipeline, optimizer, rt::PromptSet(prompts),
                        {runs / (rt::ScheduledOptimizer<Optim> ? "a" : "fixed"), rt::trained_weights(lora),
                         rt::evaluation_pairs(prompts, 1)},
                        options);
    CHECK(trainer.notes().empty());
    return trainer.run();
  };
  const auto run = [&](const Changed& c, bool resume) { return run_by(std::type_identity<rt::AdamW>(), c, resume); };
  run({}, false);
  const auto refused = [&](const Changed& changed, const char* difference) {
    CHECK_THROWS_WITH_AS(run(changed, true), doctest::Contains(difference), rt::Error);
  };
  refused({.trained = 3}, "was made with other options; tuner/steps/options/num_trained was 2, is now 3; resume with");
  refused({.threshold = 0.25}, "tuner/exploration/options/threshold was 0.5, is now 0.25");
  refused({.beta2 = 0.5}, "optimizer/beta2 was 0.999, is now 0.5");
  refused({.alpha = 4}, "trained/alpha was 2.0, is now 4.0");
  refused({.rate = 0.02}, "learning_rate was 0.01, is now 0.02");
  CHECK(run({.skipped = 9}, true).end == rt::RunEnd::kCompleted);  // when to give up is no part of the numbers
  const std::type_identity<FixedAdamW> fixed;                      // its rate is known by its options alone
  run_by(fixed, {}, false);
  CHECK_THROWS_WITH_AS(run_by(fixed, {.rate = 0.02}, true),
                       doctest::Contains("optimizer/learning_rate was 0.01, is now 0.02"), rt::Error);
  CHECK(run_by(fixed, {}, true).end == rt::RunEnd::kCompleted);

  const auto config = rt::read_json(runs / "a" / "config.json");
  CHECK(config.at("method") == "direct_gradient");  // what nobody has said, the tuner knows
  CHECK(config.at("reward") == "symmetry");
  CHECK(config.at("tuner").at("steps").at("policy") == "spread_steps");
  CHECK(config.at("tuner").at("exploration").at("options").at("span").at("share") == 0.75);
}

namespace {

/// A policy that does not say the fields of its options.
class LastOnly {
 public:
  using Role = rt::StepSelectionRole;
  struct Options {
    int back = 0;
  };
  static constexpr std::string_view kName = "last_only";
  explicit LastOnly(Options options) : options_(options) {}
  void check(int) const {}
  rt::StepPlan plan(const rt::PlanContext& context, rt::Rng&) const {
    return {.last = context.num_steps - 1, .jumps = false, .trained = {context.num_steps - 1 - options_.back}};
  }

 private:
  Options options_;
};

}  // namespace

TEST_CASE("a policy that does not say its options runs; config.json and one note say what a resume cannot compare") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  auto options = rt::reference::small_run_options(1, 0, 1);
  std::ostringstream shown;
  options.progress = &shown;
  auto tuner = rt::RewardTuner<rt::SymmetryReward, LastOnly>(rt::SymmetryReward(),
                                                             {.sampler = {.num_steps = 3, .guidance = 1.0}});
  CHECK(rt::reference::small_run_of(tuner, model.path(), runs / "a", options).end == rt::RunEnd::kCompleted);
  CHECK(rt::read_json(runs / "a" / "config.json").at("tuner").at("steps") ==
        nlohmann::json{{"policy", "last_only"}, {"options", "not covered"}});
  const std::string note = "note: a resume cannot tell whether options of the policy steps (last_only) changed";
  const auto first = shown.str().find(note);
  CHECK(first != std::string::npos);
  CHECK(shown.str().find(note, first + 1) == std::string::npos);
}

TEST_CASE("a limit of CPU time ends a run, is kept over a resume and does not depend on waiting") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  auto options = six_updates();
  options.updates = 100000;
  options.cpu_minutes = 1e-6;
  // waiting is no work
  options.on_update = [](const rt::UpdateReport&) { std::this_thread::sleep_for(std::chrono::milliseconds(300)); };
  const auto one = run(model, runs / "a", options);
  CHECK(one.end == rt::RunEnd::kTimeUp);
  CHECK(one.progress.done() == 1);
  const auto seconds = rt::read_json(runs / "a" / "report.json").at("seconds");
  CHECK(seconds.at("tune_cpu").get<double>() > 0);
  CHECK(seconds.at("tune_cpu").get<double>() == one.progress.tune_cpu_seconds);
  CHECK(rt::read_json(runs / "a" / "config.json").at("run").at("cpu_minutes") == 1e-6);

  options.resume = true;
  CHECK(run(model, runs / "a", options).progress.done() == 1);  // the time of the first part counts
  options.cpu_minutes = (one.progress.tune_cpu_seconds + 1e-4) / 60;
  const auto two = run(model, runs / "a", options);
  CHECK(two.progress.done() == 2);
  CHECK(two.progress.tune_cpu_seconds > one.progress.tune_cpu_seconds);

  options.resume = false;
  options.cpu_minutes = -1;
  CHECK_THROWS_WITH_AS(run(model, runs / "b", options), doctest::Contains("cpu_minutes"), rt::Error);
}

TEST_CASE("a run that learns nothing warns after three updates and fails after twenty, over a resume too") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  const auto run = [&](const char* folder, std::int64_t updates, std::int64_t most, bool resume) {
    auto options = rt::reference::small_run_options(updates, 0, 0);
    options.max_idle_in_a_row = most;
    options.resume = resume;
    auto equal = rt::black_box([](const rt::Tensor& images) { return at::full({images.size(0)}, 0.25); });
    return rt::reference::small_run_of(rt::make<rt::DDPO>(equal, {.sampler = {.num_steps = 2, .guidance = 1.0}}),
                                       model.path(), runs / folder, options);
  };
  const auto lines = [&](const char* folder) {
    std::ifstream file(runs / folder / "metrics.jsonl");
    std::vector<nlohmann::json> all;
    for (std::string line; std::getline(file, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  };
  const std::string why = "so nothing was learned: all 2 rewards are equal (0.250000)";
  CHECK(rt::TrainerOptions().max_idle_in_a_row == 20);
  CHECK_THROWS_WITH_AS(run("a", 100, 5, false),
                       doctest::Contains(("[Trainer] 5 updates in a row kept no image to "
                                          "train on, " +
                                          why + "; expected rewards")
                                             .c_str()),
                       rt::Error);
  REQUIRE(lines("a").size() == 5);
  for (const auto& line : lines("a")) {
    CHECK(line.at("idle_reason") == "all 2 rewards are equal (0.250000)");
    CHECK(line.contains("warning") == (line.at("update") == 3));
  }
  CHECK(lines("a")[2].at("warning") == "3 updates in a row kept no image to train on, " + why);
  CHECK(rt::CheckpointFolder(runs / "a" / "checkpoints").latest() == 5);
  CHECK_FALSE(std::filesystem::exists(runs / "a" / "report.json"));
  // the same limit after a resume: nothing is sampled; a higher one: the count goes on
  CHECK_THROWS_WITH_AS(run("a", 100, 5, true), doctest::Contains("5 updates in a row kept no image"), rt::Error);
  CHECK(lines("a").size() == 5);
  CHECK_THROWS_WITH_AS(run("a", 100, 7, true), doctest::Contains("7 updates in a row kept no image"), rt::Error);
  CHECK(lines("a").size() == 7);
  CHECK(run("a", 8, 0, true).end == rt::RunEnd::kCompleted);  // 0: never
  CHECK_THROWS_WITH_AS(run("b", 8, -1, false), doctest::Contains("max_idle_in_a_row must be >= 0"), rt::Error);
}

TEST_CASE("a run whose rounds can teach nothing is refused before anything is sampled") {
  const Model model;
  const rt::reference::TemporaryFolder runs;
  auto grpo = rt::make<rt::GRPO>(rt::SymmetryReward(), {.sampler = {.num_steps = 2, .guidance = 1.0},
                                                        .objective = {.round = {.samples_per_prompt = 1}}});
  CHECK_THROWS_WITH_AS(rt::reference::small_run_of(grpo, model.path(), runs / "a", six_updates()),
                       doctest::Contains("can learn nothing from such rounds, whatever the rewards"), rt::Error);
  CHECK_FALSE(std::filesystem::exists(runs / "a"));
}

TEST_CASE("one folder takes one run at a time") {
  const rt::reference::TemporaryFolder runs;
  const auto first = rt::RunFolder::create(runs / "a");
  CHECK_THROWS_WITH_AS(rt::RunFolder::reopen(runs / "a"), doctest::Contains("in use"), rt::Error);
}

TEST_CASE("evaluation does not depend on the batch and leaves no trace") {
  const Model model;
  auto pipeline = rt::StableDiffusion::load(model.path());
  const std::vector<std::string> prompts = {"a red circle", "a blue square", "a green ring"};
  const auto pairs = rt::evaluation_pairs(prompts, 2, 7);
  const rt::AnySampler sampler({.name = "ddpm", .num_steps = 3, .guidance = 2.0});
  const auto rewards = rt::standard_evaluation_rewards(pipeline);
  const auto one = rt::evaluate(pipeline, sampler, pairs, rewards, {.batch = 1}),
             all = rt::evaluate(pipeline, sampler, pairs, rewards, {.batch = 6});
  CHECK((one->images - all->images).abs().max().item<double>() < 1e-4);
  CHECK(one->metrics.at("symmetry_error") == doctest::Approx(all->metrics.at("symmetry_error")).epsilon(1e-4));
  CHECK(one->network.forwards == 18);
  CHECK_FALSE(
      rt::evaluate(pipeline, sampler, pairs, rewards, {.batch = 2, .interrupted = [] { return true; }}).has_value());
}

}  // namespace trainer_test
