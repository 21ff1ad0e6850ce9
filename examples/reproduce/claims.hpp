// Claims of a paper with a verdict and an interval each.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "page.hpp"

namespace rt_reproduce {

/// That something is above something else.
struct Claim {
  std::string text;                 ///< "B2-DiffuRL above DDPO in the held-out reward"
  std::string paper;                ///< the paper's numbers, or where it says so
  std::vector<double> differences;  ///< one a seed, above 0 where the claim is true
  std::optional<double> effect;     ///< the difference that the paper's numbers would make here
  /// differences that must be told from 0, and lie above, for the claim to mean anything; else one cannot tell it
  std::optional<std::vector<double>> premise = {};
};

/// The claims as a table: difference with its interval, verdict, and how many seeds would tell the paper's effect.
void claim_table(Page& page, const std::vector<Claim>& claims);

/// What the columns of claim_table mean, as a sentence or two.
std::string claim_rule();

}  // namespace rt_reproduce
