// What the ranks send each other in an update: how often, and how many bytes, as script/scaling_table counts them.
#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/ranks/ranks.hpp>
#include <reward_tuner/ranks/sharded_optimizer.hpp>
#include <reward_tuner/rewards/callable.hpp>

#include <tests/reference/captioned_toy.hpp>
#include <tests/reference/counting_link.hpp>
#include <tests/reference/thread_ranks.hpp>
#include <tests/reference/toy_reward.hpp>

namespace rank_messages_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

ToyOptions toy() { return {.channels = 4, .side = 16, .width = 8, .dtype = at::kFloat}; }
constexpr std::int64_t kLatent = 4 * 16 * 16 * 4;  // bytes of an image's

/// Of every rank in one update of `images` images.
template <template <class> class Optim, class MakeTuner>
std::vector<Sent> sent(MakeTuner make_tuner, int size, int images) {
  std::vector<Sent> out(static_cast<std::size_t>(size));
  on_ranks(size, [&](const Ranks& ranks) {
    CaptionedToy pipeline(toy());
    pipeline.disturb(8, 0.05);
    const Ranks counted(std::make_shared<CountingLink>(*ranks.link(), out[static_cast<std::size_t>(ranks.rank())]));
    Optim<AdamW> optimizer(counted, pipeline.parameters());
    Rng rng(5);
    auto tuner = make_tuner();
    tuner.join(counted);
    tuner.update(pipeline, optimizer, std::vector<std::string>(static_cast<std::size_t>(images), "a red circle"), rng);
  });
  return out;
}

/// AdamW with the constructor of an optimizer that is divided.
template <class Inner>
struct Whole : Inner {
  Whole(const Ranks&, std::vector<Tensor> parameters) : Inner(std::move(parameters)) {}
};

std::int64_t gradient_bytes() {
  CaptionedToy pipeline(toy());
  std::int64_t numbers = 0;
  for (const Tensor& p : pipeline.parameters()) numbers += p.numel() + 1;  // and whether there is one
  return 4 * numbers;
}

auto drtune() {
  return make<DRTune>(ToyReward(),
                      {.sampler = {.num_steps = 5}, .steps = {.num_trained = 2}, .engine = {.micro_batch = 1}});
}
auto ddpo(int steps = 1) {
  return make<DDPO>(black_box([](const Tensor& images) { return images.mean({1, 2, 3}); }),
                    {.sampler = {.num_steps = 5},
                     .objective = {.round = {.epochs = 1, .updates_per_epoch = steps}},
                     .engine = {.micro_batch = 1}});
}

}  // namespace
}  // namespace rank_messages_test

TEST_CASE("a step sends the sum of the gradients once along the ranks and once to all") {
  using namespace rank_messages_test;
  const auto check = [](const std::vector<Sent>& all) {
    const Sent& last = all.back();
    for (std::size_t r = 0; r + 1 < all.size(); ++r) {
      CHECK(all[r].sent == gradient_bytes());
      CHECK(all[r].broadcast == 0);
    }
    CHECK(last.sent == 0);
    CHECK(last.broadcast == gradient_bytes());
  };
  check(sent<Whole>(drtune, 3, 6));
  check(sent<Whole>([] { return ddpo(); }, 3, 6));
}

TEST_CASE("a divided optimizer sends the trained tensors once more, each rank its own") {
  using namespace rank_messages_test;
  std::int64_t whole = 0, divided = 0;
  for (const Sent& one : sent<Whole>(drtune, 3, 6)) whole += one.broadcast;
  for (const Sent& one : sent<ShardedOptimizer>(drtune, 3, 6)) divided += one.broadcast;
  const auto count = [](const std::vector<Sent>& all) {
    std::int64_t broadcasts = 0;
    for (const Sent& one : all) broadcasts += one.broadcasts;
    return broadcasts;
  };
  CHECK(count(sent<ShardedOptimizer>(drtune, 3, 6)) - count(sent<Whole>(drtune, 3, 6)) == 3);  // all of a rank at once
  CaptionedToy pipeline(toy());
  CHECK(divided - whole == gradient_bytes() - 4 * static_cast<std::int64_t>(pipeline.parameters().size()));
}

TEST_CASE("a direct method gathers numbers alone: the messages do not grow with the latents") {
  using namespace rank_messages_test;
  for (const Sent& one : sent<Whole>(drtune, 3, 6)) {
    CHECK(one.gathers == 2);
    CHECK(one.gathered < 2048);
    MESSAGE("DRTune: ", one.gathers, " gathers of ", one.gathered, " bytes");
  }
}

TEST_CASE("a round gathers what was sampled: of each image its latents at the trained steps and little beside") {
  using namespace rank_messages_test;
  const auto few = sent<Whole>([] { return ddpo(); }, 3, 6), many = sent<Whole>([] { return ddpo(); }, 3, 12);
  // of each further optimizer step what its rows measured alone
  for (const Sent& one : sent<Whole>([] { return ddpo(3); }, 3, 6)) CHECK(one.gathers - few[0].gathers == 2);
  for (std::size_t r = 0; r < few.size(); ++r) {
    const double image = static_cast<double>(many[r].gathered - few[r].gathered) / 2;
    CHECK(many[r].gathers == few[r].gathers);
    CHECK(few[r].gathers == 7);
    CHECK(image >= 7.0 * kLatent);  // before and after each of 5 steps, and as it was decoded
    CHECK(image < 7.0 * kLatent + 512);
    MESSAGE("DDPO: ", few[r].gathers, " gathers, ", image, " bytes an image, ", few[r].gathered - 2 * image, " beside");
  }
}
