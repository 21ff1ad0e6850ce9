// Numbers by printf formats, however long they become.
#include <reward_tuner/core/number_text.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <string>

namespace number_text_test {

using reward_tuner::number_text;

TEST_CASE("a number is text by its format, of any length") {
  CHECK(number_text("%.2f", -0.125) == "-0.12");
  CHECK(number_text("%9.4f", 1.5) == "   1.5000");
  CHECK(number_text(" (%.3g%% of peak)", 12.34) == " (12.3% of peak)");
  CHECK(number_text("%.4f", NAN).find("nan") != std::string::npos);
  const std::string long_one = number_text("%.1f", 1e300);
  CHECK(long_one.size() == 303);
  CHECK(std::stod(long_one) == 1e300);
  CHECK(number_text("no number", 1) == "no number");
}

}  // namespace number_text_test
