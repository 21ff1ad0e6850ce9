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
