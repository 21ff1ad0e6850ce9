// How claims are judged and shown.
#include "claims.hpp"

#include <reward_tuner/core/number_text.hpp>

#include "seed_statistics.hpp"

namespace rt_reproduce {

namespace {

std::string signed_places(double value) { return reward_tuner::number_text("%+.4f", value); }

}  // namespace

void claim_table(Page& page, const std::vector<Claim>& claims) {
  auto& text = page.text();
  text << "| claim | paper | difference here | 95% interval | seeds | verdict | paper's effect here | seeds that would "
          "tell it |\n|---|---|---|---|---|---|---|---|\n";
  for (const Claim& claim : claims) {
    const PairedDifference d = paired_difference(claim.differences);
    text << "| " << claim.text << " | " << claim.paper << " | ";
    if (d.seeds < 2) text << (d.seeds == 0 ? "not run" : signed_places(d.mean)) << " | - | " << d.seeds << " | - | ";
    else
      text << signed_places(d.mean) << " | " << signed_places(d.low) << " to " << signed_places(d.high) << " | "
           << d.seeds << " | **"
           << verdict(d, claim.premise ? std::optional(paired_difference(*claim.premise)) : std::nullopt) << "** | ";
    const bool told = claim.effect && *claim.effect > 0 && d.seeds >= 2;
    text << (told ? signed_places(*claim.effect) : "-") << " | "
         << (told ? std::to_string(seeds_to_tell(*claim.effect, d.deviation)) : "-") << " |\n";
  }
  text << "\n";
}

std::string claim_rule() {
  return "A difference is the mean over seeds of what the two runs of a seed differ by. They start from one LoRA, and "
         "the same prompts and noise make the images by which they are measured; in training they draw from one seed, "
         "but after the first round not the same. Rule: a claim **holds** if its whole interval (Student's t) lies "
         "above 0, is **contradicted** if none of it does, and else one **cannot tell**. Each interval has its 95% for "
         "itself: without any difference one claim in twenty is told to hold or contradicted. The last column is how "
         "many seeds tell the paper's effect in four of five studies, with the deviation that the differences have "
         "here.";
}

}  // namespace rt_reproduce
