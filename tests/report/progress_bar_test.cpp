// What the progress bar prints, with a clock of the test's own.
#include <doctest/doctest.h>

#include <cmath>
#include <sstream>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/report/progress_bar.hpp>

#include <tests/reference/test_folder.hpp>

using namespace reward_tuner;

TEST_CASE("progress_bar: durations") {
  CHECK(format_duration(7.4) == "0:07");
  CHECK(format_duration(59.6) == "1:00");
  CHECK(format_duration(754) == "12:34");
  CHECK(format_duration(3 * 3600 + 5 * 60 + 9) == "3:05:09");
  CHECK(format_duration(std::nan("")) == "?");
}

TEST_CASE(
    "progress_bar: a stream that is no terminal gets whole lines every so often, the first and the last among them") {
  std::ostringstream out;
  double time = 100;
  {
    ProgressBar bar(out, 10, {.seconds_between_lines = 5, .clock = [&] { return time; }});
    for (int update = 1; update <= 10; ++update) {
      time += 2;
      bar.update(update, {{"reward", "0.5"}, {"grad", "1e-3"}});
    }
    bar.finish();
    bar.finish();  // says it once
  }
  CHECK(out.str() ==
        " 10%  1/10  reward 0.5  grad 1e-3  2.00 s/update  ETA 0:18\n"
        " 40%  4/10  reward 0.5  grad 1e-3  2.00 s/update  ETA 0:12\n"
        " 70%  7/10  reward 0.5  grad 1e-3  2.00 s/update  ETA 0:06\n"
        "100%  10/10  reward 0.5  grad 1e-3  2.00 s/update\n"
        "10 updates in 0:20 (2.00 s/update)\n");
}

TEST_CASE("progress_bar: the time left follows the latest updates, and updates before a resume do not count") {
  std::ostringstream out;
  double time = 0;
  ProgressBar bar(out, 100, {.already_done = 40, .averaged_updates = 4, .clock = [&] { return time; }});
  CHECK(std::isnan(bar.seconds_left()));
  time += 30;  // a slow first update
  bar.update(41);
  CHECK(bar.seconds_per_update() == doctest::Approx(30));
  CHECK(bar.seconds_left() == doctest::Approx(59 * 30));
  time += 1;
  bar.update(42);
  CHECK(bar.seconds_per_update() == doctest::Approx(15.5));
  for (int update = 43; update <= 60; ++update) {
    time += 1;
    bar.update(update);
  }
  CHECK(bar.seconds_per_update() == doctest::Approx(1));
  CHECK(bar.seconds_left() == doctest::Approx(40));
  bar.finish();  // stopped early
  CHECK(out.str().find(" 60%  60/100  1.00 s/update  ETA 0:40\n20 updates in 0:49 (2.45 s/update)\n") !=
        std::string::npos);
}

TEST_CASE("progress_bar: a live line is redrawn in place and never wider than the terminal") {
  for (const int width : {20, 60, 80, 200}) {
    std::ostringstream out;
    double time = 0;
    {
      ProgressBar bar(out, 3, {.style = ProgressStyle::kLive, .width = width, .clock = [&] { return time; }});
      for (int update = 1; update <= 3; ++update) {
        time += 1;
        bar.update(update, {{"reward", "0.123"}, {"grad", "4.5e-06"}});
      }
    }  // an error ends the bar without finish()
    CHECK(out.str().ends_with("\n"));
    CHECK(io_test::count(out.str(), "\n") == 1);
    CHECK(io_test::count(out.str(), "\r") == 3);
    std::istringstream parts(out.str());
    std::string part;
    std::getline(parts, part, '\r');
    while (std::getline(parts, part, '\r')) CHECK(part.find("\x1b[K") < static_cast<std::size_t>(width));
    if (width == 80)
      CHECK(out.str().find("] 100%  3/3  reward 0.123  grad 4.5e-06  1.00 s/update\x1b[K\n") != std::string::npos);
    if (width >= 60) CHECK(out.str().find("##########") != std::string::npos);
  }
}

TEST_CASE("progress_bar: redraws are spaced in time, notes stand above the live line") {
  std::ostringstream out;
  double time = 0;
  ProgressBar bar(out, 100, {.style = ProgressStyle::kLive, .seconds_between_redraws = 1, .width = 60, .clock = [&] {
                               return time;
                             }});
  for (int update = 1; update <= 50; ++update) {
    time += 0.1;
    bar.update(update);
  }
  CHECK(io_test::count(out.str(), "\r") <= 6);
  bar.note("checkpoint saved");
  CHECK(out.str().find("\r\x1b[Kcheckpoint saved\n\r") != std::string::npos);
  bar.finish();
  CHECK(out.str().find(" 50%  50/100") != std::string::npos);
  CHECK(out.str().ends_with("\n50 updates in 0:05 (0.10 s/update)\n"));
}

TEST_CASE("progress_bar: counts that make no sense are named errors") {
  std::ostringstream out;
  CHECK_THROWS_AS(ProgressBar(out, 0), Error);
  CHECK_THROWS_AS(ProgressBar(out, 5, {.already_done = 6}), Error);
  ProgressBar bar(out, 5);
  bar.update(3);
  CHECK_THROWS_AS(bar.update(2), Error);
  CHECK_THROWS_AS(bar.update(6), Error);
}
