// Options and policies as JSON: every field by name, enumerations by name, and what is not covered.
#include <reward_tuner/run/options_json.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <reward_tuner/methods/b2_diffurl.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/run/prompt_set.hpp>
#include <reward_tuner/samplers/any_sampler.hpp>
#include <reward_tuner/tuner/multi_task.hpp>

namespace options_json_test {

namespace rt = reward_tuner;
using nlohmann::json;

enum class Color { kRed, kGreen = 5 };
struct Inner {
  double share = 0.5;
  std::optional<int> count = {};
};
REWARD_TUNER_FIELDS(Inner, share, count);
struct Outer {
  int size = 3;
  bool on = true;
  std::string name = "x";
  Color color = Color::kGreen;
  Inner inner = {};
  std::vector<int> list = {1, 2};
  std::optional<at::ScalarType> dtype = at::kBFloat16;
  std::shared_ptr<int> data = nullptr;
};
REWARD_TUNER_FIELDS(Outer, size, on, name, color, inner, list, dtype, data);
struct Unsaid {
  int steps = 2;
};
struct Nothing {};
static_assert(rt::KnownFields<Outer> && rt::KnownFields<Nothing> && !rt::KnownFields<Unsaid>);

/// A step selection that does not say its fields.
class Mine {
 public:
  using Role = rt::StepSelectionRole;
  using Options = Unsaid;
  static constexpr std::string_view kName = "mine";
  explicit Mine(Unsaid options = {}) : options_(options) {}
  void check(int) const {}
  rt::StepPlan plan(const rt::PlanContext& context, rt::Rng&) const {
    return {.last = context.num_steps - 1, .jumps = false, .trained = {context.num_steps - options_.steps}};
  }

 private:
  Unsaid options_;
};

}  // namespace options_json_test

TEST_CASE("every field of an aggregate is there by name, nested and with enumerations by name") {
  using namespace options_json_test;
  CHECK(rt::options_json(Outer()) == json{{"size", 3},
                                          {"on", true},
                                          {"name", "x"},
                                          {"color", "kGreen"},
                                          {"inner", {{"share", 0.5}, {"count", nullptr}}},
                                          {"list", {1, 2}},
                                          {"dtype", "BFloat16"},
                                          {"data", "none"}});
  CHECK(rt::options_json(Outer{.inner = {.count = 4}, .data = std::make_shared<int>(1)}).at("data") == "given");
  CHECK(rt::options_json(Nothing()) == json::object());
  CHECK(rt::options_json(Unsaid()) == "not covered");
  CHECK(rt::options_json(static_cast<Color>(70)) == "70");
  const std::variant<Nothing, Inner> either = Inner{.share = 1};
  CHECK(rt::options_json(either) == json{{"Inner", {{"share", 1.0}, {"count", nullptr}}}});
}

TEST_CASE("a tuner's policies are there by role, with the options in force") {
  using namespace options_json_test;
  const json direct = rt::tuner_json(rt::make<rt::DRTune, rt::AnySampler, rt::KlToReference>(
      rt::AnyReward(rt::SymmetryReward()), {.sampler = {.name = "ddpm", .num_steps = 7},
                                            .steps = {.num_trained = 3},
                                            .regularizer = {.weight = 0.25},
                                            .engine = {.memory = rt::Memory::kRetain}}));
  CHECK(direct.at("reward").at("policy") == "symmetry");
  CHECK(direct.at("sampler").at("policy") == "ddpm");
  CHECK(direct.at("sampler").at("options").at("num_steps") == 7);
  CHECK(direct.at("gradient_stop") == json{{"policy", "stop_input"}, {"options", json::object()}});
  CHECK(direct.at("steps").at("options").at("num_trained") == 3);
  CHECK(direct.at("regularizer").at("options").at("weight") == 0.25);
  CHECK(direct.at("engine").at("memory") == json{{"way", "kRetain"}, {"bytes", 0}});
  const json budget = rt::tuner_json(
      rt::make<rt::DRTune>(rt::SymmetryReward(), {.engine = {.memory = rt::Memory::budget(4'000'000'000)}}));
  CHECK(budget.at("engine").at("memory") == json{{"way", "kBudget"}, {"bytes", 4'000'000'000}});
  CHECK_FALSE(direct.at("engine").contains("max_skipped_in_a_row"));
  CHECK_FALSE(direct.contains("advantage"));
  CHECK(rt::not_covered(direct).empty());
  CHECK(rt::tuner_title(direct) == "direct_gradient");
  CHECK(rt::reward_title(direct) == "symmetry");
  CHECK(rt::tuner_json(rt::make<rt::DRaFT>(rt::SymmetryReward())).at("gradient_stop").at("policy") == "pass_input");

  const auto black_box = rt::black_box([](const rt::Tensor& images) { return images.mean({1, 2, 3}); });
  const json sampled = rt::tuner_json(rt::make<rt::B2DiffuRL>(black_box, {.branching = {.threshold = 0.25}}));
  CHECK(sampled.at("sampler").at("options").at("eta") == 1.0);  // what the objective made of it
  CHECK(sampled.at("steps").at("options") == json{{"initial", 0}, {"rounds", nullptr}, {"skip_last", 0}});
  CHECK(sampled.at("advantage").at("policy") == "history");
  CHECK(sampled.at("branching").at("options").at("threshold") == 0.25);
  CHECK(sampled.at("objective").at("options").at("round").at("reduction") == "kMean");
  CHECK_FALSE(sampled.contains("gradient_stop"));
}

TEST_CASE("each task of several has its own policies, prompts and batch") {
  using namespace options_json_test;
  const auto make = [](double threshold, int batch) {
    const auto black_box = rt::black_box([](const rt::Tensor& images) { return images.mean({1, 2, 3}); });
    return rt::multi_task({.sample_all_first = false}, rt::task("a", rt::make<rt::DRTune>(rt::SymmetryReward())),
                          rt::task("b", rt::make<rt::B2DiffuRL>(black_box, {.branching = {.threshold = threshold}}),
                                   rt::PromptSet({"a star"}), batch));
  };
  const json tasks = rt::tuner_json(make(0.25, 4));
  CHECK(tasks.at("options").at("sample_all_first") == false);
  CHECK(tasks.at("tasks").at(0).at("name") == "a");
  CHECK(tasks.at("tasks").at(1).at("branching").at("options").at("threshold") == 0.25);
  CHECK(tasks.at("tasks").at(1).at("prompts").at("count") == 1);
  CHECK(tasks == rt::tuner_json(make(0.25, 4)));
  CHECK(tasks != rt::tuner_json(make(0.5, 4)));
  CHECK(tasks != rt::tuner_json(make(0.25, 5)));
  CHECK(rt::tuner_title(tasks) == "a: direct_gradient; b: clipped_ratio");
  CHECK(rt::reward_title(tasks) == "a: symmetry; b: black_box");
}

TEST_CASE("options that do not say their fields are marked and named") {
  using namespace options_json_test;
  const auto tuner = rt::make<rt::DRaFT>(rt::SymmetryReward());
  CHECK(rt::not_covered(rt::tuner_json(tuner)).empty());
  const json mine = rt::tuner_json(rt::RewardTuner<rt::SymmetryReward, Mine>(rt::SymmetryReward()));
  CHECK(mine.at("steps") == json{{"policy", "mine"}, {"options", "not covered"}});
  CHECK(rt::not_covered(mine) == std::vector<std::string>{"steps (mine)"});
  const json tasks = rt::tuner_json(
      rt::multi_task({}, rt::task("a", rt::RewardTuner<rt::SymmetryReward, Mine>(rt::SymmetryReward()))));
  CHECK(rt::not_covered(tasks) == std::vector<std::string>{"a: steps (mine)"});
}
