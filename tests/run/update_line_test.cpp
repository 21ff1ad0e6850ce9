// What the progress bar shows of an update.
#include <doctest/doctest.h>

#include <sstream>
#include <string>

#include <reward_tuner/run/update_line.hpp>

TEST_CASE("an update's line has reward and gradient, its speed where that is known, and its sentences") {
  using namespace reward_tuner;
  const auto shown = [](const UpdateReport& report, double peak) {
    std::ostringstream out;
    ProgressBar bar(out, 2, {.style = ProgressStyle::kPlain, .seconds_between_lines = 0});
    show_update(bar, 1, report, peak);
    return out.str();
  };
  UpdateReport report{.update = 1, .reward = 0.25, .gradient_norm = 0.5};
  CHECK(shown(report, 0).find("reward 0.2500") != std::string::npos);
  CHECK(shown(report, 0).find("grad 5.00e-01") != std::string::npos);
  CHECK(shown(report, 2).find("TFLOP") == std::string::npos);
  report.flops.forward = 3'000'000'000'000;
  report.seconds = 2;
  CHECK(shown(report, 0).find("TFLOP/s 1.5") != std::string::npos);
  CHECK(shown(report, 0).find("of peak") == std::string::npos);
  CHECK(shown(report, 6).find("TFLOP/s 1.5 (25% of peak)") != std::string::npos);
  report.warning = "slow";
  report.skip_reason = "no gradient";
  CHECK(shown(report, 0).find("update 1: slow") != std::string::npos);
  CHECK(shown(report, 0).find("update 1 failed: no gradient") != std::string::npos);
  report.skipped = true;
  CHECK(shown(report, 0).find("update 1 skipped: no gradient") != std::string::npos);
}
