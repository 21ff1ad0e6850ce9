// The table of settings of rt-tune: one row is a flag, a line of --help, a rule, a key of config.json and of the
// fingerprint, and a key of a TOML file.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <examples/shared/defaults.hpp>
#include <examples/shared/run_options.hpp>
#include <examples/shared/settings_table.hpp>
#include <examples/tune/config_file.hpp>
#include <examples/tune/flags.hpp>

namespace settings_table_test {
namespace {

using namespace rt_shared;

enum class Wobble { kNone, kMuch };

/// The settings with one more.
struct MySettings : TuneSettings {
  Wobble wobble = Wobble::kNone;
};

/// The table with one more row.
SettingsTable my_table() {
  SettingsTable table = settings_table();
  Setting row{.name = "wobble-size",
              .group = "Mine",
              .help = "how much the sampler wobbles",
              .field = field([](TuneSettings& s) -> Wobble& { return static_cast<MySettings&>(s).wobble; },
                             {{"none", Wobble::kNone}, {"much", Wobble::kMuch}})};
  table.push_back(
      std::move(row)
          .of("drtune refl")
          .wants([](const TuneSettings& s, const MethodEntry&) { return s.steps > 1; }, "steps", "of 2 or more"));
  return table;
}

std::string parse(CLI::App& app, std::vector<std::string> arguments) {
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& problem) {
    return problem.what();
  }
  return {};
}

std::string rule_problem(const TuneSettings& s, std::string_view method) {
  try {
    check_rules(my_table(), s, method_entry(method));
  } catch (const std::exception& problem) {
    return problem.what();
  }
  return {};
}

}  // namespace

TEST_CASE("settings: a row of the table is a flag with help, default and a named error") {
  const SettingsTable table = my_table();
  MySettings s;
  CLI::App app;
  rt_tune::add_flags(app, table, s);
  CHECK(app.help().find("--wobble-size none|much") != std::string::npos);
  CHECK(app.help().find("how much the sampler wobbles") != std::string::npos);
  CHECK(parse(app, {"--model", "m", "--out", "o", "--wobble-size", "much"}).empty());
  CHECK(s.wobble == Wobble::kMuch);
  CHECK((s.was_given("wobble-size") && !s.was_given("steps")));
  CHECK(parse(app, {"--model", "m", "--out", "o", "--wobble-size", "some"})
            .find("--wobble-size expected none or much, got 'some'") != std::string::npos);
}

TEST_CASE("settings: a row's rules are sentences") {
  MySettings s;
  CHECK(rule_problem(s, "ddpo").empty());
  s.given.insert("wobble-size");
  CHECK(rule_problem(s, "drtune").empty());
  CHECK(rule_problem(s, "ddpo").find(
            "--wobble-size cannot be combined with --method ddpo; it belongs to drtune and refl") != std::string::npos);
  s.steps = 1;
  CHECK(rule_problem(s, "refl").find("--wobble-size expected --steps of 2 or more, got --steps 1") !=
        std::string::npos);
}

TEST_CASE("settings: a row decides the numbers where it means something, or is a note") {
  MySettings s;
  s.wobble = Wobble::kMuch;
  SettingsTable table = my_table();
  CHECK(deciding_options(table, s, method_entry("drtune")).at("wobble_size") == "much");
  CHECK_FALSE(deciding_options(table, s, method_entry("ddpo")).contains("wobble_size"));
  CHECK_FALSE(noted_options(table, s).contains("wobble_size"));
  table.back().role = SettingRole::kNote;
  CHECK(noted_options(table, s).at("wobble_size") == "much");
  CHECK_FALSE(deciding_options(table, s, method_entry("drtune")).contains("wobble_size"));
}

TEST_CASE("settings: a TOML file gives what flags give, and flags win over it") {
  const SettingsTable table = my_table();
  std::istringstream toml("wobble-size = \"much\"\nsteps = 7\ntargets = [\"to_q\", \"to_k\"]\nfull = true\n");
  auto flags = rt_tune::flags_from_settings(toml, {"--steps"}, "mine.toml");
  flags.insert(flags.end(), {"--model=m", "--out=o"});
  MySettings s;
  CLI::App app;
  rt_tune::add_flags(app, table, s);
  CHECK(parse(app, flags).empty());
  CHECK(s.wobble == Wobble::kMuch);
  CHECK(s.steps == TuneSettings{}.steps);
  CHECK(s.targets == std::vector<std::string>{"to_q", "to_k"});
  CHECK(s.full);
}

TEST_CASE("settings: a flag of one value that is given twice is an error, a list adds up, commas of a path stay") {
  const auto parsed = [](const std::vector<std::string>& more, MySettings& s) {
    const SettingsTable table = my_table();
    CLI::App app;
    rt_tune::add_flags(app, table, s);
    std::vector<std::string> flags{"--model", "m", "--out", "o"};
    flags.insert(flags.end(), more.begin(), more.end());
    return parse(app, flags);
  };
  MySettings s;
  CHECK(parsed({"--rank", "4", "--rank", "8"}, s).find("--rank expected one value, got 2: '4', '8'") !=
        std::string::npos);
  CHECK(parsed({"--rank=4", "--rank=4"}, s).find("--rank expected one value, got 2") != std::string::npos);
  CHECK(parsed({"--method", "ddpo", "--method", "pg"}, s).find("--method expected one value") != std::string::npos);
  CHECK(parsed({"--full", "--full=false"}, s).find("--full") != std::string::npos);
  s = {};
  CHECK(parsed({"--negative", "[blurry, low] {quality}"}, s).empty());
  CHECK(s.negative == "[blurry, low] {quality}");
  CHECK(parsed({"--negative", ""}, s).empty());
  CHECK(s.negative == "");  // given, and not the same as none for SDXL
  CHECK(parsed({"--reward", "shapes,parity", "--reward", "symmetry:2", "--lora", "a,b", "--lora", "c:0.5"}, s).empty());
  CHECK(s.rewards == std::vector<std::string>{"shapes", "parity", "symmetry:2"});
  CHECK(s.loras == std::vector<std::string>{"a,b", "c:0.5"});
}

TEST_CASE("settings: size, negative prompt and LoRAs are rows that tune, sample and evaluate share") {
  TuneSettings s;
  const auto read = [&](const char* name, const char* value) {
    read_setting(setting(settings_table(), name), s, {value}, name);
  };
  read("height", "64");
  read("negative", "blurry, low quality");
  read("variant", "fp16");
  read("tokenizer", "some/folder");
  read("prediction", "v_prediction");
  CHECK(s.tokenizer == "some/folder");
  CHECK((s.prediction == rt::PredictionType::kVPrediction));
  CHECK(s.variant == "fp16");
  CHECK((s.height == 64 && !s.width && s.negative == "blurry, low quality"));
  const auto options = deciding_options(settings_table(), s, method_entry("ddpo"));
  CHECK(options.at("height") == 64);
  CHECK(options.at("width").is_null());
  CHECK(options.at("negative") == "blurry, low quality");
  read("lora", "x:0.5");
  CHECK(noted_options(settings_table(), s).at("lora") == nlohmann::json{"x:0.5"});
}

TEST_CASE("settings: no row takes NaN, an infinity or more than a number can hold") {
  int numbers = 0;
  for (const Setting& row : settings_table()) {
    CAPTURE(row.name);
    const bool finite = row.field.expected == "a finite number", whole = row.field.expected.starts_with("a whole");
    if (!finite && !whole) continue;
    ++numbers;
    for (const std::string word :
         {"nan", "-nan", "nan(1)", "inf", "-inf", "infinity", "1e999", "", " 1", "1 ", "0x10"}) {
      CAPTURE(word);
      TuneSettings s;
      CHECK_THROWS_WITH_AS(
          read_setting(row, s, {word}, "--" + row.name),
          ("[rt-tune] --" + row.name + " expected " + row.field.expected + ", got '" + word + "'").c_str(), rt::Error);
    }
  }
  CHECK(numbers > 60);
}

TEST_CASE("settings: two whole numbers are a pair, and a flag that may be alone takes its own value") {
  const auto parsed = [](const std::vector<std::string>& more, TuneSettings& s) {
    CLI::App app;
    rt_tune::add_flags(app, settings_table(), s);
    std::vector<std::string> flags{"--model", "m", "--out", "o"};
    flags.insert(flags.end(), more.begin(), more.end());
    return parse(app, flags);
  };
  TuneSettings s;
  CHECK(parsed({"--original-size", "768x1024", "--crop=0x16"}, s).empty());
  CHECK((s.original_size == Pair{768, 1024} && s.crop == Pair{0, 16} && !s.target_size));
  CHECK(deciding_options(settings_table(), s, method_entry("ddpo")).at("original_size") == "768x1024");
  for (const char* wrong : {"768", "768x", "x768", "768x1024x3", "768 x 1024", "axb"})
    CHECK(parsed({"--target-size", wrong}, s).find("--target-size expected two whole numbers as 768x1024, got") !=
          std::string::npos);
  CHECK(parsed({"--train-text-encoder", "--steps", "3"}, s).empty());
  CHECK((s.train_text_encoder == TextEncoders::kFirst && s.steps == 3));
  CHECK(parsed({"--train-text-encoder", "both"}, s).empty());
  CHECK(s.train_text_encoder == TextEncoders::kBoth);
  CHECK(parsed({"--train-text-encoder=second"}, s).empty());
  CHECK(s.train_text_encoder == TextEncoders::kSecond);
  CHECK(parsed({"--train-text-encoder", "all"}, s)
            .find("--train-text-encoder expected none, first, second or both, got 'all'") != std::string::npos);
  read_setting(setting(settings_table(), "train-text-encoder"), s, {"true"}, "train-text-encoder");  // of a TOML file
  CHECK(s.train_text_encoder == TextEncoders::kFirst);
}

TEST_CASE("settings: the optimizer and the memory switches are rows") {
  TuneSettings s;
  const auto read = [&](const char* name, const char* value) {
    read_setting(setting(settings_table(), name), s, {value}, name);
  };
  CHECK(optimizer_options(s).smallest == std::numeric_limits<std::int64_t>::max());
  read("optimizer", "adamw8bit");
  read("vae-tiling", "true");
  read("capture-rollout", "true");
  read("offload", "true");
  read("learning-rate", "0.25");
  CHECK((s.optimizer == OptimizerName::kAdamW8bit && s.vae_tiling && s.offload));
  CHECK(s.capture_rollout);
  CHECK(optimizer_options(s).smallest == rt::AdamW8bitOptions{}.smallest);
  CHECK(optimizer_options(s).learning_rate == 0.25);
  const auto options = deciding_options(settings_table(), s, method_entry("drtune"));
  CHECK(options.at("optimizer") == "adamw8bit");
  CHECK(options.at("vae_tiling") == true);
  CHECK(options.at("capture_rollout") == true);
  CHECK_FALSE(options.contains("offload"));  // the numbers are the same
  CHECK(noted_options(settings_table(), s).at("offload") == true);
  CHECK_THROWS_WITH(read("optimizer", "sgd"), doctest::Contains("expected adamw or adamw8bit, got 'sgd'"));
}

TEST_CASE("settings: a learning rate falls as the flags say, over the planned updates") {
  TuneSettings s;
  const auto read = [&](const char* name, const char* value) {
    read_setting(setting(settings_table(), name), s, {value}, name);
  };
  read("lr-floor", "0.1");
  CHECK_THROWS_WITH(check_rules(settings_table(), s, method_entry("ddpo")),
                    doctest::Contains("lr-floor expected --lr-schedule linear or cosine, got --lr-schedule constant"));
  read("lr-schedule", "cosine");
  read("lr-warmup", "7");
  read("planned-updates", "50");
  CHECK_NOTHROW(check_rules(settings_table(), s, method_entry("ddpo")));
  const rt::LearningRateSchedule schedule = trainer_options(s).learning_rate;
  CHECK(schedule.decay == rt::LearningRateDecay::kCosine);
  CHECK(schedule.floor == 0.1);
  CHECK(schedule.warm_up == 7);
  CHECK_THROWS_WITH(read("lr-schedule", "steps"), doctest::Contains("expected constant, linear or cosine"));
}

TEST_CASE("settings: names are unique, and rules name methods and settings that exist") {
  std::set<std::string> names;
  for (const Setting& row : settings_table()) {
    CHECK_MESSAGE(names.insert(row.name).second, row.name);
    CHECK_MESSAGE(!row.help.empty(), row.name);
    std::istringstream words(row.known_to);
    for (std::string word; words >> word;) CHECK_MESSAGE(!methods_that_know(word).empty(), (row.name + ": " + word));
    if (!row.when.of.empty()) CHECK(setting(settings_table(), row.when.of).name == row.when.of);
  }
  CHECK_THROWS_WITH(setting(settings_table(), "wobble"), doctest::Contains("got 'wobble'"));
}

TEST_CASE("settings: a default bends to what the user said") {
  for (const auto& method : method_entries())
    for (const int steps : {1, 2, 4, 50}) {
      TuneSettings s;
      s.method = method.name;
      s.steps = steps;
      check_settings(s, method);
      complete(s, method, false);
      CHECK_MESSAGE(s.trained_steps <= steps, method.name);
      CHECK_MESSAGE(s.early_stop.value_or(0) <= steps, method.name);
    }
  TuneSettings s;
  s.steps = 4;
  complete(s, method_entry("drtune"), false);
  CHECK(s.trained_steps == 4);
  s = {};
  s.updates_per_epoch = 2;
  complete(s, method_entry("lsrl"), false);
  CHECK_FALSE(s.step_per_timestep);
  s = {};
  complete(s, method_entry("lsrl"), false);
  CHECK(s.step_per_timestep);
  s = {};
  s.best = 12;
  complete(s, method_entry("raft"), false);
  CHECK(s.samples_per_prompt == 13);
}

TEST_CASE("settings: memory is a way or a size, and sizes that are equal decide alike") {
  const Setting& row = setting(settings_table(), "memory");
  const auto given = [&](const std::string& word) {
    TuneSettings s;
    read_setting(row, s, {word}, "--memory");
    return s;
  };
  CHECK(given("retain").memory == rt::Memory::kRetain);
  CHECK(given("replay").memory == rt::Memory::kReplay);
  CHECK(given("4GB").memory == rt::Memory::budget(4'000'000'000));
  CHECK(row.field.json(given("retain")) == "retain");
  CHECK(row.field.json(TuneSettings()) == "replay");
  CHECK(row.field.json(given("4000 MB")) == "4GB");
  CHECK(row.field.json(given("4GB")) == row.field.json(given("4000000kB")));
  // what config.json says is read back
  CHECK(given(row.field.json(given("12345B")).get<std::string>()).memory == rt::Memory::budget(12345));
  for (const char* wrong : {"4", "keep", "0GB"})
    CHECK_THROWS_WITH_AS(given(wrong),
                         doctest::Contains("--memory expected replay, retain or a size with its unit (4GB, 512MiB)"),
                         rt::Error);
  TuneSettings s = given("4GB");
  CHECK(deciding_options(settings_table(), s, method_entry("drtune")).at("memory") == "4GB");
  CHECK_THROWS_WITH_AS(check_rules(settings_table(), s, method_entry("ddpo")),
                       doctest::Contains("--memory cannot be combined with --method ddpo"), rt::Error);
}

}  // namespace settings_table_test
