// Defaults that depend on other settings bend to what the user said.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <string_view>

#include <examples/shared/defaults.hpp>
#include <examples/shared/direct_method.hpp>
#include <examples/shared/ranks.hpp>
#include <examples/shared/sampled_method.hpp>
#include <examples/shared/settings_table.hpp>

namespace defaults_test {
namespace {

using namespace rt_shared;

/// The settings of a run of `method`, complete. `say` writes what the user says.
TuneSettings completed(std::string_view method, const std::function<void(TuneSettings&)>& say) {
  TuneSettings s;
  s.method = method;
  say(s);
  const MethodEntry& entry = method_entry(method);
  check_settings(s, entry);
  complete(s, entry, false);
  return s;
}

void give(TuneSettings& s, const std::string& name, const std::string& value) {
  read_setting(setting(settings_table(), name), s, {value}, "--" + name);
}

}  // namespace

TEST_CASE("defaults: every method's steps fit every number of sampler steps") {
  for (const MethodEntry& method : method_entries())
    for (const int steps : {1, 2, 3, 4, 5, 9, 10, 50}) {
      CAPTURE(method.name);
      CAPTURE(steps);
      const TuneSettings s = completed(method.name, [&](TuneSettings& t) { t.steps = steps; });
      rt::Rng rng(1);
      const rt::PlanContext context{.num_steps = steps, .update = 1, .planned = 100};
      if (method.knows("gradient")) {
        const ChosenDirectSteps policy(direct_steps(s, method));
        CHECK_NOTHROW(policy.check(steps));
        const rt::StepPlan plan = policy.plan(context, rng);
        CHECK((!plan.trained.empty() || plan.replicas > 0));
      } else if (method.knows("log-prob")) {
        const ChosenSteps policy(sampled_steps(s, method));
        CHECK_NOTHROW(policy.check(steps));
        CHECK_FALSE(policy.plan(context, rng).trained.empty());
      }
    }
}

TEST_CASE("defaults: each that depends on another setting bends to what the user said of that") {
  const auto with = [](std::string_view method, const std::string& name, const std::string& value) {
    return completed(method, [&](TuneSettings& s) { give(s, name, value); });
  };
  CHECK(with("drtune", "steps", "4").trained_steps == 4);     // 5
  CHECK(with("lsrl", "steps", "3").trained_steps == 3);       // 5
  CHECK(with("refl", "steps", "6").early_stop == 6);          // 10
  CHECK(with("raft", "best", "12").samples_per_prompt > 12);  // 8
  CHECK(with("raft", "best", "8").samples_per_prompt > 8);
  CHECK(with("grpo", "batch", "1").samples_per_prompt == rt::kComparedImages);
  CHECK(with("ddpo", "advantage", "per-group").samples_per_prompt == rt::kComparedImages);  // 1
  CHECK(with("ddpo", "advantage", "per-reward").samples_per_prompt == rt::kComparedImages);
  CHECK(with("b2-ddpo", "branches", "2").samples_per_prompt == 1);
  CHECK_FALSE(with("lsrl", "updates-per-epoch", "2").step_per_timestep);  // true
  CHECK(with("ddpo", "sampler", "ddpm").eta == 0);                        // 1: ddim's alone
  CHECK(with("ddpo", "sampler", "sde-dpm++").solver_order == 1);          // 2: a density needs it
  CHECK_FALSE(with("drtune", "sampler", "sde-dpm++").solver_order);
  CHECK_FALSE(with("drtune", "sampler", "dpm++").solver_order);
  const auto words = [](const std::string& name, const std::string& value) {
    return completed("ddpo", [&](TuneSettings& s) {
      give(s, "explore", "prompt");
      give(s, name, value);
    });
  };
  CHECK(words("word-weight-high", "0.8").word_weight_low == 0.8);  // 1
  CHECK(words("word-weight-low", "2").word_weight_high == 2);      // 1.5
  const auto both = completed("ddpo", [](TuneSettings& s) {        // what he said himself stays, and is refused later
    give(s, "explore", "prompt");
    give(s, "word-weight-low", "2");
    give(s, "word-weight-high", "1");
  });
  CHECK((both.word_weight_low == 2 && both.word_weight_high == 1));
}

TEST_CASE("defaults: each of several ranks gets an equal share of the images that the method draws") {
  const auto share = [](std::string_view method, const std::string& batch, int ranks) {
    return equal_share({completed(method, [&](TuneSettings& s) { give(s, "batch", batch); })}, ranks);
  };
  CHECK(share("drtune", "8", 2) == 4);
  CHECK(share("drtune", "7", 2) == 4);  // and 3
  CHECK(share("drtune", "5", 4) == 1);  // 2, 2 and 1 would be of three ranks
  CHECK(share("drtune", "1", 2) == 1);  // which the run refuses
  CHECK(share("grpo", "1", 2) == rt::kComparedImages / 2);
  CHECK(share("grpo", "3", 2) == 3 * rt::kComparedImages / 2);
  CHECK(share("b2-ddpo", "4", 2) == 4 * completed("b2-ddpo", [](TuneSettings&) {}).branches.value() / 2);
  TuneSettings wide = completed("lsrl", [](TuneSettings& s) { give(s, "batch", "6"); }), narrow = wide;
  narrow.batch = 2;
  narrow.samples_per_prompt = 2;
  CHECK(equal_share({wide, narrow}, 2) == 2);
  CHECK(equal_share({wide}, 2) == 3);
}

TEST_CASE("defaults: numbers out of range are refused by their flags, before anything is loaded") {
  const auto refused = [](const std::string& flag, const std::string& value, const std::string& expected) {
    CAPTURE(flag);
    CHECK_THROWS_WITH_AS(completed("drtune",
                                   [&](TuneSettings& s) {
                                     give(s, "lr-schedule", "cosine");
                                     give(s, flag, value);
                                   }),
                         ("[rt-tune] --" + flag + " expected " + expected + ", got " + value).c_str(), rt::Error);
  };
  for (const char* value : {"0", "-1"}) {
    refused("rank-seconds", value, "a finite number above 0");
    refused("learning-rate", value, "a finite number above 0");
  }
  refused("peak-tflops", "-1", "a finite number >= 0 (0: unknown)");
  for (const char* value : {"-0.5", "1.5"}) refused("lr-floor", value, "a number from 0 to 1");
  refused("lr-warmup", "-1", "a number >= 0");
  for (const auto& [flag, value] : {std::pair("rank-seconds", "0.5"), {"lr-floor", "1"}, {"lr-warmup", "0"}})
    CHECK_NOTHROW(completed("drtune", [&, name = flag, text = value](TuneSettings& s) {
      give(s, "lr-schedule", "linear");
      give(s, name, text);
    }));
}

TEST_CASE("defaults: what the library's own checks refuse is refused before anything is loaded too") {
  const auto refused = [](const std::string& flag, const std::string& value, const std::string& expected) {
    CAPTURE(flag);
    CHECK_THROWS_WITH_AS(completed("drtune", [&](TuneSettings& s) { give(s, flag, value); }),
                         doctest::Contains((expected + ", got " + value).c_str()), rt::Error);
  };
  refused("guidance", "-1", "[Ddim] guidance must be finite and >= 0");
  refused("eta", "1.5", "[Ddim] eta must be in [0, 1]");
  refused("rank", "0", "[LoRA] rank must be at least 1");
  refused("alpha", "-2", "[LoRA] alpha must be finite and >= 0");
  refused("beta1", "1", "[AdamW] beta1 must be in [0, 1)");
  refused("beta2", "-0.5", "[AdamW] beta2 must be in [0, 1)");
  refused("weight-decay", "-1", "[AdamW] weight_decay must be >= 0");
}

TEST_CASE("defaults: every sampler runs by its name, with what the user said of it") {
  for (const char* name : {"ddim", "ddpm", "dpm++", "sde-dpm++", "euler", "euler-ancestral"}) {
    CAPTURE(std::string(name));
    const TuneSettings s = completed("drtune", [&](TuneSettings& t) {
      give(t, "sampler", name);
      give(t, "spacing", "trailing");
    });
    const rt::AnySampler sampler(sampler_options(s));
    CHECK(sampler.name() == name);
    CHECK(sampler.schedule(rt::NoiseSchedule()).timestep(0) == 999);
    CHECK(setting(settings_table(), "sampler").field.json(s) == name);
  }
  const TuneSettings s = completed("drtune", [&](TuneSettings& t) {
    give(t, "sampler", "dpm++");
    give(t, "noise-levels", "karras");
    give(t, "solver-order", "1");
    give(t, "solver-type", "heun");
  });
  const rt::AnySamplerOptions options = sampler_options(s);
  CHECK(options.levels == rt::LevelSpacing::kKarras);
  CHECK(options.order == 1);
  CHECK(options.type == rt::SolverType::kHeun);
  CHECK_FALSE(options.spacing);
}

TEST_CASE("what a user says and no part of the run uses is refused") {
  const auto says = [](std::string_view method, const std::function<void(TuneSettings&)>& say,
                       const std::string& sentence) {
    std::string got;
    try {
      completed(method, say);
    } catch (const std::exception& e) {
      got = e.what();
    }
    CHECK_MESSAGE(got.find(sentence) != std::string::npos, got);
  };
  says(
      "drtune", [](TuneSettings& s) { give(s, "kl-weight", "1"); },
      "--kl-weight expected --regularizer kl, got --regularizer none");
  says(
      "drtune",
      [](TuneSettings& s) {
        give(s, "full", "true");
        give(s, "rank", "4");
      },
      "--rank expected --full false, got --full true");
  says(
      "drtune",
      [](TuneSettings& s) {
        give(s, "reward", "brightness");
        give(s, "jpeg-quality", "50");
      },
      "--jpeg-quality expected --reward of JPEG, got --reward [\"brightness\"]");
  says(
      "drtune", [](TuneSettings& s) { give(s, "aesthetic-head", "x"); },
      "--aesthetic-head expected --reward aesthetic");
  const auto sampled = [&](std::string_view method, const char* sampler, const char* name, const char* value,
                           const std::string& sentence) {
    says(
        method,
        [&](TuneSettings& s) {
          give(s, "sampler", sampler);
          if (name) give(s, name, value);
        },
        sentence);
  };
  sampled("drtune", "ddim", "noise-levels", "karras",
          "--noise-levels expected --sampler dpm++, sde-dpm++, euler or euler-ancestral, got --sampler ddim");
  sampled("drtune", "euler", "solver-order", "2", "--solver-order expected --sampler dpm++ or sde-dpm++");
  sampled("drtune", "ddpm", "solver-type", "heun", "--solver-type expected --sampler dpm++ or sde-dpm++");
  sampled("ddpo", "euler", nullptr, nullptr,
          "expected --sampler ddim, ddpm, sde-dpm++ or euler-ancestral, got --sampler euler");
  sampled("dpo", "dpm++", nullptr, nullptr, "got --sampler dpm++");
  sampled("ddpo", "sde-dpm++", "solver-order", "2", "expected --solver-order 1, which is the default, got 2");
  says("ddpo", [](TuneSettings& s) { give(s, "leave-one-out", "true"); }, "--leave-one-out expected --reward parity");
  says("drtune", [](TuneSettings& s) { give(s, "reference", "init"); }, "--reference expected --init-lora PATH");
  says(
      "drtune",
      [](TuneSettings& s) {
        give(s, "init-lora", "x");
        give(s, "rank", "4");
      },
      "--rank cannot be combined with --init-lora, whose file has its own");
  CHECK_NOTHROW(completed("drtune", [](TuneSettings& s) {
    give(s, "reward", "symmetry:2");
    give(s, "text-weight", "0.5");
  }));
}

}  // namespace defaults_test
