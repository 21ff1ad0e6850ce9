// How an update prints.
#include <doctest/doctest.h>

#include <sstream>
#include <string>

#include <reward_tuner/tuner/update_report.hpp>

TEST_CASE("a report prints one line and leaves the stream's format alone") {
  using namespace reward_tuner;
  UpdateReport report{.update = 7,
                      .reward = 0.25,
                      .components = {{"symmetry_error", 0.5}},
                      .gradient_norm = 0.125,
                      .forwards = 12,
                      .backwards = 3,
                      .seconds = 1.5};
  std::ostringstream out;
  out << report;
  CHECK(out.str() ==
        "update 7  reward 0.2500  symmetry_error 0.5000  gradient 0.125  forwards 12  backwards 3  1.50 s");
  report.skipped = true;
  report.skip_reason = "the reward is not finite";
  std::ostringstream skipped;
  skipped << report << ' ' << 0.123456;
  CHECK(skipped.str().find("SKIPPED: the reward is not finite") != std::string::npos);
  CHECK(skipped.str().ends_with(" 0.123456"));
  report.warning = "the first ratio is off by 0.002";
  std::ostringstream warned;
  warned << report;
  CHECK(
      warned.str().ends_with("  1.50 s  SKIPPED: the reward is not finite  WARNING: the first ratio is off by 0.002"));
  report.skipped = false;
  std::ostringstream failed;
  failed << report;
  CHECK(failed.str().ends_with("  1.50 s  FAILED: the reward is not finite  WARNING: the first ratio is off by 0.002"));
  report.skip_reason.clear();
  std::ostringstream only;
  only << report;
  CHECK(only.str().ends_with("  1.50 s  WARNING: the first ratio is off by 0.002"));
}

TEST_CASE("a report prints the reward's towers if rewards shared one") {
  using namespace reward_tuner;
  std::ostringstream shared, alone;
  shared << UpdateReport{.update = 1, .towers = {.computed = 2, .shared = 3}};
  CHECK(shared.str().ends_with("  backwards 0  reward towers 2 (3 shared)  0.00 s"));
  alone << UpdateReport{.update = 1, .towers = {.computed = 2}};
  CHECK(alone.str().find("towers") == std::string::npos);
}

TEST_CASE("a report prints the arithmetic of its calls where it is known, and its speed") {
  using namespace reward_tuner;
  std::ostringstream out;
  UpdateReport report{
      .update = 1,
      .flops = {.forward = 3'000'000'000'000, .replayed = 500'000'000'000, .backward = 1'500'000'000'000},
      .seconds = 2};
  CHECK(tflop_per_second(report) == doctest::Approx(2.5));
  out << report;
  CHECK(out.str() ==
        "update 1  reward 0.0000  gradient 0  forwards 0  backwards 0  TFLOP 5 (forward 3, replayed 0.5, backward 1.5) "
        "at 2.5 TFLOP/s  2.00 s");
  report.seconds = 0;
  CHECK(tflop_per_second(report) == 0);
}

TEST_CASE("a report prints what one watches in a round: images kept, optimizer steps, the first ratio, clipped rows") {
  using namespace reward_tuner;
  const auto printed = [](const UpdateReport& report) {
    std::ostringstream out;
    out << report;
    return out.str();
  };
  UpdateReport report{.update = 1,
                      .images = 8,
                      .kept = 6,
                      .optimizer_steps = 2,
                      .ratio_deviation = 1e-7,
                      .clip_fraction = 0.25,
                      .steps = {{.step = 0, .rows = 6}}};
  CHECK(printed(report) ==
        "update 1  reward 0.0000  gradient 0  forwards 0  backwards 0  kept 6 of 8  optimizer steps 2  ratio off by "
        "1e-07  clipped 0.25  0.00 s");
  report.steps.clear();  // an objective on the denoising loss
  CHECK(printed(report).find("kept 6 of 8  optimizer steps 2  0.00 s") != std::string::npos);
  report.kept = report.images;  // an ordinary update of a direct method
  report.optimizer_steps = 1;
  CHECK(printed(report).find("kept") == std::string::npos);
  report.kept = report.optimizer_steps = 0;
  CHECK(printed(report).find("kept 0 of 8  optimizer steps 0") != std::string::npos);
}
