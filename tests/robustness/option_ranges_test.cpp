// No setting takes a number that is none: every number of every options aggregate, one at a time, as NaN, as either
// infinity and, where it counts something, below zero. What reads it first must throw and name it.
#include <doctest/doctest.h>

#include <cmath>
#include <concepts>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/optim/adamw_8bit.hpp>
#include <reward_tuner/optim/ema.hpp>
#include <reward_tuner/reward_tuner.hpp>
#include <reward_tuner/rewards/http_post.hpp>
#include <reward_tuner/rewards/jpeg_size.hpp>
#include <reward_tuner/rewards/remote.hpp>
#include <reward_tuner/run.hpp>
#include <reward_tuner/shapes/hue_parity.hpp>

namespace option_ranges_test {
namespace {

using namespace reward_tuner;

/// Writes one number of an aggregate: the `wanted`th floating or whole one in the order of the fields. What is unset is
/// set for that, and a list gets one item.
struct Writer {
  int wanted = 0;
  bool whole = false;
  double value = 0;
  int seen = 0;
  std::string path = {};  ///< of the number that was written: "round.epochs"; empty: there are not so many

  template <class T>
  void at(const std::string& name, T& field) {
    if constexpr (std::is_same_v<T, bool>) return;
    else if constexpr (std::floating_point<T> || std::signed_integral<T>) {
      if (std::floating_point<T> == whole || seen++ != wanted) return;
      field = static_cast<T>(value);
      path = name;
    } else if constexpr (requires {
                           typename T::value_type;
                           field.front() = typename T::value_type();
                         }) {
      if constexpr (!std::is_convertible_v<T&, std::string_view>)
        within(name, field, T(1), [](T& list) -> auto& { return list.front(); });
    } else if constexpr (requires { *field = typename T::value_type(); }) {
      within(name, field, T(field.value_or(typename T::value_type())), [](T& optional) -> auto& { return *optional; });
    } else if constexpr (KnownFields<T> && std::is_aggregate_v<T> && !std::is_empty_v<T>) {
      visit_fields(field, [&]<class F>(std::string_view own, const F& inner) {  // of an aggregate that is not const
        at((name.empty() ? "" : name + ".") + std::string(own), const_cast<F&>(inner));
      });
    }
  }

 private:
  /// Of a container with one item, which becomes the field if the number is in there.
  template <class T, class Item>
  void within(const std::string& name, T& field, T filled, Item item) {
    const bool before = path.empty();
    at(name, item(filled));
    if (before && !path.empty()) field = std::move(filled);
  }
};

/// Numbers that are taken although others like them are not. Each with its reason.
bool taken(const std::string& number) {
  static const std::map<std::string, std::string> all = {
      {"NoiseSchedule.solver.lambda_min_clipped -inf", "clips nothing, which is diffusers' default"},
  };
  return all.contains(number);
}

int numbers = 0;

/// `use` is what reads the options: a constructor or a check.
template <class Options>
void refuses(const std::string& name, Options good, const std::function<void(const Options&)>& use) {
  CAPTURE(name);
  CHECK_NOTHROW(use(good));
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const bool whole : {false, true})
    for (int wanted = 0;; ++wanted) {
      bool there = false;
      const std::vector<double> bad =
          whole ? std::vector<double>{-7} : std::vector<double>{std::nan(""), kInfinity, -kInfinity};
      for (const double value : bad) {
        Options options = good;
        Writer writer{.wanted = wanted, .whole = whole, .value = value};
        writer.at("", options);
        if (writer.path.empty()) continue;
        there = true;
        ++numbers;
        const std::string field = writer.path.substr(writer.path.rfind('.') + 1);
        std::ostringstream key;
        key << name << '.' << writer.path << ' ' << value;
        CAPTURE(key.str());
        std::string said;
        try {
          use(options);
        } catch (const Error& problem) {
          said = problem.what();
        }
        if (taken(key.str())) {
          CHECK(said.empty());
          continue;
        }
        CAPTURE(said);
        CHECK(said.starts_with("["));
        CHECK(said.find(field) != std::string::npos);
        const bool unused = said.find("cannot be combined with") != std::string::npos;  // whatever its value
        std::ostringstream shown;
        shown << value;
        CHECK((unused || said.find(shown.str()) != std::string::npos));
      }
      if (!there) break;
    }
}

template <class Policy>
void refuses(const std::string& name, typename Policy::Options good = {}) {
  refuses<typename Policy::Options>(name, good, [](const auto& options) { Policy policy(options); });
}

/// The same of an objective that learns from rounds, whose round the tuner checks.
template <class Policy>
void refuses_rounds(const std::string& name) {
  refuses<typename Policy::Options>(name, {}, [](const auto& options) {
    Policy policy(options);
    check_options(policy.options().round);
  });
}

Tensor weight() { return at::ones({2}).requires_grad_(); }

AestheticHead head() { return AestheticHead({{at::ones({1, 6}), at::zeros({1})}}); }

}  // namespace
}  // namespace option_ranges_test

TEST_CASE("options: no policy takes NaN, an infinity or a negative count") {
  using namespace option_ranges_test;
  numbers = 0;
  refuses<Ddim>("Ddim", {.clipping = CleanClipping{}});
  refuses<Ddpm>("Ddpm", {.clipping = CleanClipping{}});
  refuses<DpmSolver>("DpmSolver", {.clipping = CleanClipping{}});
  refuses<Euler>("Euler");
  refuses<EulerAncestral>("EulerAncestral");
  refuses<FlowEuler>("FlowEuler", {.clipping = CleanClipping{}});
  refuses<AnySampler>("AnySampler");
  refuses<AnySampler>("AnySampler", {.name = "dpm++"});

  refuses<AllSteps>("AllSteps");
  refuses<BackwardWindow>("BackwardWindow");
  refuses<LastSteps>("LastSteps");
  refuses<LateJump>("LateJump");
  refuses<NoisedTail>("NoisedTail");
  refuses<RandomHorizon>("RandomHorizon", {.draw = HorizonDraw::kFixed});
  refuses<RandomSteps>("RandomSteps");
  refuses<SpreadSteps>("SpreadSteps");
  refuses<ScaleInput>("ScaleInput");

  refuses<DynamicGuidance>("DynamicGuidance");
  refuses<PromptWeighting>("PromptWeighting");
  refuses<DiffExp>("DiffExp");

  refuses<DirectGradient>("DirectGradient", {.loss = RewardLoss::kHinge});
  refuses_rounds<ClippedRatio>("ClippedRatio");
  refuses_rounds<KlRegularized>("KlRegularized");
  refuses_rounds<Preference>("Preference");
  refuses_rounds<Reinforce>("Reinforce");
  refuses_rounds<RewardWeighted>("RewardWeighted");

  refuses<PerBatch>("PerBatch");
  refuses<PerPrompt>("PerPrompt");
  refuses<PerGroup>("PerGroup");
  refuses<PerReward>("PerReward");
  refuses<History>("History");
  refuses<BestAndWorst>("BestAndWorst");
  refuses<KlToReference>("KlToReference");
  refuses<PretrainingLoss>("PretrainingLoss");
  CHECK(numbers > 150);
}

TEST_CASE("options: no reward takes NaN, an infinity or a negative count") {
  using namespace option_ranges_test;
  numbers = 0;
  refuses<BrightnessOptions>("Brightness", {}, [](const auto& o) { BrightnessReward reward(o); });
  refuses<ColorfulnessOptions>("Colorfulness", {}, [](const auto& o) { ColorfulnessReward reward(o); });
  refuses<JpegErrorOptions>("JpegError", {}, [](const auto& o) { JpegErrorReward reward(o); });
  refuses<JpegSizeOptions>("JpegSize", {}, [](const auto& o) { JpegSizeReward reward(o); });
  refuses<SymmetryOptions>("Symmetry", {}, [](const auto& o) { SymmetryReward reward(o); });
  refuses<ClipScoreOptions>("ClipScore", {}, [](const auto& o) { ClipScoreReward reward(nullptr, o); });
  refuses<AestheticOptions>("Aesthetic", {}, [](const auto& o) { AestheticReward reward(head(), nullptr, o); });
  refuses<shapes::HueParityOptions>("HueParity", {}, [](const auto& o) { shapes::HueParityReward reward(o); });
  refuses<RemoteOptions>("Remote", {.url = "http://127.0.0.1:1", .expect_server = false},
                         [](const auto& o) { RemoteReward reward(o); });
  refuses<RemoteOptions>(
      "RemoteChat",
      {.url = "http://127.0.0.1:1", .protocol = RemoteProtocol::kChat, .chat = {.model = "m"}, .expect_server = false},
      [](const auto& o) { RemoteReward reward(o); });
  refuses<RewardMoments>("Standardized", {}, [](const auto& o) { Standardized reward(BrightnessReward(), o); });
  CHECK(numbers > 60);
  // these ask for their networks behind their options
  const auto without = [](const std::string& name, auto make) {
    for (const double leak : {std::nan(""), HUGE_VAL, -HUGE_VAL, -0.1, 1.1}) {
      CAPTURE(name);
      CHECK_THROWS_WITH_AS(make(leak), doctest::Contains("leak must be in [0, 1], got"), Error);
    }
  };
  without("PickScore", [](double leak) { PickScoreReward reward(nullptr, {.leak = leak}); });
  without("Hps", [](double leak) { HpsReward reward(nullptr, {.leak = leak}); });
  without("Composition", [](double leak) { CompositionReward reward(nullptr, {.leak = leak}); });
  without("Objectness", [](double leak) { ObjectnessReward reward(nullptr, {.leak = leak}); });
  without("ImageReward", [](double leak) { ImageReward reward(nullptr, head(), {.leak = leak}); });
  for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    CHECK_THROWS_WITH_AS(ImageReward(nullptr, head(), {.mean = value}), doctest::Contains("mean"), Error);
    CHECK_THROWS_WITH_AS(ImageReward(nullptr, head(), {.deviation = value}), doctest::Contains("deviation"), Error);
  }
}

TEST_CASE("options: no optimizer, engine or run takes NaN, an infinity or a negative count") {
  using namespace option_ranges_test;
  numbers = 0;
  refuses<AdamWOptions>("AdamW", {}, [](const auto& o) { AdamW optimizer({weight()}, o); });
  refuses<AdamW8bitOptions>("AdamW8bit", {}, [](const auto& o) { AdamW8bit optimizer({weight()}, o); });
  refuses<EmaOptions>("Ema", {}, [](const auto& o) { Ema average({weight()}, o); });
  refuses<LearningRateSchedule>("LearningRateSchedule", {.decay = LearningRateDecay::kLinear},
                                [](const auto& o) { check_options(o, "Here"); });
  refuses<EngineOptions>("EngineOptions", {}, [](const auto& o) { check_options(o); });
  refuses<RoundOptions>("RoundOptions", {}, [](const auto& o) { check_options(o); });
  refuses<MultiTaskOptions>("MultiTask", {}, [](const auto& o) { check_options(o); });
  refuses<TrainerOptions>("Trainer", {.learning_rate = {.decay = LearningRateDecay::kCosine}},
                          [](const auto& o) { check_options(o); });
  refuses<SignalMeterOptions>("SignalMeter", {}, [](const auto& o) { check_options(o); });
  refuses<ProgressOptions>("ProgressBar", {}, [](const auto& o) {
    std::ostringstream nowhere;
    ProgressBar bar(nowhere, 3, o);
  });
  refuses<GridOptions>("image_grid", {}, [](const auto& o) { image_grid({at::zeros({1, 3, 8, 8})}, o); });
  refuses<HttpOptions>("HttpPost", {}, [](const auto& o) { HttpPost post("http://127.0.0.1:1", o); });
  refuses<LoraOptions>("LoRA", {}, [](const auto& o) { check_options(o); });
  for (const double factor : {std::nan(""), HUGE_VAL, -1.0}) {
    AdamW plain({weight()});
    AdamW8bit small({weight()});
    CHECK_THROWS_WITH_AS(plain.scale_learning_rate(factor), doctest::Contains("a factor on the learning rate"), Error);
    CHECK_THROWS_WITH_AS(small.scale_learning_rate(factor), doctest::Contains("a factor on the learning rate"), Error);
  }
  CHECK(numbers > 90);
}

TEST_CASE("options: no part of a model takes NaN, an infinity or a negative count") {
  using namespace option_ranges_test;
  numbers = 0;
  refuses<NoiseScheduleConfig>("NoiseSchedule", {.num_train_steps = 1},
                               [](const auto& o) { NoiseSchedule schedule(o); });
  CHECK(numbers > 20);
  const auto refused = [](const char* field, double good, auto use) {
    CAPTURE(field);
    CHECK_NOTHROW(use(good));
    for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
      CAPTURE(value);
      CHECK_THROWS_WITH_AS(use(value), doctest::Contains(field), Error);
    }
  };
  const auto unet = [](double UNet2DConditionConfig::*field) {
    return [field](double value) {
      UNet2DConditionConfig config;
      config.*field = value;
      config.check();
    };
  };
  refused("freq_shift", 1, unet(&UNet2DConditionConfig::freq_shift));
  refused("norm_eps", 1e-6, unet(&UNet2DConditionConfig::norm_eps));
  refused("mid_block_scale_factor", 2, unet(&UNet2DConditionConfig::mid_block_scale_factor));
  const auto vae = [](double AutoencoderKLConfig::*field) {
    return [field](double value) {
      AutoencoderKLConfig config;
      config.*field = value;
      config.check();
    };
  };
  refused("scaling_factor", 1, vae(&AutoencoderKLConfig::scaling_factor));
  refused("shift_factor", 0.1, vae(&AutoencoderKLConfig::shift_factor));
  refused("layer_norm_eps", 1e-6, [](double value) {
    ClipTextConfig config;
    config.layer_norm_eps = value;
    config.check();
  });
  refused("layer_norm_eps", 1e-6, [](double value) {
    ClipVisionConfig config;
    config.layer_norm_eps = value;
    config.check();
  });
  refused("layer_norm_eps", 1e-6, [](double value) {
    BertConfig config;
    config.layer_norm_eps = value;
    config.check();
  });
  refused("mean", 0.5, [](double value) { ImagePreprocessorOptions{.mean = {0.5, value, 0.5}}.check(); });
  refused("deviation", 0.5, [](double value) { ImagePreprocessorOptions{.deviation = {0.5, 0.5, value}}.check(); });
}
